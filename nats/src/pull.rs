//! Fetching from a durable consumer, for as long as it takes.
//!
//! One pull request is open at a time, for as many messages as the caller has room for: what a process holds is never
//! more than what it works at. Silence, a lost connection or an absent consumer make a new request on a new inbox.

use std::time::Duration;

use async_nats::jetstream::{self, AckKind};
use async_nats::{HeaderMap, Message, StatusCode, Subscriber};
use bytes::Bytes;
use events::{Event, JobId, Recorded, Timestamp};
use futures_util::{FutureExt, StreamExt};
use serde_json::json;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::counts::Counters;
use crate::stored::Stored;
use crate::unreadable::Rescue;
use crate::{Bus, Cause, Error};

/// How long the server keeps a pull request open.
const EXPIRES: Duration = Duration::from_secs(30);
/// How often the server says that it still has it.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// Two heartbeats and a little: then nobody is there.
const SILENCE: Duration = Duration::from_secs(11);
/// Before another try.
const PAUSE: Duration = Duration::from_millis(500);
/// For what was on its way when the pull ended.
const DRAIN_LIMIT: Duration = Duration::from_secs(1);

/// A message that the server waits to hear about.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// The stream it is from.
    pub stream: String,
    /// Its subject.
    pub subject: String,
    /// Its payload.
    pub payload: Bytes,
    /// Its headers, as anyone may have written them.
    pub headers: HeaderMap,
    /// Its sequence in the stream.
    pub seq: u64,
    /// When the server stored it.
    pub time: Timestamp,
    /// How often it was delivered, this time included. Outages and refusals with a delay count as well.
    pub deliveries: u64,
    /// Its place among all that the consumer delivered, from 1.
    pub(crate) place: u64,
    /// What the consumer had still to deliver after this one.
    pub(crate) pending: u64,
    reply: async_nats::Subject,
}

impl Delivery {
    /// `None` for what is no message but a status. A publisher can give a message a status line, but not the server's
    /// own address for the acknowledgement.
    fn of(bus: &Bus, message: Message) -> Option<Self> {
        let reply = message.reply.clone().filter(|reply| reply.starts_with("$JS.ACK."))?;
        let message = jetstream::Message { message, context: jetstream::new(bus.client().clone()) };
        let info = message.info().ok()?;
        let unix_ms = i64::try_from(info.published.unix_timestamp_nanos() / 1_000_000).unwrap_or(0);
        Some(Self {
            stream: info.stream.to_owned(),
            seq: info.stream_sequence,
            time: Timestamp::from_unix_ms(unix_ms),
            deliveries: u64::try_from(info.delivered).unwrap_or(1),
            place: info.consumer_sequence,
            pending: info.pending,
            subject: message.message.subject.to_string(),
            headers: message.message.headers.unwrap_or_default(),
            payload: message.message.payload,
            reply,
        })
    }

    /// A message that was read in another way: its headers are lost, and nobody knows how often it was delivered.
    pub(crate) fn of_stored(stored: Stored, stream: &str, reply: String) -> Self {
        let Stored { subject, seq, time, payload, .. } = stored;
        let subject = subject.chars().map(|character| {
            if character.is_ascii_graphic() { character.into() } else { format!("%{:02X}", u32::from(character)) }
        });
        let subject = subject.collect();
        let (stream, headers) = (stream.to_owned(), HeaderMap::new());
        Self { stream, subject, payload, headers, seq, time, deliveries: 2, place: 0, pending: 0, reply: reply.into() }
    }

    /// The event that it is; `None` if its subject is no job's.
    pub fn recorded(&self) -> Option<(JobId, Recorded)> {
        let (job, event) = Event::read(&self.subject, &self.payload)?;
        Some((job, Recorded { seq: self.seq, time: self.time, event }))
    }

    /// The trace that its writer belongs to, as it stands in the message.
    pub fn traceparent(&self) -> Option<&str> {
        self.headers.get("traceparent").map(async_nats::HeaderValue::as_str)
    }

    /// Tells the server. A lost answer means that the message comes again, which is harmless.
    pub(crate) async fn answer(&self, bus: &Bus, kind: AckKind) {
        self.answer_with(bus, kind.into()).await;
    }

    /// Ends the deliveries, with a reason for whoever listens to advisories.
    pub(crate) async fn terminate(&self, bus: &Bus, reason: &str) {
        self.answer_with(bus, format!("+TERM {reason}").into()).await;
    }

    async fn answer_with(&self, bus: &Bus, answer: Bytes) {
        if let Err(error) = bus.client().publish(self.reply.clone(), answer).await {
            tracing::warn!(message.seq = self.seq, %error, "an acknowledgement got lost");
        }
    }
}

/// The open end of a durable consumer.
pub(crate) struct Puller {
    bus: Bus,
    stream: String,
    consumer: String,
    session: Option<Session>,
    rescue: Rescue,
    /// Whether the last try failed, so that an outage is one line in the log.
    is_troubled: bool,
}

struct Session {
    inbox: String,
    answers: Subscriber,
    /// Which connection it belongs to.
    connects: u64,
    /// Messages that the server may still send for the open request.
    open: usize,
    heard: Instant,
}

impl Puller {
    pub(crate) fn new(bus: &Bus, stream: &str, consumer: &str) -> Self {
        let (stream, consumer, rescue) = (stream.to_owned(), consumer.to_owned(), Rescue::new(stream, consumer));
        Self { bus: bus.clone(), stream, consumer, session: None, rescue, is_troubled: false }
    }

