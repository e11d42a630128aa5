//! The facts of a job's life, one message each.

mod output;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::subject::{self, Kind};
use crate::{Attempt, Failure, JobId, Spec, Timestamp};

pub use output::Output;

/// One fact. Its subject tells the job, the kind and the attempt; its payload is plain JSON.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// A render is wanted. By the api, or any publisher.
    Requested(Requested),
    /// The GPU provider accepted this attempt. By the worker.
    Dispatched(Attempt, Dispatched),
    /// A container took this attempt; the first one wins. By the webhook.
    Started(Attempt, Started),
    /// This attempt is over. By the webhook or the worker.
    AttemptFailed(Attempt, AttemptFailed),
    /// The video is there. By the webhook or the worker.
    Completed(Completed),
    /// Nobody wants it any more. By the api, or the worker for a request that expired.
    Cancelled(Cancelled),
    /// The job is given up. By the worker.
    Failed(Failed),
    /// How far the current attempt is; only the last one is kept. By the webhook and the worker.
    Progressed(Progressed),
    /// A message on a known subject whose payload cannot be read or breaks a bound. It is never obeyed.
    Corrupt(Kind, String),
    /// A message of a kind that a newer release wrote. Kept, shown, without effect.
    Unknown,
}

/// Payload of `requested`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Requested {
    /// What is wanted.
    pub spec: Spec,
}

/// Payload of `dispatched.{n}`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Dispatched {
    /// The provider's name for the call.
    #[schemars(length(min = 1, max = 128))]
    pub call_id: String,
    /// Whether it runs on a GPU.
    #[serde(default)]
    pub gpu: bool,
}

/// Payload of `started.{n}`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Started {
    /// The call that claimed.
    #[schemars(length(min = 1, max = 128))]
    pub call_id: String,
    /// The call's input; the provider keeps it when it restarts a preempted container.
    #[serde(default)]
    #[schemars(length(max = 128))]
    pub input_id: String,
}

/// Payload of `attempt_failed.{n}`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct AttemptFailed {
    /// Why.
    pub failure: Failure,
}

/// Payload of `completed`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Completed {
    /// The attempt that made the video.
    pub attempt: Attempt,
    /// The video.
    pub output: Output,
}

/// Payload of `cancelled`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Cancelled {
    /// Who or what ended it, in a few words.
    #[serde(default)]
    #[schemars(length(max = 256))]
    pub reason: String,
}

/// Payload of `failed`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Failed {
    /// Why.
    pub failure: Failure,
}

/// Payload of `progressed`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Progressed {
    /// The attempt it speaks of.
    pub attempt: Attempt,
    /// What is being done, in lower case with hyphens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^[a-z0-9-]{1,64}$"))]
    pub stage: Option<String>,
    /// From 0 to 99; a job has 100 only when it is complete.
    #[serde(default)]
    #[schemars(range(max = 99))]
    pub progress: u8,
    /// What the job waits for, where it waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting_for: Option<WaitingFor>,
    /// Until when at the latest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// The container's task that reported, the newest one the webhook heard of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub task_id: Option<String>,
}

/// What a job waits for, and so who moves it on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum WaitingFor {
    /// A place among the renders in flight; a worker takes it when one is free.
    Slot,
    /// The GPU provider to take it: it is busy, down, or set up wrongly.
    Modal,
    /// A container to start and claim it.
    Container,
    /// The render to finish.
    Render,
    /// The pause before the next attempt.
    Retry,
    /// Us to find out what became of a silent render.
    Reconcile,
}

impl WaitingFor {
    /// Everything that a job may wait for.
    pub const ALL: [Self; 6] = [Self::Slot, Self::Modal, Self::Container, Self::Render, Self::Retry, Self::Reconcile];

    /// As the wire spells it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Slot => "slot",
            Self::Modal => "modal",
            Self::Container => "container",
            Self::Render => "render",
            Self::Retry => "retry",
            Self::Reconcile => "reconcile",
        }
    }
}

/// An event as the log holds it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Recorded {
    /// Its sequence in its stream, which tells it from every other message there.
    pub seq: u64,
    /// When the server stored it.
    pub time: Timestamp,
    /// What it says.
    pub event: Event,
}

impl Event {
    /// Reads a message. `None` if the subject is no job's; everything else is an event, if only a corrupt or unknown one.
    pub fn read(subject: &str, payload: &[u8]) -> Option<(JobId, Self)> {
        let (job, kind) = subject::parse(subject)?;
        let Some(kind) = kind else {
            return Some((job, Self::Unknown));
        };
        let event = Self::decode(job, kind, payload).unwrap_or_else(|reason| Self::Corrupt(kind, reason));
        Some((job, event))
    }

