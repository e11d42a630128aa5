//! A job that kills whoever works at it ends, and the others go on.
//!
//! A panic is caught, and the third one of a job in a process ends the job. What kills the whole process is seen by the
//! message's deliveries: many of them, and every time the job is about to be dispatched. A job that waits is told to wait
//! in its last report, and so survives any number of deploys and outages.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Mutex;
use std::time::Duration;

use events::{Attempt, Code, Command, Job, JobId, Seen, Step, next_step};
use futures_util::FutureExt;
use nats::{Delivery, Verdict};

use super::Worker;
use crate::clock;

/// Panics of one job in one process after which it is given up.
const MAX_PANICS: u32 = 3;
/// Deliveries after which a job that is about to be dispatched is given up.
const MAX_DELIVERIES: u64 = 25;
/// Before a job that made its shepherd panic is tried again.
const AFTER_PANIC: Duration = Duration::from_secs(1);

/// How often each job made its shepherd panic in this process.
#[derive(Default)]
pub(super) struct Panics(Mutex<HashMap<JobId, u32>>);

impl Panics {
    fn of(&self, job: JobId) -> u32 {
        self.0.lock().expect("nothing panics while it holds this lock").get(&job).copied().unwrap_or(0)
    }

    fn count(&self, job: JobId) -> u32 {
        let mut all = self.0.lock().expect("nothing panics while it holds this lock");
        let panics = all.entry(job).or_default();
        *panics += 1;
        *panics
    }

    fn forget(&self, job: JobId) {
        self.0.lock().expect("nothing panics while it holds this lock").remove(&job);
    }
}

impl Worker {
    /// Shepherds a job, unless it is known to kill.
    pub(super) async fn hold(self, delivery: Delivery) -> Verdict {
        let Some((id, requested)) = delivery.recorded() else {
            return Verdict::Poison("the subject is no job's".into());
        };
        let worker = self.traced(delivery.traceparent());
        let is_first = delivery.deliveries == 1;
        let shepherd = async move {
            let is_deadly = worker.is_deadly(id, delivery.deliveries).await;
            if is_deadly { None } else { Some(worker.shepherd(id, is_first, &requested).await) }
        };
        self.survive(id, Box::pin(shepherd)).await
    }

    /// Catches what a shepherd does wrong. `None`: the job is to be given up.
    async fn survive(&self, id: JobId, shepherd: impl Future<Output = Option<Verdict>>) -> Verdict {
        let verdict =
            if self.panics.of(id) < MAX_PANICS { AssertUnwindSafe(shepherd).catch_unwind().await } else { Ok(None) };
        match verdict {
            Ok(Some(verdict)) => {
                self.panics.forget(id);
                verdict
            }
            Ok(None) => self.give_up(id).await,
            Err(_) => {
                let panics = self.panics.count(id);
                tracing::error!(job.id = %id, panics, "a shepherd panicked: a defect of kiln; its job is tried again or ended");
                Verdict::Later(AFTER_PANIC)
            }
        }
    }

    /// Whether the job was handed out very often, and each time nobody lived to dispatch it.
    async fn is_deadly(&self, id: JobId, deliveries: u64) -> bool {
        if deliveries < MAX_DELIVERIES {
            return false;
        }
        let Ok(job) = self.log.load_at_least(id, 1).await else { return false };
        let step = next_step(&job, &Seen::new(id, false), clock::now(), &self.policy);
        let is_dispatch = matches!(step, Step::Dispatch(_));
        is_dispatch
            && self
                .log
                .last_report(id)
                .await
                .is_ok_and(|report| report.is_none_or(|report| report.waiting_for.is_none()))
    }

    /// Ends the job with as little as possible: stops whatever may run of it, and says so.
    async fn give_up(&self, id: JobId) -> Verdict {
        tracing::error!(job.id = %id, "this job kills whoever works at it; it is ended");
        let Ok(job) = self.log.load_at_least(id, 1).await else { return Verdict::Later(self.policy.repeat) };
        for n in attempts(&job) {
            if self.modal.cancel(id, n, job.calls(n)).await.is_err() {
                return Verdict::Later(self.policy.repeat);
            }
        }
        match self.log.record(id, Command::Fail(Code::Internal.into()), clock::now()).await {
            Ok(_) => {
                self.panics.forget(id);
                Verdict::Done
            }
            Err(_) => Verdict::Later(self.policy.repeat),
        }
    }
}

/// Every attempt that may have a call: also one that was submitted and not written down.
fn attempts(job: &Job) -> impl Iterator<Item = Attempt> {
    let current = job.current_attempt();
    let is_new = !job.attempts.contains_key(&current);
    job.attempts.keys().copied().chain(is_new.then_some(current)).collect::<Vec<_>>().into_iter()
}

#[cfg(test)]
mod tests {
    use axum::Json;
    use axum::routing::post;
    use events::capability::Roots;
    use events::event::{Completed, Dispatched, Output, Progressed};
    use events::{Event, Policy, Secret, Spec, Status, WaitingFor};
    use nats::server::{Options, Server};
    use nats::{Bus, Log, Settings};
    use serde_json::json;
    use tokio::time::timeout;
    use tokio_util::sync::{CancellationToken, DropGuard};

    use super::*;
    use crate::bucket::Bucket;
    use crate::{config, http, modal};

    /// A worker with a real log, and a provider that has nothing to stop.
    struct Bench {
        worker: Worker,
        _nats: Server,
        _stop: DropGuard,
        _folder: tempfile::TempDir,
    }

