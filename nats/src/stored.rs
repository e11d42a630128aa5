//! Reading single messages out of a stream.

use async_nats::{HeaderMap, Message, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use events::{Event, JobId, Recorded, Timestamp};
use futures_util::StreamExt;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::bus::ANSWER_LIMIT;
use crate::ears::Ear;
use crate::unreadable::is_readable;
use crate::{Bus, Cause};

/// The server's error number for a message that does not exist.
const MESSAGE_NOT_FOUND: u64 = 10037;

/// A message as its stream holds it.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    pub(crate) subject: String,
    pub(crate) seq: u64,
    pub(crate) time: Timestamp,
    pub(crate) payload: Bytes,
    /// Whether it arrives where it is delivered, see [`crate::unreadable`].
    pub(crate) is_readable: bool,
}

impl Stored {
    /// Reads an answer to a direct get. The server puts its own headers behind those of whoever published, so the last
    /// of each counts. `None` for what is no message but a status.
    fn of_direct_get(message: Message) -> Option<Self> {
        let headers = message.headers?;
        let last = |name: &str| headers.get_last(name).map(|value| value.as_str().to_owned());
        let (subject, seq) = (last("Nats-Subject")?, last("Nats-Sequence")?.parse().ok()?);
        let time = Timestamp::parse(&last("Nats-Time-Stamp")?).ok()?;
        Some(Self { subject, seq, time, payload: message.payload, is_readable: true })
    }

    /// The event that it is; `None` if its subject is no job's.
    pub(crate) fn recorded(&self) -> Option<(JobId, Recorded)> {
        let (job, event) = Event::read(&self.subject, &self.payload)?;
        Some((job, Recorded { seq: self.seq, time: self.time, event }))
    }
}

/// The newest message on each subject below one of the filters, by sequence, from whichever replica answers. If that
/// loses the connection, because one message cannot be read so, from the leader.
pub(crate) async fn last_of_each(bus: &Bus, stream: &str, filters: &[String]) -> Result<Vec<Stored>, Cause> {
    if !filters.iter().any(|filter| bus.unreadable().contains(filter)) {
        let answer = answers(bus, stream, json!({"multi_last": filters})).await;
        if !matches!(answer, Err(Cause::Lost)) {
            return answer;
        }
    }
    let mut found = Vec::new();
    for filter in filters {
        found.extend(each_of_leader(bus, stream, filter).await?);
    }
    found.sort_unstable_by_key(|stored| stored.seq);
    Ok(found)
}

async fn answers(bus: &Bus, stream: &str, body: Value) -> Result<Vec<Stored>, Cause> {
    bus.wait_for_link().await?;
    let reading = bus.unless_lost(async {
        let mut ear = bus.ears().take(bus).await?;
        let to = format!("$JS.API.DIRECT.GET.{stream}");
        let asked = bus.client().publish_with_reply(to, ear.inbox.clone(), body.to_string().into()).await;
        asked.map_err(Cause::client)?;
        let found = heard(&mut ear).await?;
        // Only one that has heard the end of its answer: what came of another question is no answer to the next.
        bus.ears().put_back(ear);
        Ok(found)
    });
    tokio::time::timeout(ANSWER_LIMIT, reading).await.map_err(|_| Cause::Timeout)?
}

/// The messages of one answer, to its end.
async fn heard(ear: &mut Ear) -> Result<Vec<Stored>, Cause> {
    let mut found = Vec::new();
    while let Some(answer) = ear.answers.next().await {
        let (status, description) = (answer.status, answer.description.clone());
        match (Stored::of_direct_get(answer), status) {
            (Some(message), _) => found.push(message),
            (None, Some(StatusCode::NOT_FOUND)) => return Ok(Vec::new()),
            (None, Some(status)) if status.as_u16() == 204 => return Ok(found),
            (None, status) => return Err(refused(status, description)),
        }
    }
    Err(Cause::Disconnected)
}

/// The next messages from a sequence on below a filter, at most so many, from whichever replica answers.
pub(crate) async fn next(bus: &Bus, stream: &str, seq: u64, filter: &str, batch: u32) -> Result<Vec<Stored>, Cause> {
    answers(bus, stream, json!({"seq": seq, "batch": batch, "next_by_subj": filter})).await
}

/// The newest message on one subject, from whichever replica answers. If that loses the connection, from the leader.
pub(crate) async fn last(bus: &Bus, stream: &str, subject: &str) -> Result<Option<Stored>, Cause> {
    match one(bus, format!("$JS.API.DIRECT.GET.{stream}.{subject}"), Bytes::new()).await {
        Err(Cause::Lost) => last_of_leader(bus, stream, subject).await,
        answer => answer,
    }
}

