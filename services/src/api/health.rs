//! `GET /api/health`: how kiln is, for people. It is put together from what others know; nothing is measured for it.

mod parts;

use std::time::Instant;

use axum::Json;
use axum::extract::State;
use events::wire::operator::{Condition, Health, Queue, Waits};
use events::{Status, WaitingFor};
use tokio::sync::Mutex;

use super::{Api, list};
use crate::clock;

/// Whether the store answered, and when it was asked.
pub(super) type StoreSeen = Mutex<Option<(Instant, bool)>>;

pub(super) async fn health(State(api): State<Api>) -> Json<Health> {
    let counts = list::counts(api.watch.counts());
    let queue = api.queue(counts.pending, counts.processing);
    let (log, store, projection, workers) =
        tokio::join!(api.log_part(), api.store_part(), api.projection_part(), api.workers_part(queue.waiting));
    let parts = vec![log, store, parts::provider(&queue), projection, workers];
    let is_down = |name| parts.iter().any(|part| part.name == name && part.status == Condition::Down);
    let is_well = parts.iter().all(|part| matches!(part.status, Condition::Ok | Condition::Unknown));
    let status = match (is_down("log") || is_down("store"), is_well) {
        (true, _) => Condition::Down,
        (false, true) => Condition::Ok,
        (false, false) => Condition::Degraded,
    };
    Json(Health { status, parts, queue, counts })
}

impl Api {
    fn queue(&self, waiting: u64, in_flight: u64) -> Queue {
        let oldest = self.watch.oldest(Status::Pending);
        let mut waiting_for = Waits::default();
        for (what, count) in self.watch.waits() {
            let count = u64::try_from(count).unwrap_or(u64::MAX);
            *match what {
                WaitingFor::Slot => &mut waiting_for.slot,
                WaitingFor::Modal => &mut waiting_for.modal,
                WaitingFor::Container => &mut waiting_for.container,
                WaitingFor::Render => &mut waiting_for.render,
                WaitingFor::Retry => &mut waiting_for.retry,
                WaitingFor::Reconcile => &mut waiting_for.reconcile,
            } = count;
        }
        Queue {
            waiting,
            oldest_waiting_seconds: oldest.map(|since| clock::now().since(since).as_secs()),
            in_flight,
            waiting_for,
        }
    }
}
