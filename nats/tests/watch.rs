//! The index that follows the bucket.

use async_nats::jetstream::{self, stream::Config};
use events::{Entry, Job, JobId, Status};
use nats::topology::{self, RENDER, Tunables};
use nats::{Bus, Jobs, Watch, rebuild};
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::{World, cancelled, job_id, requested, wait_for, within};

fn follow(watch: &Watch, bus: Bus) -> (JoinHandle<()>, DropGuard) {
    let (stop, watch) = (CancellationToken::new(), watch.clone());
    let token = stop.clone();
    (tokio::spawn(async move { watch.run(&bus, token).await }), stop.drop_guard())
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
    rebuild(&bus, &|_, _| ()).await.expect("projected");
    within("a change", changes.changed()).await.expect("it is followed");
    let row = watch.row(id).expect("a row");
    assert_eq!((row.status, row.requested, row.version, row.revision), (Status::Pending, 1, 1, *changes.borrow()));

    log.append(id, 1, &cancelled("enough")).await.expect("stored");
    rebuild(&bus, &|_, _| ()).await.expect("projected");
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
    rebuild(&bus, &|_, _| ()).await.expect("projected");
    let watch = Watch::default();
    let _following = follow(&watch, world.bus("api").await);
    within("the bucket", watch.caught_up()).await;

    let counts = watch.counts();
    assert_eq!(counts.iter().map(|(_, count)| count).sum::<usize>(), 300);
    assert!(counts.contains(&(Status::Pending, 200)) && counts.contains(&(Status::Cancelled, 100)));
    let positions = [1, 2, 4, 299, 1000].map(|requested| watch.position(requested));
    assert_eq!(positions, [Some(1), Some(2), Some(3), Some(200), Some(201)]);
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
    rebuild(&bus, &|_, _| ()).await.expect("projected");
    row_of(&watch, id, Status::Pending).await;

    world.server.kill();
    world.server.restart().await.expect("back");
    let append = async || log.append(id, 1, &cancelled("enough")).await.ok();
    wait_for("the log", append).await;
    wait_for("the projection", async || rebuild(&bus, &|_, _| ()).await.ok()).await;
    row_of(&watch, id, Status::Cancelled).await;

    let context = jetstream::new(bus.client().clone());
    // By hand: its revisions begin at 1 again.
    let made = world.stream("KV_JOBS").await.cached_info().config.clone();
    context.delete_stream("KV_JOBS").await.expect("deleted");
    context.create_stream(Config { first_sequence: None, ..made }).await.expect("made anew");
    let other = job_id(2);
    log.append(other, 0, &requested()).await.expect("stored");
    rebuild(&bus, &|_, _| ()).await.expect("projected");
    row_of(&watch, other, Status::Pending).await;
    assert_eq!(watch.row(id).expect("a row").revision, 1, "a revision of the new bucket");
}

#[tokio::test]
async fn what_the_log_said_once_stays_known_whatever_happens_to_an_entry() {
    let world = World::provisioned().await;
    let (log, bus) = (world.log("api").await, world.bus("operator").await);
    let context = jetstream::new(bus.client().clone());
    let bucket = context.get_key_value("JOBS").await.expect("the bucket");
    let watch = Watch::default();
    let _following = follow(&watch, world.bus("api").await);
    let id = job_id(1);
    log.append(id, 0, &requested()).await.expect("stored");
    let early = Entry::from(log.load(id).await.expect("readable"));
    log.append(id, 1, &cancelled("enough")).await.expect("stored");
    rebuild(&bus, &|_, _| ()).await.expect("projected");
    row_of(&watch, id, Status::Cancelled).await;

    let strange = serde_json::to_vec(&Entry::from(Job::default())).expect("JSON");
    bucket.put(job_id(2).to_string(), strange.into()).await.expect("put");
    bucket.put("not-a-job", "{}".into()).await.expect("put");
    let early = serde_json::to_vec(&early).expect("JSON");
    let mut changes = watch.subscribe(id);
    for spoil in ["{\"job\": 1".into(), early] {
        let revision = bucket.put(id.to_string(), spoil.into()).await.expect("spoilt");
        within("the change", changes.wait_for(|now| *now == revision)).await.expect("it is followed");
        let row = watch.row(id).expect("a row");
        assert_eq!((row.status, row.version, row.revision), (Status::Cancelled, 2, revision));
    }
    bucket.delete(id.to_string()).await.expect("deleted");
    within("the deletion", changes.changed()).await.expect("it is followed");
    assert_eq!(watch.list(None, None, 10), [(1, id)], "it is in the log");
    let epoch = watch.epoch();
    context.delete_stream("KV_JOBS").await.expect("deleted");
    topology::provision(&bus, &Tunables::default()).await.expect("made anew");
    wait_for("the new bucket", async || (watch.epoch() > epoch).then_some(())).await;
    assert_eq!((watch.list(None, None, 10), watch.is_caught_up()), (vec![(1, id)], true));
}

