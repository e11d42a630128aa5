//! A node that lost the others, or froze, still holds its connections: whoever stays with it waits for ever. So a
//! connection through which no leader was heard for a while is made anew, with another server if there is one.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use async_nats::{ReconnectToServer, Server};

use crate::Cause;

/// Longer than an ordinary election, which another connection would not end.
const PATIENCE: Duration = Duration::from_secs(6);
/// So many requests have to fail: one that is denied is never answered either.
const LEAST_FAILURES: u32 = 3;
/// The server's error number for an API that has lost its leader.
const NO_META_LEADER: u64 = 10_008;

/// What one connection hears of leaders.
#[derive(Debug, Default)]
pub(crate) struct Leaderless {
    /// The first failure since the last request that a leader answered, and how many there were.
    since: Mutex<Option<(Instant, u32)>>,
    /// Whether the present server is to be left.
    is_leaving: AtomicBool,
    /// How many servers were chosen here.
    turns: AtomicUsize,
}

impl Leaderless {
    /// Takes a request's outcome; whether it is time to look for another server.
    pub(crate) fn note(&self, failure: Option<&Cause>) -> bool {
        let mut since = self.since.lock().expect("nothing panics under this lock");
        if !failure.is_some_and(is_silence) {
            *since = None;
            return false;
        }
        let (first, failures) = since.map_or((Instant::now(), 1), |(first, failures)| (first, failures + 1));
        let is_time = failures >= LEAST_FAILURES && first.elapsed() >= PATIENCE;
        *since = (!is_time).then_some((first, failures));
        if is_time {
            self.is_leaving.store(true, Ordering::Relaxed);
        }
        is_time
    }

    /// The server refuses something, and will never answer it: that says nothing of leaders.
    pub(crate) fn denied(&self) {
        *self.since.lock().expect("nothing panics under this lock") = None;
    }

    /// The server to try instead of the present one: each in its turn. The client by itself tries those first that
    /// never failed, and of three nodes that may be the one that lost the other two.
    pub(crate) fn another(&self, servers: &[Server]) -> Option<ReconnectToServer> {
        if !self.is_leaving.load(Ordering::Relaxed) || servers.is_empty() {
            return None;
        }
        let turn = self.turns.fetch_add(1, Ordering::Relaxed) % servers.len();
        Some(ReconnectToServer { addr: servers[turn].addr.clone(), delay: None })
    }

    /// A connection stands: the next one that is lost is lost for another reason.
    pub(crate) fn arrived(&self) {
        self.is_leaving.store(false, Ordering::Relaxed);
    }
}

fn is_silence(cause: &Cause) -> bool {
    match cause {
        Cause::Timeout | Cause::NoResponders => true,
        Cause::Refused { code, .. } => *code == NO_META_LEADER,
        _ => false,
    }
}