    async fn bench() -> Bench {
        let folder = tempfile::tempdir().expect("a folder");
        let program = nats::tool::NATS_SERVER.find(&|_| ()).expect("a nats-server");
        let nats = Server::start(Options::new(program, folder.path())).await.expect("a server");
        let bus = Bus::connect(&Settings::new(nats.url(), "operator")).await.expect("connected");
        nats::topology::provision(&bus, &nats::topology::Tunables::default()).await.expect("provisioned");
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let stop = CancellationToken::new();
        let router = axum::Router::new().route("/cancel", post(async || Json(json!({"calls": {}}))));
        tokio::spawn(http::serve(listener, router, stop.clone()));
        let bucket = config::Bucket {
            r2_account_id: None,
            r2_access_key_id: "key".into(),
            r2_secret_access_key: Secret::new("secret"),
            r2_bucket_name: "kiln".into(),
            r2_endpoint: Some(url.clone()),
        };
        let app = config::Modal { modal_endpoint_url: url, modal_key: Secret::new(""), modal_secret: Secret::new("") };
        let worker = Worker::new(
            Log::new(bus),
            Bucket::new(&bucket).expect("a bucket"),
            modal::Client::new(&app).expect("a client"),
            Roots::parse("0123456789abcdef0123456789abcdef").expect("roots"),
            "http://127.0.0.1:1",
            Policy::default(),
        );
        Bench { worker, _nats: nats, _stop: stop.drop_guard(), _folder: folder }
    }

    impl Bench {
        async fn request(&self) -> JobId {
            let id = clock::new_id();
            let audio = json!({"audio": {"key": format!("renders/{id}/audio.wav")}});
            let spec: Spec = serde_json::from_value(audio).expect("a request");
            self.worker.log.record(id, Command::Request(spec), clock::now()).await.expect("recorded");
            id
        }

        async fn status(&self, id: JobId) -> (Status, Option<Code>) {
            let job = self.worker.log.load(id).await.expect("loaded");
            (job.status(), job.failure().map(|failure| failure.code))
        }
    }

    #[tokio::test]
    async fn row_35_the_third_panic_of_a_job_ends_it_and_no_other() {
        let bench = bench().await;
        let (deadly, other) = (bench.request().await, bench.request().await);
        for _ in 0..MAX_PANICS {
            assert_eq!(bench.status(deadly).await.0, Status::Pending);
            let verdict = bench.worker.survive(deadly, async { panic!("a defect") }).await;
            assert_eq!(verdict, Verdict::Later(AFTER_PANIC));
            assert_eq!(bench.worker.survive(other, async { Some(Verdict::Done) }).await, Verdict::Done);
        }
        assert_eq!(bench.worker.survive(deadly, async { panic!("it is not even tried") }).await, Verdict::Done);
        assert_eq!(bench.status(deadly).await, (Status::Failed, Some(Code::Internal)));
        assert_eq!(bench.status(other).await, (Status::Pending, None));
    }

    #[tokio::test]
    async fn an_end_is_found_although_the_news_of_it_came_before_the_log_had_it() {
        let bench = bench().await;
        let (id, log, hints) = (bench.request().await, &bench.worker.log, &bench.worker.hints);
        let dispatched = Dispatched { call_id: "fc-1".into(), gpu: false };
        log.record(id, Command::Dispatch(Attempt::FIRST, dispatched), clock::now()).await.expect("recorded");
        let requested = log.history(id).await.expect("loaded").remove(0);
        let worker = bench.worker.clone();
        let mut shepherd = tokio::spawn(async move { worker.shepherd(id, true, &requested).await });
        let output = Output::video(events::key::output(id, Attempt::FIRST), 24);
        let completed = Completed { attempt: Attempt::FIRST, output: output.clone() };
        for _ in 0..3 {
            // The news wakes it, and it finds nothing new.
            hints.tell(id, &Event::Completed(completed.clone()));
            assert!(timeout(Duration::from_millis(100), &mut shepherd).await.is_err(), "it holds the job");
        }
        log.record(id, Command::Complete(Attempt::FIRST, output), clock::now()).await.expect("recorded");
        let ended = timeout(Duration::from_secs(20), shepherd).await.expect("it looks again by itself");
        assert_eq!(ended.expect("no panic"), Verdict::Done);
    }

    #[tokio::test]
    async fn row_35_many_deliveries_end_only_what_was_about_to_be_dispatched_each_time() {
        let bench = bench().await;
        let (deadly, waiting) = (bench.request().await, bench.request().await);
        let report = Progressed { waiting_for: Some(WaitingFor::Modal), ..Progressed::new(Attempt::FIRST, 0) };
        bench.worker.log.report(waiting, report).await;
        bench.worker.log.bus().flush().await;
        assert!(!bench.worker.is_deadly(deadly, MAX_DELIVERIES - 1).await);
        assert!(bench.worker.is_deadly(deadly, MAX_DELIVERIES).await);
        assert!(!bench.worker.is_deadly(waiting, 1000).await, "deploys and outages do not end what waits");
        assert_eq!(bench.worker.survive(deadly, async { None }).await, Verdict::Done);
        assert_eq!(bench.status(deadly).await, (Status::Failed, Some(Code::Internal)));
        assert!(!bench.worker.is_deadly(deadly, 1000).await, "it has ended");
    }
}
