//! The gate that every write passes, and what tells one log from another.

use async_nats::jetstream;
use events::Attempt;
use events::event::Progressed;
use nats::{Append, Bus, Cause, Error, Log, topology};
use tokio_util::sync::CancellationToken;

use crate::{World, cancelled, job_id, requested, wait_for};

async fn append(log: &Log, n: u64) -> Result<Append, Error> {
    log.append(job_id(n), 0, &requested()).await
}

fn is_refused(result: &Result<Append, Error>, reason: &str) -> bool {
    matches!(result, Err(error @ Error::Append(_, Cause::Fenced(said))) if said == reason && !error.is_transient())
}

#[tokio::test]
async fn a_closed_gate_lets_nothing_pass_and_reading_goes_on() {
    let world = World::provisioned().await;
    let log = world.log("api").await;
    let bus = log.bus().clone();
    assert_eq!(append(&log, 1).await.expect("nobody guards it"), Append::Stored(1));

    bus.close_gate("it is another log");

    assert_eq!(bus.refusal().as_deref(), Some("it is another log"));
    assert!(is_refused(&append(&log, 2).await, "it is another log"));
    let refused = log.append(job_id(1), 1, &cancelled("no more")).await;
    assert!(is_refused(&refused, "it is another log"));
    log.report(job_id(1), Progressed::new(Attempt::FIRST, 40)).await;
    bus.flush().await;
    assert_eq!(log.load(job_id(1)).await.expect("it is read").seq, 1);
    let messages = async |name: &str| world.stream(name).await.cached_info().state.messages;
    assert_eq!((messages(topology::RENDER).await, messages(topology::RENDER_PROGRESS).await), (1, 0));

    bus.open_gate(bus.connects());
    assert_eq!(append(&log, 2).await.expect("it is open"), Append::Stored(2));
    assert_eq!((bus.take_acknowledged(), bus.take_acknowledged()), (2, 0));
}

#[tokio::test]
async fn an_open_gate_holds_for_one_connection_only() {
    let mut world = World::provisioned().await;
    let log = world.log("api").await;
    let bus = log.bus().clone();
    let before = bus.connects();
    bus.open_gate(before);
    append(&log, 1).await.expect("it is open");

    world.server.kill();
    world.server.restart().await.expect("started again");
    bus.reconnected(before).await;
    wait_for("the log", async || log.head().await.ok()).await;

    let refused = append(&log, 2).await.expect_err("nobody has looked at this log");
    assert!(matches!(refused, Error::Append(_, Cause::Unchecked)) && refused.is_transient(), "{refused:?}");
    let (waiting, opened) = tokio::join!(append(&log, 2), async {
        // It waits for the one who looks.
        tokio::task::yield_now().await;
        bus.open_gate(bus.connects());
        bus.writable().await;
    });
    assert_eq!((waiting.expect("it was looked at"), opened), (Append::Stored(2), ()));
}

#[tokio::test]
async fn the_projector_leaves_the_entries_alone_while_the_gate_is_closed() {
    let world = World::provisioned().await;
    let (bus, stop) = (world.bus("projector").await, CancellationToken::new());
    bus.close_gate("it is another log");
    let task = tokio::spawn({
        let (bus, stop) = (bus.clone(), stop.clone());
        async move { nats::project(&bus, stop).await }
    });
    append(&world.log("api").await, 1).await.expect("the api's gate is its own");
    let delivered = async || world.consumer(topology::RENDER, topology::PROJECTOR).await.delivered.stream_sequence;
    assert_eq!(delivered().await, 0);

    bus.open_gate(bus.connects());

    wait_for("the entry", async || nats::Jobs::new(bus.clone()).get(job_id(1)).await.ok().flatten()).await;
    stop.cancel();
    task.await.expect("it ends");
}

#[tokio::test]
async fn a_log_tells_when_it_was_made_and_where_it_ends() {
    let world = World::new().await;
    let log = world.log("api").await;
    assert_eq!(log.head().await.expect("an answer"), None);
    let make = async |bus: &Bus| {
        topology::provision(bus, &topology::Tunables::default()).await.expect("provisioned");
        log.head().await.expect("an answer").expect("a log")
    };
    let bus = world.bus("operator").await;
    let first = make(&bus).await;
    assert_eq!((first.last_seq, first.last_time), (0, None));
    append(&log, 1).await.expect("stored");
    let grown = log.head().await.expect("an answer").expect("a log");
    assert_eq!((&grown.created, grown.first_seq, grown.last_seq), (&first.created, 1, 1));
    assert_eq!(log.time_of(1).await.expect("an answer"), grown.last_time);
    assert_eq!(log.time_of(2).await.expect("an answer"), None);

    jetstream::new(bus.client().clone()).delete_stream(topology::RENDER).await.expect("nobody protects this server");
    let other = make(&bus).await;

    assert_ne!(other.created, first.created);
    assert_eq!(other.last_seq, 0);
}
