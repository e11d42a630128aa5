//! Waiting for news of a job: what a long poll and a stream have in common.

use std::sync::Arc;
use std::time::Duration;

use events::JobId;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::Api;
use super::asked::Seen;
use super::view::{Form, View};
use crate::http::problem::Problem;

/// Before a look that failed is tried again: the notice that led to it does not come twice.
const RETRY: Duration = Duration::from_secs(1);

/// Somebody who waits for news of one job.
pub(super) struct Follower {
    api: Api,
    id: JobId,
    form: Form,
    /// What was seen already. It only grows, so nobody is ever told an older state.
    pub(super) seen: Seen,
    changes: watch::Receiver<u64>,
}

impl Follower {
    /// From now on no change is missed.
    pub(super) fn new(api: Api, id: JobId, form: Form, seen: Seen) -> Self {
        let changes = api.watch.subscribe(id);
        Self { api, id, form, seen, changes }
    }

    /// Whether the process is about to stop.
    pub(super) fn stop(&self) -> &CancellationToken {
        &self.api.stop
    }

    /// The job as it is now.
    pub(super) async fn look(&mut self) -> Result<Arc<View>, Problem> {
        self.changes.mark_unchanged();
        self.api.look(self.id, self.form, self.seen.version()).await
    }

    /// The job as soon as there is news of it, else as it is when the time is over, or when the process stops.
    pub(super) async fn wait(&mut self, deadline: Instant) -> Result<Arc<View>, Problem> {
        let mut retry_at = None;
        loop {
            let until = retry_at.map_or(deadline, |retry_at: Instant| retry_at.min(deadline));
            tokio::select! {
                // The index keeps the sender for as long as we listen.
                _ = self.changes.changed() => {}
                () = sleep_until(until) => {}
                () = self.api.stop.cancelled() => return self.look().await,
            }
            let is_over = Instant::now() >= deadline;
            match self.look().await {
                Ok(view) if is_over || !self.seen.covers(&view) => return Ok(view),
                Ok(_) => retry_at = None,
                Err(problem) if is_over || !problem.is_transient() => return Err(problem),
                Err(_) => retry_at = Some(Instant::now() + RETRY),
            }
        }
    }
}
