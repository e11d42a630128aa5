//! The fence: a small object in the bucket that says how far the log was written.
//!
//! The server gives sequences again when a log is made anew, restored from an old copy, or cut off by a bad disk, and
//! says nothing. Only something kept elsewhere can tell. A log that is behind the fence is not written to, until a person
//! mends it or says `kiln fence accept`.

mod command;
mod guard;
mod store;
mod watch;

use std::fmt;

use events::Timestamp;
use nats::{Head, Log};
use serde::{Deserialize, Serialize};

pub use command::{Args, run};
pub use guard::guarded;
pub use store::{Fences, KEY};
pub use watch::{Keeper, Watch};

/// How far the log was written, as the bucket or this process remembers it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Fence {
    /// When the stream was made, in the server's own words.
    pub created: String,
    /// The last sequence that is known to have been written.
    pub last_seq: u64,
    /// When the message with that sequence was stored, if that is known.
    pub last_time: Option<Timestamp>,
    /// How often a person took another log as true. What an older count says is over.
    pub accepted: u32,
    /// When this was written down.
    pub written: Timestamp,
}

/// What the fence says of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// There is neither a fence nor a log.
    Nothing,
    /// There is no fence yet.
    First,
    /// The log holds what was written before.
    Fine,
    /// There is no log.
    Gone {
        /// The last sequence that was written before.
        written: u64,
    },
    /// The stream was made anew.
    Other {
        /// When the present one was made.
        created: String,
        /// When the one was made that was written before.
        written: String,
    },
    /// The log ends too early.
    Behind {
        /// The last sequence that it has.
        last_seq: u64,
        /// The last sequence that was written before.
        written: u64,
    },
    /// Another message lies where the last one lay.
    Replaced {
        /// Its sequence.
        seq: u64,
    },
}

impl Verdict {
    /// Whether the log may be written.
    pub fn is_fine(&self) -> bool {
        matches!(self, Self::Nothing | Self::First | Self::Fine)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MEND: &str = "bring the log back, or run `kiln fence accept` if this is wanted";
        match self {
            Self::Nothing => write!(f, "there is no log yet, and no fence"),
            Self::First => write!(f, "there is no fence yet; the projector makes it"),
            Self::Fine => write!(f, "the log is the one that was written before"),
            Self::Gone { written } => {
                write!(f, "the log is gone: {written} was written before, and there is no stream `RENDER`; {MEND}")
            }
            Self::Other { created, written } => {
                write!(f, "the log is another one: it was made at {created}, the one before at {written}; {MEND}")
            }
            Self::Behind { last_seq, written } => {
                write!(f, "the log went back: it ends at {last_seq}, and {written} was written before; {MEND}")
            }
            Self::Replaced { seq } => {
                write!(f, "the log is another one: message {seq} is not the one that was there before; {MEND}")
            }
        }
    }
}

impl Fence {
    /// The fence that says just what the log is now.
    pub fn of(head: &Head, accepted: u32, now: Timestamp) -> Self {
        Self {
            created: head.created.clone(),
            last_seq: head.last_seq,
            last_time: head.last_time,
            accepted,
            written: now,
        }
    }

    /// Whether this one says more than the other: the same log further on, or what a person accepted later.
    pub fn is_beyond(&self, other: &Self) -> bool {
        self.accepted > other.accepted
            || self.accepted == other.accepted && self.created == other.created && self.last_seq > other.last_seq
    }

    fn judge(&self, head: Option<&Head>) -> Verdict {
        match head {
            None => Verdict::Gone { written: self.last_seq },
            Some(head) if head.created != self.created => {
                Verdict::Other { created: head.created.clone(), written: self.created.clone() }
            }
            Some(head) if head.last_seq < self.last_seq => {
                Verdict::Behind { last_seq: head.last_seq, written: self.last_seq }
            }
            Some(_) => Verdict::Fine,
        }
    }
}

/// What the fence says of the log, which is asked what lies where the last message lay.
pub async fn compare(log: &Log, fence: Option<&Fence>, head: Option<&Head>) -> Result<Verdict, nats::Error> {
    let Some(fence) = fence else {
        return Ok(if head.is_some() { Verdict::First } else { Verdict::Nothing });
    };
    let verdict = fence.judge(head);
    if let (Verdict::Fine, Some(time)) = (&verdict, fence.last_time) {
        let found = log.time_of(fence.last_seq).await?;
        if found.is_some_and(|found| found != time) {
            return Ok(Verdict::Replaced { seq: fence.last_seq });
        }
    }
    Ok(verdict)
}