/// The message with a sequence, from whichever replica answers: about half of the server's work for [`last`], which looks
/// for the subject among all, and then in its block. If that loses the connection, that is the error.
pub(crate) async fn at(bus: &Bus, stream: &str, seq: u64) -> Result<Option<Stored>, Cause> {
    one(bus, format!("$JS.API.DIRECT.GET.{stream}"), format!("{{\"seq\":{seq}}}").into()).await
}

async fn one(bus: &Bus, to: String, body: Bytes) -> Result<Option<Stored>, Cause> {
    let answer = bus.unless_lost(bus.answer(to, HeaderMap::new(), body)).await?;
    let (status, description) = (answer.status, answer.description.clone());
    match (Stored::of_direct_get(answer), status) {
        (Some(message), _) => Ok(Some(message)),
        (None, Some(StatusCode::NOT_FOUND)) => Ok(None),
        (None, status) => Err(refused(status, description)),
    }
}

fn refused(status: Option<StatusCode>, description: Option<String>) -> Cause {
    match status {
        Some(StatusCode::NO_RESPONDERS) => Cause::NoResponders,
        status => Cause::Refused {
            code: 0,
            status: status.map_or(500, |status| status.as_u16()),
            description: description.unwrap_or_default(),
        },
    }
}

/// The newest message on one subject, as the stream's leader knows it.
pub(crate) async fn last_of_leader(bus: &Bus, stream: &str, subject: &str) -> Result<Option<Stored>, Cause> {
    of_leader(bus, stream, json!({"last_by_subj": subject})).await
}

/// The message with a sequence, as the stream's leader knows it.
pub(crate) async fn at_of_leader(bus: &Bus, stream: &str, seq: u64) -> Result<Option<Stored>, Cause> {
    of_leader(bus, stream, json!({"seq": seq})).await
}

/// The first message from a sequence on below a filter, as the stream's leader knows it.
pub(crate) async fn next_of_leader(bus: &Bus, stream: &str, seq: u64, filter: &str) -> Result<Option<Stored>, Cause> {
    of_leader(bus, stream, json!({"seq": seq, "next_by_subj": filter})).await
}

/// Every message below a filter, by sequence, one by one.
async fn each_of_leader(bus: &Bus, stream: &str, filter: &str) -> Result<Vec<Stored>, Cause> {
    let mut found: Vec<Stored> = Vec::new();
    while let Some(stored) = next_of_leader(bus, stream, found.last().map_or(1, |last| last.seq + 1), filter).await? {
        found.push(stored);
    }
    if found.iter().any(|stored| !stored.is_readable) {
        bus.unreadable().add(filter.to_owned());
    }
    Ok(found)
}

#[derive(Deserialize)]
struct Answer {
    message: Raw,
}

/// A message as the leader tells of it, headers and payload in base64.
#[derive(Deserialize)]
pub(crate) struct Raw {
    pub(crate) subject: String,
    pub(crate) seq: u64,
    pub(crate) time: Timestamp,
    #[serde(default)]
    data: String,
    #[serde(default)]
    hdrs: String,
}

impl Raw {
    pub(crate) fn payload(&self) -> Result<Vec<u8>, Cause> {
        STANDARD.decode(&self.data).map_err(Cause::client)
    }

    /// The block of headers, as whoever published wrote it.
    pub(crate) fn headers(&self) -> Result<Vec<u8>, Cause> {
        STANDARD.decode(&self.hdrs).map_err(Cause::client)
    }
}

async fn of_leader(bus: &Bus, stream: &str, body: Value) -> Result<Option<Stored>, Cause> {
    let Some(raw) = raw_of_leader(bus, stream, body).await? else { return Ok(None) };
    let (payload, is_readable) = (raw.payload()?.into(), is_readable(&raw.subject, &raw.headers()?));
    Ok(Some(Stored { subject: raw.subject, seq: raw.seq, time: raw.time, payload, is_readable }))
}

pub(crate) async fn raw_of_leader(bus: &Bus, stream: &str, body: Value) -> Result<Option<Raw>, Cause> {
    let answer: Result<Answer, Cause> = bus.ask(&format!("STREAM.MSG.GET.{stream}"), &body).await;
    match answer {
        Ok(answer) => Ok(Some(answer.message)),
        Err(Cause::Refused { code: MESSAGE_NOT_FOUND, .. }) => Ok(None),
        Err(cause) => Err(cause),
    }
}
