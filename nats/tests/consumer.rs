//! Handlers, verdicts, and what happens to messages when something dies.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use async_nats::HeaderMap;
use async_nats::jetstream;
use events::{JobId, subject};
use nats::topology::{RENDER, RENDER_DEAD, WORKER};
use nats::{Bus, Consumer, Delivery, Log, Verdict, dead};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::{World, job_id, requested, wait_for};

const WORKERS: Consumer = Consumer { stream: RENDER, name: WORKER, concurrency: 4, grace: Duration::from_millis(200) };

/// A consumer that runs until it is stopped, and tells each delivery.
struct Running {
    stop: CancellationToken,
    task: JoinHandle<()>,
    seen: UnboundedReceiver<Delivery>,
}

impl Running {
    fn start<F>(bus: &Bus, handle: impl Fn(Delivery) -> F + Send + 'static) -> Self
    where
        F: Future<Output = Verdict> + Send + 'static,
    {
        let (sender, seen): (UnboundedSender<Delivery>, _) = unbounded_channel();
        let (bus, stop) = (bus.clone(), CancellationToken::new());
        let token = stop.clone();
        let handle = move |delivery: Delivery| {
            sender.send(delivery.clone()).expect("the test listens");
            handle(delivery)
        };
        let task = tokio::spawn(async move { WORKERS.run(&bus, token, handle).await });
        Self { stop, task, seen }
    }

    /// Holds every message until it is told to finish.
    fn holding(bus: &Bus) -> (Self, tokio::sync::watch::Sender<bool>) {
        let (finish, finished) = tokio::sync::watch::channel(false);
        let running = Self::start(bus, move |_| {
            let mut finished = finished.clone();
            async move {
                finished.wait_for(|finished| *finished).await.expect("the test tells");
                Verdict::Done
            }
        });
        (running, finish)
    }

    async fn next(&mut self) -> Delivery {
        let next = tokio::time::timeout(Duration::from_secs(20), self.seen.recv()).await;
        next.expect("a delivery within 20 s").expect("the loop runs")
    }

    async fn stop(self) -> Duration {
        let started = Instant::now();
        self.stop.cancel();
        tokio::time::timeout(Duration::from_secs(5), self.task).await.expect("it ends").expect("no panic");
        started.elapsed()
    }
}

async fn request(log: &Log, n: u64) -> JobId {
    log.append(job_id(n), 0, &requested()).await.expect("stored");
    job_id(n)
}

async fn pending(world: &World) -> (usize, u64) {
    let info = world.consumer(RENDER, WORKER).await;
    (info.num_ack_pending, info.num_pending)
}

#[tokio::test]
async fn each_message_is_handled_once_and_no_more_at_a_time_than_there_is_room_for() {
    let world = World::provisioned().await;
    let log = world.log("api").await;
    for n in 1..=20 {
        request(&log, n).await;
    }
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let running = Running::start(&world.bus("worker").await, {
        let most = most.clone();
        move |_| {
            let (now, most) = (now.clone(), most.clone());
            async move {
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                tokio::task::yield_now().await;
                now.fetch_sub(1, Ordering::SeqCst);
                Verdict::Done
            }
        }
    });
    wait_for("all to be acknowledged", async || (pending(&world).await == (0, 0)).then_some(())).await;
    assert_eq!(world.consumer(RENDER, WORKER).await.delivered.consumer_sequence, 20);
    assert!(most.load(Ordering::SeqCst) <= WORKERS.concurrency);
    running.stop().await;
}

#[tokio::test]
async fn a_stopped_worker_hands_back_what_it_holds_and_the_next_one_has_it_at_once() {
    let world = World::provisioned().await;
    let log = world.log("api").await;
    for n in 1..=8 {
        request(&log, n).await;
    }
    let mut first = Running::start(&world.bus("worker").await, |_| std::future::pending());
    for _ in 0..WORKERS.concurrency {
        first.next().await;
    }
    let took = first.stop().await;
    assert!(took < Duration::from_secs(2), "{took:?}");

    let started = Instant::now();
    let mut second = Running::start(&world.bus("worker").await, async |_| Verdict::Done);
    for _ in 1..=8 {
        second.next().await;
    }
    assert!(started.elapsed() < Duration::from_secs(5), "not after `ack_wait`");
    wait_for("all to be acknowledged", async || (pending(&world).await == (0, 0)).then_some(())).await;
    second.stop().await;
}

#[tokio::test]
async fn a_panic_and_a_later_come_again_and_others_go_on() {
    let world = World::provisioned().await;
    let log = world.log("api").await;
    let (bad, slow) = (request(&log, 1).await, request(&log, 2).await);
    let mut running = Running::start(&world.bus("worker").await, move |delivery| async move {
        let (id, _) = delivery.recorded().expect("a job's");
        assert!(id != bad || delivery.deliveries > 1, "the first delivery kills");
        if id == slow && delivery.deliveries == 1 { Verdict::Later(Duration::from_millis(10)) } else { Verdict::Done }
    });
    let mut deliveries = Vec::new();
    for _ in 0..4 {
        let delivery = running.next().await;
        deliveries.push((delivery.recorded().expect("a job's").0, delivery.deliveries));
    }
    deliveries.sort_unstable();
    assert_eq!(deliveries, [(bad, 1), (bad, 2), (slow, 1), (slow, 2)]);
    wait_for("both to be acknowledged", async || (pending(&world).await == (0, 0)).then_some(())).await;
    running.stop().await;
}

#[tokio::test]
async fn poison_is_kept_with_its_reason_and_its_headers_and_never_comes_again() {
    let world = World::provisioned().await;
    let bus = world.bus("publisher").await;
    let to = subject::of(job_id(1), subject::Kind::Requested);
    let mut headers = HeaderMap::new();
    headers.insert("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    headers.insert("Nats-Expected-Last-Subject-Sequence", "0");
    let context = jetstream::new(bus.client().clone());
    context.publish_with_headers(to.clone(), headers, "{}".into()).await.expect("sent").await.expect("stored");
    let running =
        Running::start(&world.bus("worker").await, async |_| Verdict::Poison("nobody can\r\nread this".into()));

    let letters = world.stream(RENDER_DEAD).await;
    let letter =
        wait_for("the letter", async || letters.get_last_raw_message_by_subject(&subject::dead(&to)).await.ok()).await;
    let header = |name: &str| letter.headers.get(name).map(|value| value.as_str().to_owned());
    assert_eq!(&*letter.payload, b"{}");
    assert_eq!(header(dead::REASON).as_deref(), Some("nobody can  read this"));
    assert_eq!((header(dead::STREAM).as_deref(), header(dead::SEQUENCE).as_deref()), (Some("RENDER"), Some("1")));
    assert!(header("traceparent").is_some() && header("Nats-Expected-Last-Subject-Sequence").is_none());
    wait_for("the end of deliveries", async || (pending(&world).await == (0, 0)).then_some(())).await;
    running.stop().await;
}

#[tokio::test]
async fn a_redelivery_of_what_is_held_starts_nothing_and_the_work_goes_on_through_a_restart() {
    let mut world = World::provisioned().await;
    let log = world.log("api").await;
    request(&log, 1).await;
    let (mut running, finish) = Running::holding(&world.bus("worker").await);
    running.next().await;

    world.server.kill();
    world.server.restart().await.expect("back");
    // What `ack_wait` does after 30 s: the message comes again while it is held.
    let bus = wait_for("the server", async || Bus::connect(&world.settings("operator")).await.ok()).await;
    let again = async || {
        // The consumer may not listen yet.
        bus.client().publish("$JS.ACK.RENDER.worker.1.1.1.1.0", "-NAK".into()).await.expect("sent");
        world.consumer(RENDER, WORKER).await.delivered.consumer_sequence > 1
    };
    wait_for("the redelivery", async || again().await.then_some(())).await;
    request(&Log::new(bus), 2).await;
    let second = running.next().await;

    assert_eq!(second.recorded().expect("a job's").0, job_id(2), "the loop pulls again");
    finish.send(true).expect("they wait");
    wait_for("both to be acknowledged", async || (pending(&world).await == (0, 0)).then_some(())).await;
    assert!(running.seen.try_recv().is_err(), "each was started once");
    running.stop().await;
}

#[tokio::test]
async fn a_consumer_that_comes_late_or_is_made_anew_is_found() {
    let world = World::new().await;
    let mut running = Running::start(&world.bus("worker").await, async |_| Verdict::Done);
    let bus = world.bus("operator").await;
    nats::topology::provision(&bus, &nats::topology::Tunables::default()).await.expect("provisioned");
    let log = world.log("api").await;
    request(&log, 1).await;
    assert_eq!(running.next().await.seq, 1);

    world.stream(RENDER).await.delete_consumer(WORKER).await.expect("deleted");
    nats::topology::provision(&bus, &nats::topology::Tunables::default()).await.expect("provisioned");
    assert_eq!(running.next().await.seq, 1, "a new consumer tells all again");
    running.stop().await;
}

#[tokio::test]
async fn a_message_that_is_held_longer_than_ack_wait_comes_again_and_starts_nothing() {
    let world = World::provisioned().await;
    let mut config = world.consumer(RENDER, WORKER).await.config;
    config.ack_wait = Duration::from_secs(1);
    let body = serde_json::json!({"stream_name": RENDER, "config": config, "action": "update"}).to_string();
    let to = format!("$JS.API.CONSUMER.CREATE.{RENDER}.{WORKER}");
    world.bus("operator").await.client().request(to, body.into()).await.expect("an answer");
    let id = request(&world.log("api").await, 1).await;
    let (mut running, finish) = Running::holding(&world.bus("worker").await);
    assert_eq!(running.next().await.recorded().expect("a job's").0, id);
    let again = async || (world.consumer(RENDER, WORKER).await.delivered.consumer_sequence > 2).then_some(());
    wait_for("two redeliveries", again).await;

    finish.send(true).expect("it waits");
    wait_for("the acknowledgement", async || (pending(&world).await == (0, 0)).then_some(())).await;
    assert!(running.seen.try_recv().is_err(), "it was started once");
    running.stop().await;
}

#[tokio::test]
async fn a_server_that_freezes_for_longer_than_its_heartbeat_costs_neither_the_work_in_hand_nor_what_comes_after() {
    let world = World::provisioned().await;
    let log = world.log("api").await;
    request(&log, 1).await;
    let (mut running, finish) = Running::holding(&world.bus("worker").await);
    running.next().await;
    world.server.freeze(true);
    let frozen = Instant::now();
    wait_for("a silence of two heartbeats and more", async || {
        (frozen.elapsed() > Duration::from_secs(13)).then_some(())
    })
    .await;
    world.server.freeze(false);
    wait_for("the log", async || log.append(job_id(2), 0, &requested()).await.ok()).await;
    assert_eq!(running.next().await.recorded().expect("a job's").0, job_id(2), "the loop pulls again");
    finish.send(true).expect("they wait");
    wait_for("both to be acknowledged", async || (pending(&world).await == (0, 0)).then_some(())).await;
    assert!(running.seen.try_recv().is_err(), "each was started once");
    running.stop().await;
}

#[tokio::test]
async fn a_consumer_that_is_deleted_under_an_open_pull_comes_back_and_what_is_held_is_not_started_again() {
    let world = World::provisioned().await;
    let log = world.log("api").await;
    request(&log, 1).await;
    let (mut running, finish) = Running::holding(&world.bus("worker").await);
    running.next().await;
    let is_open = async || (world.consumer(RENDER, WORKER).await.num_waiting == 1).then_some(());
    wait_for("the open pull", is_open).await;
    world.stream(RENDER).await.delete_consumer(WORKER).await.expect("deleted");
    request(&log, 2).await;
    let bus = world.bus("operator").await;
    nats::topology::provision(&bus, &nats::topology::Tunables::default()).await.expect("provisioned");
    assert_eq!(running.next().await.recorded().expect("a job's").0, job_id(2));
    assert_eq!(world.consumer(RENDER, WORKER).await.delivered.stream_sequence, 2, "the new one delivered both");
    finish.send(true).expect("they wait");
    wait_for("both to be acknowledged", async || (pending(&world).await == (0, 0)).then_some(())).await;
    assert!(running.seen.try_recv().is_err(), "each was started once");
    running.stop().await;
}
