//! How patient a worker is.

use std::time::Duration;

use crate::Attempt;

/// Deadlines and pauses. A request's own limits (`maxAttempts`, `deadlineSeconds`, `expiresAt`) are in its [`crate::Spec`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Policy {
    /// From dispatch to claim; then the provider is asked.
    pub start: Duration,
    /// From one sign of life to the next; then the provider is asked.
    pub silence: Duration,
    /// Between attempts; the last one repeats.
    pub backoff: [Duration; 3],
    /// Before an unanswered request is repeated, doubling up to `slowest`.
    pub repeat: Duration,
    /// Between two questions about a call that goes on, doubling up to `slowest`.
    pub ask: Duration,
    /// The longest of those pauses.
    pub slowest: Duration,
    /// How often a call must be unknown before it counts as lost.
    pub asks_until_lost: u32,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            start: Duration::from_mins(10),
            silence: Duration::from_mins(5),
            backoff: [5, 20, 60].map(Duration::from_secs),
            repeat: Duration::from_secs(1),
            ask: Duration::from_secs(30),
            slowest: Duration::from_mins(10),
            asks_until_lost: 3,
        }
    }
}

impl Policy {
    /// The pause before attempt `n`, between 80 and 120 % of the table's, spread by the job's own `jitter`.
    pub fn backoff(&self, jitter: u64, n: Attempt) -> Duration {
        let index = usize::from(n.get()).saturating_sub(2).min(self.backoff.len() - 1);
        let percent = 80 + (jitter.wrapping_add(n.get().into()) % 41);
        self.backoff[index] * u32::try_from(percent).unwrap_or(100) / 100
    }

    /// The pause before a request that failed `tries` times is repeated.
    pub fn pause(&self, tries: u32) -> Duration {
        doubled(self.repeat, tries, self.slowest.min(Duration::from_mins(1)))
    }

    /// The pause before the provider is asked once more about a call that it was asked about `asks` times.
    pub fn patience(&self, asks: u32) -> Duration {
        doubled(self.ask, asks, self.slowest)
    }
}

fn doubled(base: Duration, times: u32, limit: Duration) -> Duration {
    base.saturating_mul(1_u32.checked_shl(times.saturating_sub(1)).unwrap_or(u32::MAX)).min(limit)
}
