//! A node that lost the others, or froze, still holds its connections: whoever stays with it waits for ever. So a
//! connection through which no leader was heard for a while is made anew, with another server if there is one.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::Cause;

/// Longer than an ordinary election, which another connection would not end.
const PATIENCE: Duration = Duration::from_secs(6);
/// So many requests have to fail: one that is denied is never answered either.
const LEAST_FAILURES: u32 = 3;
/// The server's error number for an API that has lost its leader.
const NO_META_LEADER: u64 = 10_008;

/// The requests since the last one that a leader answered.
#[derive(Debug, Default)]
pub(crate) struct Leaderless(Mutex<Option<(Instant, u32)>>);

impl Leaderless {
    /// Takes a request's outcome; whether it is time to look for another server.
    pub(crate) fn note(&self, failure: Option<&Cause>) -> bool {
        let mut since = self.0.lock().expect("nothing panics under this lock");
        if !failure.is_some_and(is_silence) {
            *since = None;
            return false;
        }
        let (first, failures) = since.map_or((Instant::now(), 1), |(first, failures)| (first, failures + 1));
        let is_time = failures >= LEAST_FAILURES && first.elapsed() >= PATIENCE;
        *since = (!is_time).then_some((first, failures));
        is_time
    }
}

fn is_silence(cause: &Cause) -> bool {
    match cause {
        Cause::Timeout | Cause::NoResponders => true,
        Cause::Refused { code, .. } => *code == NO_META_LEADER,
        _ => false,
    }
}
