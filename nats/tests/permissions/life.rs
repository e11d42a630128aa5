//! Everything that roles do, and what somebody might try with what they may.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_nats::HeaderMap;
use events::event::{Dispatched, Failed, Progressed, Started};
use events::subject::Kind;
use events::{Attempt, Entry, Event, JobId, Status, Timestamp, subject};
use nats::topology::{self, RENDER, WORKER};
use nats::{
    Append, Consumer, Delivery, Jobs, Letter, Letters, Log, Place, Reader, Redriven, Verdict, Verified, Watch, project,
    rebuild, verify,
};
use serde_json::json;
use tokio_util::sync::CancellationToken;
use tracing::field::{Field, Visit};
use tracing::subscriber::DefaultGuard;
use tracing::{Level, Metadata, Subscriber, span};

use crate::{World, cancelled, job_id, requested, spec, wait_for};

/// Every line of the log that somebody has to act upon.
#[derive(Clone, Default)]
struct Alarms(Arc<Mutex<Vec<String>>>);

impl Alarms {
    /// Of this test's thread, on which all its tasks run.
    fn listen() -> (Self, DefaultGuard) {
        let alarms = Self::default();
        let guard = tracing::subscriber::set_default(alarms.clone());
        (alarms, guard)
    }

    fn text(&self) -> String {
        self.0.lock().expect("nothing panics while it holds this lock").join("\n")
    }
}

impl Subscriber for Alarms {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() == Level::ERROR
    }
    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }
    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn event(&self, event: &tracing::Event<'_>) {
        event.record(&mut &*self);
    }
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

impl Visit for &Alarms {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.0.lock().expect("nothing panics while it holds this lock").push(format!("{field}: {value:?}"));
    }
}

async fn entry(jobs: &Jobs, id: JobId, fits: impl Fn(&Entry) -> bool) {
    let look = async || jobs.get(id).await.expect("readable").filter(|(_, entry)| fits(entry));
    wait_for("the entry", look).await;
}

fn failed() -> Event {
    let failure = json!({"code": "internal", "message": "test", "retryable": false});
    Event::Failed(Failed { failure: serde_json::from_value(failure).expect("a failure") })
}

/// What a worker does first.
async fn dispatch(log: Log, delivery: Delivery) -> Verdict {
    let (id, _) = delivery.recorded().expect("a job's");
    let dispatched = Event::Dispatched(Attempt::FIRST, Dispatched { call_id: "fc-1".into(), gpu: true });
    log.transact(id, |_| Ok::<_, ()>(dispatched.clone())).await.expect("stored");
    Verdict::Done
}

#[tokio::test]
async fn the_roles_get_along_with_what_they_may() {
    let (alarms, _guard) = Alarms::listen();
    let world = World::secured().await;
    let stop = CancellationToken::new();
    let (bus, token) = (world.bus_of("projector").await, stop.clone());
    let projecting = tokio::spawn(async move { project(&bus, token).await });
    let (watch, bus, token) = (Watch::default(), world.bus_of("api").await, stop.clone());
    let (api, webhook, jobs) = (Log::new(bus.clone()), world.log_of("webhook").await, Jobs::new(bus.clone()));
    let watched = watch.clone();
    let watching = tokio::spawn(async move { watched.run(&bus, token).await });
    let (bus, token) = (world.bus_of("worker").await, stop.clone());
    let worker = Log::new(bus.clone());
    let log = worker.clone();
    let working = tokio::spawn(async move {
        let consumer = Consumer { stream: RENDER, name: WORKER, concurrency: 4, grace: Duration::from_secs(1) };
        consumer.run(&bus, token, move |delivery| dispatch(log.clone(), delivery)).await;
    });
    wait_for("the watch", async || watch.is_caught_up().then_some(())).await;

    let (id, wrong) = (job_id(1), job_id(2));
    assert_eq!(api.append(id, 0, &requested()).await.expect("stored"), Append::Stored(1));
    entry(&jobs, id, |entry| entry.status == Status::Processing).await;
    let started = Event::Started(Attempt::FIRST, Started { call_id: "fc-1".into(), input_id: "in-1".into() });
    webhook.append(id, 2, &started).await.expect("stored");
    webhook.report(id, Progressed::new(Attempt::FIRST, 42)).await;
    entry(&jobs, id, |entry| entry.progress == 42).await;
    assert_eq!(api.load_whole(id, 3).await.expect("readable").percent(), 42);
    for log in [&api, &webhook, &worker] {
        assert_eq!(log.last_report(id).await.expect("readable"), Some(Progressed::new(Attempt::FIRST, 42)));
    }
    api.append(id, 3, &cancelled("enough")).await.expect("stored");
    entry(&jobs, id, |entry| entry.status == Status::Cancelled).await;
    api.append(wrong, 0, &requested()).await.expect("stored");
    worker.transact(wrong, |_| Ok::<_, ()>(failed())).await.expect("stored");
    entry(&jobs, wrong, |entry| entry.status == Status::Failed).await;
    wait_for("the watch", async || (watch.row(id)?.status == Status::Cancelled).then_some(())).await;

    let letters = Letters::new(api.bus().clone());
    assert_eq!(
        (letters.before(9, 9).await.expect("the api may"), letters.total().await.expect("the api may")),
        (vec![], 0)
    );
    let place = Place { stream: RENDER.into(), sequence: 1 };
    let (headers, payload, (subject, reason)) = (vec![], vec![], Default::default());
    let letter = Letter { seq: 1, time: Timestamp::default(), subject, job: None, reason, place, headers, payload };
    assert_eq!(letters.redrive(&letter).await.expect("the api may"), Redriven::Done);
    assert!(Reader::ask(api.bus(), RENDER, WORKER).await.expect("the api may").is_some_and(|reader| reader.asking > 0));

    for user in ["api", "worker", "webhook", "projector", "serve", "operator"] {
        assert_eq!(topology::drift(&world.bus_of(user).await).await.expect("everybody may look"), [], "{user}");
    }
    stop.cancel();
    for task in [projecting, watching, working] {
        task.await.expect("no panic");
    }
    let operator = world.bus_of("operator").await;
    rebuild(&operator, &|_, _| ()).await.expect("the operator may");
    assert_eq!(
        verify(&operator, &|_, _| ()).await.expect("the operator may"),
        Verified { jobs: 2, differences: vec![] }
    );
    assert_eq!(alarms.text(), "", "nothing was refused");
}

