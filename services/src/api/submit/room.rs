//! Whether the log has room for another job, asked of it every few seconds and not for every request.

use std::time::{Duration, Instant};

use nats::{Log, Room};
use tokio::sync::Mutex;

use crate::http::code::Code;
use crate::http::problem::Problem;

/// How old an answer may be.
const FRESH: Duration = Duration::from_secs(2);

/// A log that is full does not empty itself quickly.
const RETRY: Duration = Duration::from_mins(1);

/// The log's last answer.
#[derive(Default)]
pub(in crate::api) struct Space(Mutex<Option<(Instant, Room)>>);

impl Space {
    /// Refuses when only the room is left that accepted jobs need to end. One caller asks, the others wait for its answer.
    pub(super) async fn check(&self, log: &Log) -> Result<(), Problem> {
        let mut known = self.0.lock().await;
        let room = match *known {
            Some((at, room)) if at.elapsed() < FRESH => room,
            _ => {
                let room = log.room().await.map_err(|error| {
                    tracing::warn!(error = crate::chain(&error), "no job is accepted while the log does not answer");
                    Problem::new(Code::LogUnavailable, "kiln's log does not answer; try again")
                })?;
                known.insert((Instant::now(), room)).1
            }
        };
        if room.is_scarce() { Err(queue_full()) } else { Ok(()) }
    }
}

/// 503: nothing more is accepted for a while.
pub(super) fn queue_full() -> Problem {
    tracing::error!("the log is nearly full, and no job is accepted: raise its max_bytes, or lower its max_age");
    Problem::new(Code::QueueFull, "the queue is full; try again later").retry_after(RETRY)
}
