//! Messages over which the client library drops the connection: nothing is lost over them, and nothing loops.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use events::{Status, subject};
use futures_util::StreamExt;
use nats::topology::{PROJECTOR, RENDER, RENDER_DEAD, WORKER};
use nats::{Append, Bus, Consumer, Delivery, Jobs, Log, Verdict, Verified, Watch, project, rebuild, verify};
use serde_json::json;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::{World, cancelled, job_id, requested, spec, wait_for};

/// What no client library sends, and the server stores.
const HEADERS: [&[u8]; 8] = [
    b"NATS/1.0\r\nX-\xff: 1\r\n\r\n",
    b"NATS/1.0\r\nX: \xff\xfe\r\n\r\n",
    b"NATS/1.0\r\nno colon\r\n\r\n",
    b"NATS/1.0\r\nno word: 1\r\n\r\n",
    b"NATS/1.0\r\nnull\0: 1\r\n\r\n",
    b"NATS/1.0 no number\r\n\r\n",
    b"nonsense\r\n\r\n",
    b"\xff\xff",
];
/// A subject is only bytes to the server.
const SUBJECTS: [&[u8]; 2] = [b"render.\xff.requested", b"render.\x0c.requested"];

fn subject_of(n: u64) -> String {
    subject::of(job_id(n), subject::Kind::Requested)
}

fn payload() -> Vec<u8> {
    json!({"spec": spec()}).to_string().into_bytes()
}

/// A good request, then the bad ones as jobs 1 to 8 and two that are no job's, then a good one.
async fn mixed(world: &World) {
    let log = world.log("api").await;
    log.append(job_id(100), 0, &requested()).await.expect("stored");
    for (n, headers) in (1..).zip(HEADERS) {
        world.publish_raw(subject_of(n).as_bytes(), headers, &payload()).await;
    }
    for subject in SUBJECTS {
        world.publish_raw(subject, b"NATS/1.0\r\n\r\n", &payload()).await;
    }
    log.append(job_id(200), 0, &requested()).await.expect("stored");
    assert_eq!(world.stream(RENDER).await.cached_info().state.messages, 12, "the server stores all of it");
}

/// How often a connection was made.
fn connects(bus: &Bus) -> u64 {
    bus.client().statistics().connects.load(Ordering::Relaxed)
}

/// So that what was on its way behind a bad message comes again soon.
async fn be_impatient(world: &World, name: &str) {
    let stream = world.stream(RENDER).await;
    let mut config = stream.consumer_info(name).await.expect("a consumer").config;
    config.ack_wait = Duration::from_secs(1);
    let body = json!({"stream_name": RENDER, "config": config, "action": "update"}).to_string();
    let to = format!("$JS.API.CONSUMER.CREATE.{RENDER}.{name}");
    let answer = world.bus("operator").await.client().request(to, body.into()).await.expect("an answer");
    assert!(!String::from_utf8_lossy(&answer.payload).contains("\"error\""), "{:?}", answer.payload);
}

async fn wait_until_idle(world: &World, name: &str) {
    let is_idle = async || {
        let info = world.consumer(RENDER, name).await;
        (info.num_ack_pending == 0 && info.num_pending == 0).then_some(())
    };
    wait_for("the end of deliveries", is_idle).await;
}

#[tokio::test]
async fn the_client_library_drops_the_connection_over_each_of_them() {
    let world = World::provisioned().await;
    let of_headers = HEADERS.map(|headers| (b"any".as_slice(), headers));
    let of_subjects = SUBJECTS.map(|subject| (subject, b"NATS/1.0\r\n\r\n".as_slice()));
    for (subject, headers) in of_headers.into_iter().chain(of_subjects) {
        let bus = world.bus("reader").await;
        let mut subscribed = bus.client().subscribe(">").await.expect("subscribed");
        bus.client().publish("ready", "".into()).await.expect("sent");
        subscribed.next().await.expect("the server listens");
        world.publish_raw(subject, headers, b"").await;
        let what =
            format!("the loss by `{}`", (subject.escape_ascii().to_string() + &headers.escape_ascii().to_string()));
        wait_for(&what, async || (connects(&bus) == 2).then_some(())).await;
    }
}

