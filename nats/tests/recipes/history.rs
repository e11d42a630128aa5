//! Jobs to look at: one complete, one failed, one in flight, one that nobody has looked at yet.

use std::collections::BTreeMap;

use async_nats::jetstream;
use events::event::{Completed, Dispatched, Failed, Output, Progressed, Started};
use events::{Attempt, Code, Entry, Event, JobId};
use nats::topology::{KV_JOBS, RENDER, RENDER_PROGRESS};
use nats::{Bus, Jobs, Log, Verified, project, verify};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::world::{World, job_id, requested, wait_for};

pub(super) const COMPLETE: u64 = 1;
pub(super) const FAILED: u64 = 2;
pub(super) const RUNNING: u64 = 3;
pub(super) const WAITING: u64 = 4;
/// How many facts [`write`] leaves in the log.
pub(super) const FACTS: u64 = 10;

fn life(n: u64) -> Vec<Event> {
    let id = job_id(n);
    let output = Output::video(format!("renders/{id}/output.mp4"), 7);
    let attempt = Attempt::FIRST;
    let mut life = vec![
        requested(),
        Event::Dispatched(attempt, Dispatched { call_id: "fc-1".into(), gpu: true }),
        Event::Started(attempt, Started { call_id: "fc-1".into(), input_id: "in-1".into() }),
        Event::Completed(Completed { attempt, output }),
    ];
    match n {
        COMPLETE => {}
        FAILED => life.splice(1.., [Event::Failed(Failed { failure: Code::AudioMissing.into() })]).for_each(drop),
        RUNNING => life.truncate(3),
        _ => life.truncate(1),
    }
    life
}

/// Writes the four lives.
pub(super) async fn write(world: &World) {
    let log = world.log("api").await;
    for n in [COMPLETE, FAILED, RUNNING, WAITING] {
        for event in life(n) {
            append(&log, job_id(n), &event).await;
        }
    }
    log.report(job_id(RUNNING), Progressed::new(Attempt::FIRST, 50)).await;
    wait_for("the report", async || (messages(world, RENDER_PROGRESS).await == 1).then_some(())).await;
    assert_eq!(messages(world, RENDER).await, FACTS);
}

pub(super) async fn append(log: &Log, id: JobId, event: &Event) {
    let version = log.load(id).await.expect("readable").seq;
    log.append(id, version, event).await.expect("stored");
}

pub(super) async fn messages(world: &World, stream: &str) -> u64 {
    world.stream(stream).await.cached_info().state.messages
}

/// A projector, until this is dropped.
pub(super) async fn projector(world: &World) -> DropGuard {
    let (bus, stop) = (world.bus("projector").await, CancellationToken::new());
    let token = stop.clone();
    tokio::spawn(async move { project(&bus, token).await });
    stop.drop_guard()
}

/// All entries of the four jobs, once they say what the log says.
pub(super) async fn entries(world: &World) -> BTreeMap<JobId, Entry> {
    let bus = world.bus("operator").await;
    wait_for("the projection", async || entries_now(&bus).await.filter(|entries| entries.len() == 4)).await
}

async fn entries_now(bus: &Bus) -> Option<BTreeMap<JobId, Entry>> {
    let jobs = Jobs::new(bus.clone());
    let mut entries = BTreeMap::new();
    for id in [COMPLETE, FAILED, RUNNING, WAITING].map(job_id) {
        entries.insert(id, jobs.get(id).await.ok()??.1);
    }
    // The report comes from another stream than the facts.
    let is_whole = entries[&job_id(RUNNING)].progress == 50;
    let is_equal = verify(bus, &|_, _| ()).await.ok()? == Verified { jobs: 4, differences: vec![] };
    (is_whole && is_equal).then_some(entries)
}

/// What a disaster does.
pub(super) async fn lose_the_bucket(world: &World) {
    let context = jetstream::new(world.bus("operator").await.client().clone());
    context.get_stream(KV_JOBS).await.expect("the bucket").purge().await.expect("purged");
}