#[tokio::test]
async fn a_refusal_is_an_alarm_in_the_log_and_an_error_for_whoever_asked() {
    let (alarms, _guard) = Alarms::listen();
    let world = World::secured().await;
    let log = world.log_of("webhook").await;
    let error = log.append(job_id(1), 0, &requested()).await.expect_err("the webhook asks for no renders");
    assert_eq!(error.to_string(), format!("cannot append to job `{}`", job_id(1)));
    let text = alarms.text().to_lowercase();
    assert!(text.contains("permissions violation for publish to"), "{text}");
    assert!(text.contains(&subject::of(job_id(1), Kind::Requested)), "{text}");
}

#[tokio::test]
async fn no_header_erases_or_plans_anything() {
    let world = World::secured().await;
    let id = job_id(1);
    world.log_of("api").await.append(id, 0, &requested()).await.expect("stored");
    let of = |kind| subject::of(id, kind);
    let (bucket, dead) = (format!("$KV.JOBS.{id}"), subject::dead(&of(Kind::Completed)));
    let projector = world.bus_of("projector").await;
    for subject in [&bucket, &dead] {
        projector.client().request(subject.clone(), "{}".into()).await.expect("stored");
    }
    let before = world.states().await;
    let target = of(Kind::Failed);
    let tries: [&[(&str, &str)]; 7] = [
        &[("Nats-Rollup", "all")],
        &[("Nats-Rollup", "sub")],
        &[("KV-Operation", "PURGE"), ("Nats-Rollup", "sub")],
        &[("Nats-TTL", "1")],
        &[("Nats-Schedule", "@at 2026-01-01T00:00:00Z"), ("Nats-Schedule-Target", &target)],
        &[("Nats-Incr", "1")],
        &[("Nats-Batch-Id", "b"), ("Nats-Batch-Sequence", "1"), ("Nats-Batch-Commit", "1")],
    ];
    let users = [
        ("api", subject::of(job_id(2), Kind::Requested)),
        ("publisher", subject::of(job_id(2), Kind::Requested)),
        ("worker", of(Kind::Completed)),
        ("webhook", of(Kind::Completed)),
        ("projector", bucket.clone()),
        ("projector", dead),
        ("serve", of(Kind::Cancelled)),
        ("operator", bucket),
    ];
    for (user, subject) in users {
        let bus = world.bus_of(user).await;
        for headers in tries {
            let mut map = HeaderMap::new();
            for (name, value) in headers {
                map.insert(*name, *value);
            }
            let asked = bus.client().request_with_headers(subject.clone(), map, "{}".into()).await;
            let answer = asked.unwrap_or_else(|error| panic!("{user}: {subject}: {headers:?}: {error}"));
            let text = String::from_utf8_lossy(&answer.payload);
            assert!(text.contains("\"error\""), "{user}: {subject}: {headers:?}: {text}");
        }
    }
    assert_eq!(world.states().await, before);
}

#[tokio::test]
async fn a_publishers_reply_subject_reaches_nothing_of_ours() {
    let world = World::secured().await;
    let (id, log) = (job_id(1), world.log_of("api").await);
    let publisher = world.bus_of("publisher").await;
    let request = json!({"spec": spec()}).to_string();
    let to = subject::of(id, Kind::Requested);
    let before = world.states().await;
    for aim in [subject::of(id, Kind::Completed), format!("$KV.JOBS.{id}"), "render.x.failed".into()] {
        let sent = publisher.client().publish_with_reply(to.clone(), aim, request.clone().into());
        sent.await.expect("sent");
    }
    let answer = publisher.client().request(to, request.into()).await.expect("an answer").payload;
    assert!(String::from_utf8_lossy(&answer).contains("10077"), "the subject is taken, and it is told so: {answer:?}");

    let job = log.load(id).await.expect("readable");
    assert_eq!((job.seq, job.status()), (1, Status::Pending), "a request, and nothing but it");
    let after = world.states().await;
    assert_eq!((after[0].1, after[0].2), (1, 1));
    assert_eq!(after[1..], before[1..], "nothing else has changed");
}

#[tokio::test]
async fn a_roles_reply_subject_spoils_a_place_but_is_never_a_fact() {
    let world = World::secured().await;
    let (id, log) = (job_id(1), world.log_of("api").await);
    let (to, aim) = (subject::of(id, Kind::Requested), subject::of(id, Kind::Completed));
    let request = json!({"spec": spec()}).to_string();
    log.bus().client().publish_with_reply(to, aim, request.into()).await.expect("sent");

    let job = wait_for("both", async || log.load(id).await.ok().filter(|job| job.seq == 2)).await;

    assert_eq!(job.status(), Status::Failed, "not complete");
    assert_eq!(job.completed(), None);
}