#[tokio::test]
async fn a_job_is_loaded_all_the_same_and_costs_one_connection() {
    let world = World::provisioned().await;
    mixed(&world).await;
    let log = world.log("api").await;
    for _ in 0..3 {
        let job = log.load(job_id(1)).await.expect("readable");
        assert_eq!((job.seq, job.status()), (2, Status::Pending));
    }
    wait_for("the loss", async || (connects(log.bus()) == 2).then_some(())).await;
    assert_eq!(log.append(job_id(1), 2, &cancelled("enough")).await.expect("stored"), Append::Stored(13));
    assert_eq!(log.load(job_id(1)).await.expect("readable").status(), Status::Cancelled);
    assert_eq!(connects(log.bus()), 2);
}

#[tokio::test]
async fn a_worker_is_given_all_requests_and_goes_on() {
    let world = World::provisioned().await;
    be_impatient(&world, WORKER).await;
    mixed(&world).await;
    let bus = world.bus("worker").await;
    let (seen, stop) = (Arc::new(Mutex::new(Vec::new())), CancellationToken::new());
    let consumer = Consumer { stream: RENDER, name: WORKER, concurrency: 4, grace: Duration::ZERO };
    let running = tokio::spawn({
        let (log, stop, seen) = (Log::new(bus.clone()), stop.clone(), seen.clone());
        let handle = move |delivery: Delivery| {
            let (log, seen) = (log.clone(), seen.clone());
            async move {
                let Some((id, _)) = delivery.recorded() else { return Verdict::Poison("no job's".into()) };
                // The connection is lost over other messages meanwhile.
                let job = wait_for("the job", async || log.load(id).await.ok()).await;
                assert!(job.requested.is_some());
                seen.lock().expect("no panic").push(delivery.seq);
                if seen.lock().expect("no panic").len() == 5 {
                    return Verdict::Later(Duration::from_millis(1));
                }
                Verdict::Done
            }
        };
        let bus = bus.clone();
        async move { consumer.run(&bus, stop, handle).await }
    });
    wait_until_idle(&world, WORKER).await;
    let once: BTreeSet<_> = seen.lock().expect("no panic").iter().copied().collect();
    assert_eq!(once, [1, 2, 3, 4, 5, 6, 7, 8, 9, 12].into());
    let count = seen.lock().expect("no panic").len();
    assert!((11..100).contains(&count), "{count} deliveries");
    for subject in ["dead.render.%FFFD.requested", "dead.render.%0C.requested"] {
        let letters = world.stream(RENDER_DEAD).await.get_last_raw_message_by_subject(subject).await.expect("a letter");
        assert_eq!(*letters.payload, payload());
    }

    let before = connects(&bus);
    world.log("api").await.append(job_id(300), 0, &requested()).await.expect("stored");
    wait_until_idle(&world, WORKER).await;
    assert!(seen.lock().expect("no panic").contains(&13));
    assert_eq!(connects(&bus), before, "it has calmed down");
    stop.cancel();
    running.await.expect("no panic");
}

#[tokio::test]
async fn what_a_worker_took_over_is_handed_back_when_it_stops() {
    let world = World::provisioned().await;
    world.publish_raw(subject_of(1).as_bytes(), HEADERS[0], &payload()).await;
    for _ in 0..3 {
        let (bus, stop) = (world.bus("worker").await, CancellationToken::new());
        let consumer = Consumer { stream: RENDER, name: WORKER, concurrency: 4, grace: Duration::ZERO };
        let token = stop.clone();
        let (sender, mut seen) = tokio::sync::mpsc::unbounded_channel();
        let running = tokio::spawn(async move {
            let handle = move |delivery: Delivery| {
                sender.send(delivery).expect("the test listens");
                std::future::pending()
            };
            consumer.run(&bus, token, handle).await;
        });
        let delivery =
            tokio::time::timeout(Duration::from_secs(20), seen.recv()).await.expect("in time, not after `ack_wait`");
        assert_eq!(delivery.expect("it runs").seq, 1);
        stop.cancel();
        running.await.expect("no panic");
    }
}

