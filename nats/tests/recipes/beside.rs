//! A worker that runs beside a replay, and must not notice.

use std::time::Duration;

use events::{Event, JobId};
use nats::topology::{RENDER, WORKER};
use nats::{Consumer, Verdict};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::history::{COMPLETE, FACTS, FAILED, RUNNING, WAITING, append, messages};
use crate::world::{World, job_id, requested};

const WORKERS: Consumer = Consumer { stream: RENDER, name: WORKER, concurrency: 8, grace: Duration::from_millis(10) };
/// A job that is asked for after the replay.
const LAST: u64 = 99;

pub(super) struct Beside {
    seen: UnboundedReceiver<JobId>,
    _stop: DropGuard,
}

impl Beside {
    /// It has taken the four jobs: two have ended, and two it holds.
    pub(super) async fn start(world: &World) -> Self {
        let (sender, seen) = unbounded_channel();
        let (bus, stop) = (world.bus("worker").await, CancellationToken::new());
        let token = stop.clone();
        tokio::spawn(async move {
            let handle = move |delivery: nats::Delivery| {
                let (id, _) = delivery.recorded().expect("a job's");
                sender.send(id).expect("the test listens");
                async move {
                    if [RUNNING, WAITING].map(job_id).contains(&id) {
                        std::future::pending::<()>().await;
                    }
                    Verdict::Done
                }
            };
            WORKERS.run(&bus, token, handle).await;
        });
        let mut beside = Self { seen, _stop: stop.drop_guard() };
        for n in [COMPLETE, FAILED, RUNNING, WAITING] {
            assert_eq!(beside.next().await, job_id(n));
        }
        beside
    }

    /// Nothing came to the worker, and nothing was written: the next thing that comes is the next job.
    pub(super) async fn noticed_nothing(mut self, world: &World) {
        assert_eq!(messages(world, RENDER).await, FACTS, "a replay writes nothing");
        let event: Event = requested();
        append(&world.log("api").await, job_id(LAST), &event).await;
        assert_eq!(self.next().await, job_id(LAST), "a replay renders nothing again");
        let delivered = world.consumer(RENDER, WORKER).await.delivered;
        assert_eq!((delivered.consumer_sequence, delivered.stream_sequence), (5, FACTS + 1));
    }

    async fn next(&mut self) -> JobId {
        let next = tokio::time::timeout(Duration::from_secs(20), self.seen.recv()).await;
        next.expect("a delivery within 20 s").expect("the worker runs")
    }
}