    fn decode(job: JobId, kind: Kind, payload: &[u8]) -> Result<Self, String> {
        let event = match kind {
            Kind::Requested => Self::Requested(json(payload)?),
            Kind::Dispatched(attempt) => Self::Dispatched(attempt, json(payload)?),
            Kind::Started(attempt) => Self::Started(attempt, json(payload)?),
            Kind::AttemptFailed(attempt) => Self::AttemptFailed(attempt, json(payload)?),
            Kind::Completed => Self::Completed(json(payload)?),
            Kind::Cancelled => Self::Cancelled(json(payload)?),
            Kind::Failed => Self::Failed(json(payload)?),
            Kind::Progressed => Self::Progressed(json(payload)?),
        };
        event.check(job).map(|()| event)
    }

    /// The bounds that the types alone do not hold.
    fn check(&self, job: JobId) -> Result<(), String> {
        let is_right = match self {
            Self::Requested(Requested { spec }) => match spec.errors().first() {
                Some(error) => return Err(format!("`{}` {}", error.pointer, error.detail)),
                None => true,
            },
            Self::Dispatched(_, Dispatched { call_id, .. }) => is_call_id(call_id),
            Self::Started(_, Started { call_id, input_id }) => {
                is_call_id(call_id) && (input_id.is_empty() || is_call_id(input_id))
            }
            Self::AttemptFailed(_, AttemptFailed { failure }) | Self::Failed(Failed { failure }) => failure.is_valid(),
            Self::Completed(Completed { output, .. }) => output.is_valid_for(job),
            Self::Cancelled(Cancelled { reason }) => is_plain(reason, 256),
            Self::Progressed(progressed) => progressed.is_valid(),
            Self::Corrupt(..) | Self::Unknown => true,
        };
        if is_right { Ok(()) } else { Err("a field breaks a bound".into()) }
    }

    /// Its kind, with the attempt where it has one; `None` for one of a newer release.
    pub fn kind(&self) -> Option<Kind> {
        Some(match self {
            Self::Requested(_) => Kind::Requested,
            Self::Dispatched(attempt, _) => Kind::Dispatched(*attempt),
            Self::Started(attempt, _) => Kind::Started(*attempt),
            Self::AttemptFailed(attempt, _) => Kind::AttemptFailed(*attempt),
            Self::Completed(_) => Kind::Completed,
            Self::Cancelled(_) => Kind::Cancelled,
            Self::Failed(_) => Kind::Failed,
            Self::Progressed(_) => Kind::Progressed,
            Self::Corrupt(kind, _) => *kind,
            Self::Unknown => return None,
        })
    }

    /// The payload as JSON; `null` for what was never ours to write.
    pub fn payload(&self) -> serde_json::Value {
        match self {
            Self::Requested(payload) => value(payload),
            Self::Dispatched(_, payload) => value(payload),
            Self::Started(_, payload) => value(payload),
            Self::AttemptFailed(_, payload) => value(payload),
            Self::Completed(payload) => value(payload),
            Self::Cancelled(payload) => value(payload),
            Self::Failed(payload) => value(payload),
            Self::Progressed(payload) => value(payload),
            Self::Corrupt(..) | Self::Unknown => serde_json::Value::Null,
        }
    }
}

impl Progressed {
    /// Nothing but where the attempt stands.
    pub fn new(attempt: Attempt, progress: u8) -> Self {
        Self { attempt, stage: None, progress, waiting_for: None, until: None, task_id: None }
    }

    fn is_valid(&self) -> bool {
        self.progress <= 99
            && self.stage.as_deref().is_none_or(is_stage)
            && self.task_id.as_deref().is_none_or(is_call_id)
    }
}

/// Whether a text may be a stage: 1 to 64 characters of `a–z`, `0–9` and `-`.
pub fn is_stage(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

/// Whether a text may be the provider's name for a call, an input or a task: 1 to 128 printable ASCII characters.
pub fn is_call_id(text: &str) -> bool {
    (1..=128).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

fn is_plain(text: &str, limit: usize) -> bool {
    text.len() <= limit && !text.contains(char::is_control)
}

pub(crate) fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

/// Line and column of a JSON error are kept; what stood there is not, since it may be anything.
fn json<T: DeserializeOwned>(payload: &[u8]) -> Result<T, String> {
    serde_json::from_slice(payload)
        .map_err(|error| format!("the payload is not as documented (line {}, column {})", error.line(), error.column()))
}

fn value<T: Serialize>(payload: &T) -> serde_json::Value {
    serde_json::to_value(payload).expect("maps have string keys and numbers are finite")
}