#[tokio::test]
async fn projectors_a_rebuild_and_a_watch_see_the_same_jobs() {
    let world = World::provisioned().await;
    be_impatient(&world, PROJECTOR).await;
    let bus = world.bus("operator").await;
    let watch = Watch::default();
    let (stop, mut tasks) = (CancellationToken::new(), JoinSet::new());
    let _stop = stop.clone().drop_guard();
    tasks.spawn({
        // On one connection with the projector, which is lost again and again.
        let (watch, bus, stop) = (watch.clone(), bus.clone(), stop.clone());
        async move { watch.run(&bus, stop).await }
    });
    tasks.spawn({
        let (bus, stop) = (bus.clone(), stop.clone());
        async move { project(&bus, stop).await }
    });
    mixed(&world).await;
    // Facts and garbage of jobs that are known.
    world.publish_raw(format!("render.{}.cancelled", job_id(1)).as_bytes(), HEADERS[2], b"{\"reason\":\"x\"}").await;
    world.publish_raw(format!("render.{}.cancelled", job_id(2)).as_bytes(), HEADERS[3], b"garbage").await;
    world.log("api").await.append(job_id(100), 1, &cancelled("enough")).await.expect("stored");
    wait_until_idle(&world, PROJECTOR).await;

    let is_followed = async || (watch.counts().iter().map(|(_, count)| count).sum::<usize>() == 10).then_some(());
    wait_for("the watch", is_followed).await;
    let statuses = |bus: &Bus| {
        let jobs = Jobs::new(bus.clone());
        async move {
            let mut statuses = Vec::new();
            for n in [1, 2, 3, 100, 200] {
                statuses.push(jobs.get(job_id(n)).await.expect("readable").expect("an entry").1.status);
            }
            statuses
        }
    };
    let expected = [Status::Cancelled, Status::Failed, Status::Pending, Status::Cancelled, Status::Pending];
    assert_eq!(statuses(&bus).await, expected);
    assert_eq!(verify(&bus, &|_, _| ()).await.expect("verified"), Verified { jobs: 10, differences: vec![] });
    let letters = world.stream(RENDER_DEAD).await.cached_info().state.messages;
    assert_eq!(letters, 3, "what is no job's, and the garbage");

    stop.cancel();
    tasks.join_all().await;
    world.stream("KV_JOBS").await.purge().await.expect("purged");
    assert_eq!(rebuild(&bus, &|_, _| ()).await.expect("rebuilt").messages, 15);
    assert_eq!(verify(&bus, &|_, _| ()).await.expect("verified"), Verified { jobs: 10, differences: vec![] });
    assert_eq!(statuses(&bus).await, expected);
}

#[tokio::test]
async fn an_entry_that_cannot_be_read_is_written_anew() {
    let world = World::provisioned().await;
    let bus = world.bus("operator").await;
    world.log("api").await.append(job_id(1), 0, &requested()).await.expect("stored");
    rebuild(&bus, &|_, _| ()).await.expect("rebuilt");
    let (_, entry) = Jobs::new(bus.clone()).get(job_id(1)).await.expect("readable").expect("an entry");
    let spoilt = serde_json::to_vec(&entry).expect("JSON");
    world.publish_raw(format!("$KV.JOBS.{}", job_id(1)).as_bytes(), HEADERS[0], &spoilt).await;

    assert_eq!(rebuild(&bus, &|_, _| ()).await.expect("rebuilt").written, 1);
    let before = connects(&bus);
    assert!(Jobs::new(bus.clone()).get(job_id(1)).await.expect("readable").is_some());
    assert_eq!(connects(&bus), before);
}

#[tokio::test]
async fn an_entry_that_cannot_be_delivered_does_not_end_the_watch() {
    let world = World::provisioned().await;
    let (log, bus) = (world.log("api").await, world.bus("operator").await);
    for n in 1..=3 {
        log.append(job_id(n), 0, &requested()).await.expect("stored");
    }
    rebuild(&bus, &|_, _| ()).await.expect("rebuilt");
    let entry = async |n: u64| {
        let (_, entry) = Jobs::new(bus.clone()).get(job_id(n)).await.expect("readable").expect("an entry");
        serde_json::to_vec(&entry).expect("JSON")
    };
    let (spoilt, good) = (entry(1).await, entry(2).await);
    world.publish_raw(format!("$KV.JOBS.{}", job_id(1)).as_bytes(), HEADERS[0], &spoilt).await;
    world.publish_raw(format!("$KV.JOBS.{}", job_id(2)).as_bytes(), b"NATS/1.0\r\n\r\n", &good).await;
    let (watch, stop) = (Watch::default(), CancellationToken::new());
    let _stop = stop.clone().drop_guard();
    tokio::spawn({
        let (watch, bus) = (watch.clone(), world.bus("api").await);
        async move { watch.run(&bus, stop).await }
    });
    let is_known = tokio::time::timeout(Duration::from_mins(1), watch.caught_up()).await;
    is_known.expect("it catches up");
    let begin = world.stream("KV_JOBS").await.cached_info().config.first_sequence.expect("a number of the clock");
    let revisions = [1, 2, 3].map(|n| watch.row(job_id(n)).map(|row| row.revision + 1 - begin));
    assert_eq!(revisions, [Some(4), Some(5), Some(3)]);
}
