//! What this process wrote a moment ago, so that a poll right after it is never answered from a projection that lags.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use events::JobId;

/// How long the projection may lag before this memory is given up.
const LAG: Duration = Duration::from_mins(1);
/// How many jobs are remembered before the old ones are let go.
const MANY: usize = 10_000;

/// The versions that this process has seen in the log.
#[derive(Default)]
pub(super) struct Written(Mutex<HashMap<JobId, (Instant, u64)>>);

impl Written {
    /// Remembers that the job has this version in the log.
    pub(super) fn note(&self, id: JobId, version: u64) {
        let mut all = self.0.lock().expect("nothing panics while it holds this lock");
        if all.len() >= MANY {
            all.retain(|_, (at, _)| at.elapsed() < LAG);
        }
        all.insert(id, (Instant::now(), version));
    }

    /// The version that a poll must not fall below.
    pub(super) fn version(&self, id: JobId) -> u64 {
        let all = self.0.lock().expect("nothing panics while it holds this lock");
        all.get(&id).map_or(0, |(_, version)| *version)
    }
}