    /// The next message, however long that takes. It may be dropped at any time and called again.
    pub(crate) async fn next(&mut self, room: usize) -> Delivery {
        loop {
            match self.try_next(room).await {
                Ok(delivery) => {
                    self.is_troubled = false;
                    return delivery;
                }
                Err(error) => {
                    if !std::mem::replace(&mut self.is_troubled, true) {
                        tracing::warn!(%error, cause = ?std::error::Error::source(&error), "pulling again and again");
                    }
                    sleep(PAUSE).await;
                }
            }
        }
    }

    /// The next message, or why there is none; the next call begins anew.
    pub(crate) async fn try_next(&mut self, room: usize) -> Result<Delivery, Error> {
        loop {
            match self.step(room).await {
                Ok(Some(delivery)) => {
                    if delivery.deliveries > 1 {
                        Counters::add(&self.bus.counters().redeliveries);
                    }
                    return Ok(delivery);
                }
                Ok(None) => {}
                Err(error) => {
                    self.session = None;
                    return Err(error);
                }
            }
        }
    }

    /// Ends the pull; what was on its way comes back, for another process to take.
    pub(crate) async fn close(mut self) -> Vec<Delivery> {
        let mut left = self.rescue.close();
        let Some(mut session) = self.session.take() else { return left };
        let draining = async {
            session.answers.drain().await.ok();
            while let Some(answer) = session.answers.next().await {
                left.extend(Delivery::of(&self.bus, answer));
            }
        };
        if timeout(DRAIN_LIMIT, draining).await.is_err() {
            tracing::warn!("what was on its way could not be handed back; it comes again by itself");
        }
        left
    }

    /// One message, or `None` if there is a reason to look again. After an error it has to begin anew.
    pub(crate) async fn step(&mut self, room: usize) -> Result<Option<Delivery>, Error> {
        let connects = self.bus.link().borrow().connects;
        if let Some(session) = self.session.as_mut().filter(|session| session.connects != connects) {
            // What had come before the connection was lost still counts.
            if let Some(Some(answer)) = session.answers.next().now_or_never() {
                return self.read(answer);
            }
            self.session = None;
            self.rescue.begin();
        }
        let failed = |cause| Error::Pull(format!("{}/{}", self.stream, self.consumer), cause);
        if let Some(delivery) = self.rescue.next(&self.bus).await.map_err(failed)? {
            return Ok(Some(delivery));
        }
        if self.session.is_none() {
            self.session = Some(Session::open(&self.bus).await.map_err(failed)?);
        }
        let session = self.session.as_mut().expect("opened above");
        if session.open == 0 {
            let to = format!("$JS.API.CONSUMER.MSG.NEXT.{}.{}", self.stream, self.consumer);
            session.ask(&self.bus, to, room).await.map_err(failed)?;
        }
        let mut link = self.bus.link();
        let answer = tokio::select! {
            biased;
            answer = session.answers.next() => answer,
            _ = link.wait_for(|link| link.connects != session.connects) => return Ok(None),
            () = sleep_until(session.heard + SILENCE) => return Err(failed(Cause::Timeout)),
        };
        match answer {
            Some(answer) => self.read(answer),
            None => Err(failed(Cause::Disconnected)),
        }
    }

    fn read(&mut self, answer: Message) -> Result<Option<Delivery>, Error> {
        let Some(session) = &mut self.session else { return Ok(None) };
        session.heard = Instant::now();
        let (status, description) = (answer.status, answer.description.clone());
        if let Some(delivery) = Delivery::of(&self.bus, answer) {
            session.open = session.open.saturating_sub(1);
            return Ok(Some(delivery));
        }
        let failed = |cause| Err(Error::Pull(format!("{}/{}", self.stream, self.consumer), cause));
        match status {
            Some(StatusCode::IDLE_HEARTBEAT) => Ok(None),
            // Expired: nothing came.
            Some(StatusCode::TIMEOUT | StatusCode::NOT_FOUND) => {
                session.open = 0;
                Ok(None)
            }
            Some(StatusCode::NO_RESPONDERS) => failed(Cause::NoResponders),
            status => failed(Cause::Refused {
                code: 0,
                status: status.map_or(500, |status| status.as_u16()),
                description: description.unwrap_or_default(),
            }),
        }
    }
}

impl Session {
    async fn open(bus: &Bus) -> Result<Self, Cause> {
        bus.wait_for_link().await?;
        let connects = bus.link().borrow().connects;
        let inbox = bus.client().new_inbox();
        let answers = bus.client().subscribe(inbox.clone()).await.map_err(Cause::client)?;
        Ok(Self { inbox, answers, connects, open: 0, heard: Instant::now() })
    }

    async fn ask(&mut self, bus: &Bus, to: String, room: usize) -> Result<(), Cause> {
        let nanos = |duration: Duration| u64::try_from(duration.as_nanos()).expect("seconds");
        let body = json!({"batch": room, "expires": nanos(EXPIRES), "idle_heartbeat": nanos(HEARTBEAT)});
        let sent = bus.client().publish_with_reply(to, self.inbox.clone(), body.to_string().into()).await;
        sent.map_err(Cause::client)?;
        self.open = room;
        self.heard = Instant::now();
        Ok(())
    }
}
