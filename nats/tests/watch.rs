//! The index that follows the bucket.

use std::time::Duration;

use async_nats::jetstream;
use events::{Entry, Job, JobId, Status};
use nats::topology::{self, Tunables};
use nats::{Bus, Watch, rebuild};
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::{World, cancelled, job_id, requested, wait_for};

fn follow(watch: &Watch, bus: Bus) -> (JoinHandle<()>, DropGuard) {
    let (stop, watch) = (CancellationToken::new(), watch.clone());
    let token = stop.clone();
    (tokio::spawn(async move { watch.run(&bus, token).await }), stop.drop_guard())
}

async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), future).await.unwrap_or_else(|_| panic!("waited 20 s for {what}"))
}

async fn row_of(watch: &Watch, id: JobId, status: Status) {
    wait_for("the row", async || watch.row(id).filter(|row| row.status == status)).await;
}

#[tokio::test]
async fn an_empty_bucket_is_caught_up_with_at_once_and_then_followed() {
    let world = World::provisioned().await;
    let (log, bus) = (world.log("api").await, world.bus("operator").await);
    let watch = Watch::default();
    assert!(!watch.is_caught_up());
    let _following = follow(&watch, world.bus("api").await);
    within("the empty bucket", watch.caught_up()).await;

    let id = job_id(1);
    let mut changes = watch.subscribe(id);
    assert_eq!(*changes.borrow_and_update(), 0);
    log.append(id, 0, &requested()).await.expect("stored");
    rebuild(&bus).await.expect("projected");
    within("a change", changes.changed()).await.expect("it is followed");
    let row = watch.row(id).expect("a row");
    assert_eq!((row.status, row.requested, row.version, row.revision), (Status::Pending, 1, 1, *changes.borrow()));

    log.append(id, 1, &cancelled("enough")).await.expect("stored");
    rebuild(&bus).await.expect("projected");
    within("a change", changes.changed()).await.expect("it is followed");
    assert_eq!(watch.row(id).expect("a row").status, Status::Cancelled);
}

#[tokio::test]
async fn what_is_there_is_known_before_the_watch_says_so() {
    let world = World::provisioned().await;
    let (log, bus) = (world.log("api").await, world.bus("operator").await);
    for n in 1..=300 {
        log.append(job_id(n), 0, &requested()).await.expect("stored");
    }
    for n in (3..=300).step_by(3) {
        log.append(job_id(n), n, &cancelled("enough")).await.expect("stored");
    }
    rebuild(&bus).await.expect("projected");
    let watch = Watch::default();
    let _following = follow(&watch, world.bus("api").await);
    within("the bucket", watch.caught_up()).await;

    let counts = watch.counts();
    assert_eq!(counts.iter().map(|(_, count)| count).sum::<usize>(), 300);
    assert!(counts.contains(&(Status::Pending, 200)) && counts.contains(&(Status::Cancelled, 100)));
    let positions = [1, 2, 3, 4, 299].map(|n| watch.position(job_id(n)));
    assert_eq!(positions, [Some(1), Some(2), None, Some(3), Some(200)]);
    let mut pages = Vec::new();
    while let Some(page) = Some(watch.list(None, pages.last().map(|(seq, _)| *seq), 70)).filter(|page| !page.is_empty())
    {
        pages.extend(page);
    }
    assert_eq!(pages, (1..=300).rev().map(|n| (n, job_id(n))).collect::<Vec<_>>());
    assert_eq!(watch.list(Some(Status::Cancelled), Some(300), 2), [(297, job_id(297)), (294, job_id(294))]);
}

#[tokio::test]
async fn a_restart_of_the_server_and_a_bucket_made_anew_are_followed() {
    let mut world = World::provisioned().await;
    let id = job_id(1);
    let watch = Watch::default();
    let _following = follow(&watch, world.bus("api").await);
    let (log, bus) = (world.log("api").await, world.bus("operator").await);
    log.append(id, 0, &requested()).await.expect("stored");
    rebuild(&bus).await.expect("projected");
    row_of(&watch, id, Status::Pending).await;

    world.server.kill();
    world.server.restart().await.expect("back");
    let append = async || log.append(id, 1, &cancelled("enough")).await.ok();
    wait_for("the log", append).await;
    wait_for("the projection", async || rebuild(&bus).await.ok()).await;
    row_of(&watch, id, Status::Cancelled).await;

    let context = jetstream::new(bus.client().clone());
    context.delete_stream("KV_JOBS").await.expect("deleted");
    topology::provision(&bus, &Tunables::default()).await.expect("made anew");
    let other = job_id(2);
    log.append(other, 0, &requested()).await.expect("stored");
    rebuild(&bus).await.expect("projected");
    row_of(&watch, other, Status::Pending).await;
    assert_eq!(watch.row(id).expect("a row").revision, 1, "a revision of the new bucket");
}

#[tokio::test]
async fn a_deleted_or_strange_entry_is_no_row() {
    let world = World::provisioned().await;
    let bus = world.bus("operator").await;
    let bucket = jetstream::new(bus.client().clone()).get_key_value("JOBS").await.expect("the bucket");
    let watch = Watch::default();
    let _following = follow(&watch, world.bus("api").await);
    world.log("api").await.append(job_id(1), 0, &requested()).await.expect("stored");
    rebuild(&bus).await.expect("projected");
    row_of(&watch, job_id(1), Status::Pending).await;

    let strange = serde_json::to_vec(&Entry::from(Job::default())).expect("JSON");
    bucket.put(job_id(2).to_string(), strange.into()).await.expect("put");
    bucket.put("not-a-job", "{}".into()).await.expect("put");
    bucket.delete(job_id(1).to_string()).await.expect("deleted");
    wait_for("the deletion", async || watch.row(job_id(1)).is_none().then_some(())).await;
    assert_eq!(watch.row(job_id(2)), None);
    assert_eq!(watch.list(None, None, 10), []);
}
