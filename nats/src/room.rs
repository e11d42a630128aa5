//! The log as a whole: what was asked for, and how full it is. Accepting stops before appending does, so that jobs that were accepted can still end.

use events::{JobId, Recorded, subject};
use serde::Deserialize;
use serde_json::json;

use crate::stored::{Stored, next};
use crate::topology::RENDER;
use crate::{Error, Log};

/// Requests that are read at once.
const BATCH: u32 = 256;

/// The log's size, as its leader tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// What it holds, in bytes.
    pub bytes: u64,
    /// What it may hold; `None` without a limit.
    pub max_bytes: Option<u64>,
}

#[derive(Deserialize)]
struct Info {
    config: Config,
    state: State,
}

#[derive(Deserialize)]
struct Config {
    max_bytes: i64,
}

#[derive(Deserialize)]
struct State {
    bytes: u64,
}

impl Room {
    /// Whether what is left, the last tenth, is for jobs that were accepted.
    pub fn is_scarce(&self) -> bool {
        self.max_bytes.is_some_and(|max| self.bytes >= max / 10 * 9)
    }
}

impl Log {
    /// The next requests behind this sequence, a few hundred at most; none at the end.
    pub async fn requests(&self, after: u64) -> Result<Vec<(JobId, Recorded)>, Error> {
        let found = next(self.bus(), RENDER, after + 1, subject::ALL_REQUESTED, BATCH).await;
        Ok(found.map_err(Error::Room)?.iter().filter_map(Stored::recorded).collect())
    }

    /// Asks the leader.
    pub async fn room(&self) -> Result<Room, Error> {
        let info: Result<Info, _> = self.bus().ask(&format!("STREAM.INFO.{RENDER}"), &json!({})).await;
        let info = info.map_err(Error::Room)?;
        let max_bytes = u64::try_from(info.config.max_bytes).ok().filter(|max| *max > 0);
        Ok(Room { bytes: info.state.bytes, max_bytes })
    }
}
