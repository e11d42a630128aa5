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
}

impl Stored {
    /// Reads an answer to a direct get. The server puts its own headers behind those of whoever published, so the last
    /// of each counts. `None` for what is no message but a status.
    fn of_direct_get(message: Message) -> Option<Self> {
        let headers = message.headers?;
        let last = |name: &str| headers.get_last(name).map(|value| value.as_str().to_owned());
        let (subject, seq) = (last("Nats-Subject")?, last("Nats-Sequence")?.parse().ok()?);
        let time = Timestamp::parse(&last("Nats-Time-Stamp")?).ok()?;
        Some(Self { subject, seq, time, payload: message.payload })
    }

    /// The event that it is; `None` if its subject is no job's.
    pub(crate) fn recorded(&self) -> Option<(JobId, Recorded)> {
        let (job, event) = Event::read(&self.subject, &self.payload)?;
        Some((job, Recorded { seq: self.seq, time: self.time, event }))
    }
}

/// The newest message on each subject below one of the filters, by sequence, from whichever replica answers.
pub(crate) async fn last_of_each(bus: &Bus, stream: &str, filters: &[String]) -> Result<Vec<Stored>, Cause> {
    bus.wait_for_link().await?;
    let reading = async {
        let inbox = bus.client().new_inbox();
        let mut answers = bus.client().subscribe(inbox.clone()).await.map_err(Cause::client)?;
        let body = json!({"multi_last": filters}).to_string();
        let to = format!("$JS.API.DIRECT.GET.{stream}");
        bus.client().publish_with_reply(to, inbox, body.into()).await.map_err(Cause::client)?;
        let mut found = Vec::new();
        while let Some(answer) = answers.next().await {
            let (status, description) = (answer.status, answer.description.clone());
            match (Stored::of_direct_get(answer), status) {
                (Some(message), _) => found.push(message),
                (None, Some(StatusCode::NOT_FOUND)) => return Ok(Vec::new()),
                (None, Some(status)) if status.as_u16() == 204 => return Ok(found),
                (None, status) => return Err(refused(status, description)),
            }
        }
        Err(Cause::Disconnected)
    };
    tokio::time::timeout(ANSWER_LIMIT, reading).await.map_err(|_| Cause::Timeout)?
}

/// The newest message on one subject, from whichever replica answers.
pub(crate) async fn last(bus: &Bus, stream: &str, subject: &str) -> Result<Option<Stored>, Cause> {
    get(bus, format!("$JS.API.DIRECT.GET.{stream}.{subject}"), Bytes::new()).await
}

/// The message with a sequence, from whichever replica answers.
pub(crate) async fn at(bus: &Bus, stream: &str, seq: u64) -> Result<Option<Stored>, Cause> {
    get(bus, format!("$JS.API.DIRECT.GET.{stream}"), json!({"seq": seq}).to_string().into()).await
}

async fn get(bus: &Bus, to: String, body: Bytes) -> Result<Option<Stored>, Cause> {
    let answer = bus.answer(to, HeaderMap::new(), body).await?;
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

/// The first message from a sequence on below a filter, as the stream's leader knows it.
pub(crate) async fn next_of_leader(bus: &Bus, stream: &str, seq: u64, filter: &str) -> Result<Option<Stored>, Cause> {
    of_leader(bus, stream, json!({"seq": seq, "next_by_subj": filter})).await
}

#[derive(Deserialize)]
struct Answer {
    message: Raw,
}

#[derive(Deserialize)]
struct Raw {
    subject: String,
    seq: u64,
    time: Timestamp,
    #[serde(default)]
    data: String,
}

async fn of_leader(bus: &Bus, stream: &str, body: Value) -> Result<Option<Stored>, Cause> {
    let answer: Result<Answer, Cause> = bus.ask(&format!("STREAM.MSG.GET.{stream}"), &body).await;
    let Raw { subject, seq, time, data } = match answer {
        Ok(answer) => answer.message,
        Err(Cause::Refused { code: MESSAGE_NOT_FOUND, .. }) => return Ok(None),
        Err(cause) => return Err(cause),
    };
    let payload = STANDARD.decode(data).map_err(Cause::client)?.into();
    Ok(Some(Stored { subject, seq, time, payload }))
}
