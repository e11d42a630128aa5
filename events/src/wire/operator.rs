//! Whoever runs a kiln ↔ api: how it is, and what could not be obeyed.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::client::Counts;
use crate::{JobId, Timestamp};

/// `GET /api/health`: how kiln is, for people. Machines ask `/readyz`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Health {
    /// `down` if the log or the store is: then nothing is accepted. `degraded` if any other part is not well.
    pub status: Condition,
    /// What it stands on.
    pub parts: Vec<Part>,
    /// The jobs that are alive.
    pub queue: Queue,
    /// How many jobs there are in all.
    pub counts: Counts,
}

/// How something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Condition {
    /// Well.
    Ok,
    /// It works, slowly or in part.
    Degraded,
    /// It does not work.
    Down,
    /// Nobody can tell now.
    Unknown,
}

/// One of the things that kiln stands on.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Part {
    /// `log`, `store`, `provider`, `projection` or `workers`.
    pub name: String,
    /// How it is.
    pub status: Condition,
    /// One sentence for people.
    pub detail: String,
}

/// The jobs that are alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Queue {
    /// Those that are pending.
    pub waiting: u64,
    /// How long the first of them has waited; `null` for an empty queue.
    pub oldest_waiting_seconds: Option<u64>,
    /// Those that the GPU provider has.
    pub in_flight: u64,
    /// All of them by what they wait for.
    pub waiting_for: Waits,
}

/// How many jobs wait for what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Waits {
    /// A place among the renders in flight.
    pub slot: u64,
    /// The GPU provider to take it.
    pub modal: u64,
    /// A container to start and claim it.
    pub container: u64,
    /// The render to finish.
    pub render: u64,
    /// The pause before the next attempt.
    pub retry: u64,
    /// Us to find out what became of a silent render.
    pub reconcile: u64,
}

/// `GET /api/deadletters`: a page of dead letters, the newest first.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeadLetterList {
    /// The letters.
    pub dead_letters: Vec<DeadLetter>,
    /// Gives the next page; `null` at the end.
    pub next_cursor: Option<String>,
    /// How many there are in all.
    pub total: u64,
}

/// A copy of a message that could not be obeyed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeadLetter {
    /// Its name: its sequence among the letters.
    pub id: String,
    /// When it was kept.
    pub time: Timestamp,
    /// The subject of the message.
    pub subject: String,
    /// The job of that subject, if it is a job's.
    pub job_id: Option<JobId>,
    /// Why nobody could obey it.
    pub reason: String,
    /// The stream in which the message lies.
    pub stream: String,
    /// Its sequence there.
    pub sequence: u64,
}

/// `GET /api/deadletters/{letter}`: with what the message says.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WholeDeadLetter {
    /// What the list tells.
    #[serde(flatten)]
    pub letter: DeadLetter,
    /// The message's headers; what looks like a secret is not shown.
    pub headers: BTreeMap<String, String>,
    /// The message's beginning as text; what looks like a secret is not shown.
    pub body: String,
    /// Whether there is more of it than is shown.
    pub body_truncated: bool,
    /// The message's whole length in bytes.
    pub size_bytes: u64,
}

/// `202` to the wish to have a message read again.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Redriven {
    /// The letter.
    pub id: String,
    /// The stream that is read again.
    pub stream: String,
    /// From where.
    pub sequence: u64,
    /// What that does, in one sentence.
    pub effect: String,
}
