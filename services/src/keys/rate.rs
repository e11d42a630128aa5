//! How often a key may still be used: a bucket of tokens that holds a minute's worth, and fills all the time.

use std::time::{Duration, Instant};

/// What is left of one key's minute.
pub(super) struct Allowance {
    tokens: f64,
    at: Instant,
}

impl Allowance {
    /// A full one.
    pub(super) fn new(per_minute: u32, now: Instant) -> Self {
        Self { tokens: per_minute.into(), at: now }
    }

    /// Takes one token, or says how long it takes until there is one.
    pub(super) fn take(&mut self, per_minute: u32, now: Instant) -> Result<(), Duration> {
        let per_second = f64::from(per_minute) / 60.0;
        let grown = now.saturating_duration_since(self.at).as_secs_f64() * per_second;
        (self.tokens, self.at) = ((self.tokens + grown).min(per_minute.into()), now);
        if self.tokens >= 1.0 {
            self.tokens -= 1.0;
            return Ok(());
        }
        Err(Duration::from_secs_f64((1.0 - self.tokens) / per_second))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_may_be_used_at_once_and_then_fills_again() {
        let start = Instant::now();
        let mut allowance = Allowance::new(60, start);
        for n in 0..60 {
            assert_eq!(allowance.take(60, start), Ok(()), "{n}");
        }
        assert_eq!(allowance.take(60, start), Err(Duration::from_secs(1)));
        assert!(allowance.take(60, start + Duration::from_millis(999)).is_err());
        assert_eq!(allowance.take(60, start + Duration::from_millis(1001)), Ok(()));
        let much_later = start + Duration::from_hours(1);
        let taken = (0..100).filter(|_| allowance.take(60, much_later).is_ok()).count();
        assert_eq!(taken, 60, "it holds no more than a minute's worth");
    }
}