#[tokio::test]
async fn what_the_log_lets_go_leaves_the_index_and_another_log_empties_it() {
    let world = World::provisioned().await;
    let (log, bus) = (world.log("api").await, world.bus("operator").await);
    for n in 1..=3 {
        log.append(job_id(n), 0, &requested()).await.expect("stored");
    }
    log.append(job_id(1), 1, &cancelled("enough")).await.expect("stored");
    rebuild(&bus, &|_, _| ()).await.expect("projected");
    let watch = Watch::default();
    let _following = follow(&watch, world.bus("api").await);
    within("the bucket", watch.caught_up()).await;
    assert_eq!(watch.list(None, None, 10).len(), 3);

    // Age does the same to a log as a purge, which ours refuses.
    let context = jetstream::new(bus.client().clone());
    let mut config = context.get_stream(RENDER).await.expect("the log").cached_info().config.clone();
    config.max_messages = 2;
    config.discard = async_nats::jetstream::stream::DiscardPolicy::Old;
    config.discard_new_per_subject = false;
    context.update_stream(config).await.expect("changed");
    wait_for("the third to be the oldest", async || watch.row(job_id(2)).is_none().then_some(())).await;
    assert_eq!(watch.list(None, None, 10), [(3, job_id(3))]);
    assert!(watch.is_expired(2) && !watch.is_expired(3));
    assert_eq!(watch.counts().iter().map(|(_, count)| count).sum::<usize>(), 1);
    assert_eq!(watch.position(3), Some(1), "nobody waits before it");

    context.delete_stream(RENDER).await.expect("deleted");
    context.get_stream("KV_JOBS").await.expect("the bucket").purge().await.expect("purged");
    topology::provision(&bus, &Tunables::default()).await.expect("made anew");
    wait_for("the new log", async || watch.row(job_id(3)).is_none().then_some(())).await;
    wait_for("catching up", async || watch.is_caught_up().then_some(())).await;
    log.append(job_id(4), 0, &requested()).await.expect("stored");
    rebuild(&bus, &|_, _| ()).await.expect("projected");
    row_of(&watch, job_id(4), Status::Pending).await;
}

#[tokio::test]
async fn many_entries_come_by_one_request_and_a_timeline_keeps_what_a_newer_release_wrote() {
    let world = World::provisioned().await;
    let (log, bus) = (world.log("api").await, world.bus("operator").await);
    let ids: Vec<_> = (1..=100).map(job_id).collect();
    for id in &ids {
        log.append(*id, 0, &requested()).await.expect("stored");
    }
    rebuild(&bus, &|_, _| ()).await.expect("projected");
    let jobs = Jobs::new(bus.clone());
    assert_eq!(jobs.get_many(&[]).await.expect("read").len(), 0);
    assert_eq!(jobs.get_many(&[job_id(101)]).await.expect("read").len(), 0);
    let found = jobs.get_many(&ids).await.expect("read");
    assert!(ids.iter().all(|id| found[id].job.requested.is_some()));

    let context = jetstream::new(bus.client().clone());
    let mut config = context.get_stream(RENDER).await.expect("the log").cached_info().config.clone();
    config.subjects.push("render.*.paused.*".into());
    context.update_stream(config).await.expect("changed");
    let to = format!("render.{}.paused.2", ids[0]);
    context.publish(to, r#"{"why":"lunch"}"#.into()).await.expect("sent").await.expect("stored");
    let lines = log.timeline(ids[0]).await.expect("read");
    assert_eq!(lines.iter().map(|line| line.kind.as_str()).collect::<Vec<_>>(), ["requested", "paused"]);
    assert_eq!((lines[1].attempt.map(events::Attempt::get), &lines[1].data["why"]), (Some(2), &"lunch".into()));
}
