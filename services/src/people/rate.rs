//! How long a render will still take, by how fast it went.

use std::time::Duration;

use ::events::wire::client::Poll;
use ::events::{Attempt, WaitingFor};
use tokio::time::Instant;

/// What is said earlier is a guess.
const LEAST: Duration = Duration::from_secs(2);
/// And so is what is said by fewer percent.
const LEAST_PERCENT: u8 = 2;

/// What was seen of the attempt that renders.
#[derive(Debug, Default)]
pub(super) struct Rate {
    first: Option<(Attempt, Instant, u8)>,
    last: Option<(Instant, u8)>,
}

impl Rate {
    /// The rest, as of now, if enough was seen to tell.
    pub(super) fn left(&mut self, now: Instant, poll: &Poll) -> Option<Duration> {
        if poll.waiting_for != Some(WaitingFor::Render) || poll.progress >= 100 {
            (self.first, self.last) = (None, None);
            return None;
        }
        match self.first {
            Some((attempt, ..)) if attempt == poll.attempt => {}
            _ => self.first = Some((poll.attempt, now, poll.progress)),
        }
        if self.last.is_none_or(|(_, percent)| percent != poll.progress) {
            self.last = Some((now, poll.progress));
        }
        let ((_, began, from), (reported, percent)) = (self.first?, self.last?);
        let took = reported.duration_since(began);
        let gained = percent.checked_sub(from)?;
        if took < LEAST || gained < LEAST_PERCENT {
            return None;
        }
        let whole = took * u32::from(100 - percent) / u32::from(gained);
        Some(whole.saturating_sub(now.duration_since(reported)))
    }
}

#[cfg(test)]
mod tests {
    use ::events::WaitingFor::{Container, Render};
    use ::events::{JobId, Status, Timestamp};

    use super::*;

    fn poll(attempt: u16, progress: u8, waiting_for: WaitingFor) -> Poll {
        Poll {
            job_id: JobId::new(0, [0; 10]),
            kind: "render".into(),
            status: Status::Processing,
            progress,
            stage: None,
            attempt: Attempt::new(attempt).expect("an attempt"),
            queue_position: None,
            waiting_for: Some(waiting_for),
            until: None,
            result: None,
            error: None,
            download_url: None,
            download_url_expires_at: None,
            metadata: serde_json::Map::new(),
            created_at: None,
            updated_at: Timestamp::default(),
        }
    }

    #[test]
    fn the_rest_follows_from_what_was_seen_of_this_attempt_alone() {
        let begin = Instant::now();
        let mut rate = Rate::default();
        let mut left = |ms: u64, attempt, progress, waiting_for| {
            let left = rate.left(begin + Duration::from_millis(ms), &poll(attempt, progress, waiting_for));
            left.map(|left| left.as_secs())
        };
        assert_eq!(left(0, 1, 30, Container), None);
        assert_eq!(left(10_000, 1, 30, Render), None);
        assert_eq!(left(11_000, 1, 40, Render), None, "too early to say");
        assert_eq!(left(20_000, 1, 50, Render), Some(25));
        assert_eq!(left(25_000, 1, 50, Render), Some(20), "time goes on without news");
        assert_eq!(left(90_000, 1, 50, Render), Some(0));
        assert_eq!(left(91_000, 2, 30, Render), None, "another attempt begins anew");
        assert_eq!(left(95_000, 2, 50, Render), Some(10));
        assert_eq!(left(96_000, 2, 50, Container), None);
        assert_eq!(left(99_000, 2, 50, Render), None);
    }
}
