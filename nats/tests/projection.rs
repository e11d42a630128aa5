//! The bucket follows the log, whoever feeds it and however often.

use std::time::Duration;

use async_nats::jetstream::{self, stream::Config};
use events::event::{Completed, Dispatched, Output, Progressed, Started};
use events::{Attempt, Entry, Event, JobId, Recorded, Status, subject};
use nats::topology::{PROJECTOR, RENDER, RENDER_DEAD, RENDER_PROGRESS, Tunables, provision};
use nats::{Bus, Jobs, Log, Verified, dead, project, rebuild, verify};
use time::OffsetDateTime;
use tokio::task::JoinSet;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::requests::Requests;
use crate::{World, cancelled, job_id, requested, wait_for, within};

/// So many projectors at once, until this is dropped.
async fn projectors(world: &World, count: usize) -> (JoinSet<()>, DropGuard) {
    let (stop, mut tasks) = (CancellationToken::new(), JoinSet::new());
    for _ in 0..count {
        let (bus, stop) = (world.bus("projector").await, stop.clone());
        tasks.spawn(async move { project(&bus, stop).await });
    }
    (tasks, stop.drop_guard())
}

fn life(id: JobId) -> [Event; 4] {
    let output = Output::video(format!("renders/{id}/output.mp4"), 7);
    [
        requested(),
        Event::Dispatched(Attempt::FIRST, Dispatched { call_id: "fc-1".into(), gpu: true }),
        Event::Started(Attempt::FIRST, Started { call_id: "fc-1".into(), input_id: "in-1".into() }),
        Event::Completed(Completed { attempt: Attempt::FIRST, output }),
    ]
}

async fn live(log: &Log, id: JobId, events: &[Event]) {
    for event in events {
        let version = log.load(id).await.expect("readable").seq;
        log.append(id, version, event).await.expect("stored");
    }
}

async fn entry(bus: &Bus, id: JobId, is_wanted: impl Fn(&Entry) -> bool) -> (u64, Entry) {
    let jobs = Jobs::new(bus.clone());
    let found = async || jobs.get(id).await.ok().flatten().filter(|(_, entry)| is_wanted(entry));
    wait_for("the entry", found).await
}

async fn wait_until_idle(world: &World) {
    let is_idle = async |stream| {
        let info = world.consumer(stream, PROJECTOR).await;
        info.num_ack_pending == 0 && info.num_pending == 0
    };
    let idle = async || (is_idle(RENDER).await && is_idle(RENDER_PROGRESS).await).then_some(());
    wait_for("the projectors", idle).await;
}

/// How often anything was written into the bucket.
async fn writes(world: &World) -> u64 {
    let bucket = world.stream("KV_JOBS").await;
    let info = bucket.cached_info();
    info.state.last_sequence + 1 - info.config.first_sequence.unwrap_or(1)
}

#[tokio::test]
async fn several_projectors_and_any_redelivery_make_the_fold_of_the_log() {
    let world = World::provisioned().await;
    let (log, bus) = (world.log("api").await, world.bus("operator").await);
    let _running = projectors(&world, 3).await;
    for n in 1..=40 {
        live(&log, job_id(n), &life(job_id(n))[..=(n % 4) as usize]).await;
        log.report(job_id(n), Progressed::new(Attempt::FIRST, 50)).await;
    }
    // All of it once more, as after `nats consumer reset`.
    let reset = format!("$JS.API.CONSUMER.RESET.{RENDER}.{PROJECTOR}");
    bus.client().request(reset, r#"{"seq": 1}"#.into()).await.expect("reset");
    wait_until_idle(&world).await;

    for n in 1..=40 {
        let is_told = |entry: &Entry| entry.job.progress.is_some() || entry.status == Status::Complete;
        let (_, found) = entry(&bus, job_id(n), is_told).await;
        let mut job = found.job.clone();
        let expected = log.load(job_id(n)).await.expect("readable");
        (job.progress, job.updated_at) = (None, expected.updated_at);
        assert_eq!(job, expected);
        assert_eq!(found, Entry::from(found.job.clone()), "what stands in front is derived");
    }
}

#[tokio::test]
async fn a_batch_is_one_write_per_job() {
    let world = World::provisioned().await;
    let (log, bus) = (world.log("api").await, world.bus("operator").await);
    for n in 1..=10 {
        live(&log, job_id(n), &life(job_id(n))).await;
    }
    let _running = projectors(&world, 1).await;
    wait_until_idle(&world).await;
    for n in 1..=10 {
        entry(&bus, job_id(n), |entry| entry.status == Status::Complete).await;
    }
    let writes = writes(&world).await;
    assert!((10..=15).contains(&writes), "{writes} for 40 events");
}

#[tokio::test]
async fn a_report_of_a_complete_job_costs_no_write() {
    let world = World::provisioned().await;
    let (log, id) = (world.log("api").await, job_id(1));
    let _running = projectors(&world, 1).await;
    live(&log, id, &life(id)).await;
    wait_until_idle(&world).await;
    let before = writes(&world).await;
    log.report(id, Progressed::new(Attempt::FIRST, 90)).await;
    let is_taken =
        async || (world.consumer(RENDER_PROGRESS, PROJECTOR).await.ack_floor.stream_sequence == 1).then_some(());
    wait_for("the report", is_taken).await;
    assert_eq!(writes(&world).await, before);
}

#[tokio::test]
async fn the_entry_of_a_new_job_is_not_looked_for() {
    let world = World::provisioned().await;
    let log = world.log("api").await;
    let mut requests = Requests::to(&world, "KV_JOBS").await;
    let _running = projectors(&world, 1).await;
    for n in 1..=10 {
        live(&log, job_id(n), &life(job_id(n))).await;
    }
    wait_until_idle(&world).await;
    assert_eq!(requests.count().await, 0);
    for n in 1..=10 {
        entry(&world.bus("operator").await, job_id(n), |entry| entry.status == Status::Complete).await;
    }
}

#[tokio::test]
async fn an_entry_that_was_thrown_away_or_spoilt_comes_back_whole() {
    let world = World::provisioned().await;
    let (log, bus) = (world.log("api").await, world.bus("operator").await);
    let (gone, spoilt) = (job_id(1), job_id(2));
    let _running = projectors(&world, 1).await;
    for id in [gone, spoilt] {
        live(&log, id, &life(id)[..3]).await;
        entry(&bus, id, |entry| entry.job.seq > 0 && entry.attempt == Attempt::FIRST).await;
    }
    wait_until_idle(&world).await;
    let context = jetstream::new(bus.client().clone());
    let bucket = context.get_key_value("JOBS").await.expect("the bucket");
    bucket.delete(gone.to_string()).await.expect("deleted");
    bucket.put(spoilt.to_string(), "{\"job\": 1".into()).await.expect("spoilt");

    for id in [gone, spoilt] {
        live(&log, id, &[cancelled("enough")]).await;
        let (_, found) = entry(&bus, id, |entry| entry.status == Status::Cancelled).await;
        assert_eq!(found.job, log.load(id).await.expect("readable"));
    }
}

#[tokio::test]
async fn what_was_written_into_a_bucket_that_is_gone_replaces_nothing_in_the_next() {
    let world = World::provisioned().await;
    let (log, bus) = (world.log("api").await, world.bus("operator").await);
    let id = job_id(1);
    let _running = projectors(&world, 1).await;
    live(&log, id, &life(id)[..3]).await;
    wait_until_idle(&world).await;
    let (_, mut known) = entry(&bus, id, |entry| entry.job.seq == 3).await;
    let writes = writes(&world).await;

    let context = jetstream::new(bus.client().clone());
    context.delete_stream("KV_JOBS").await.expect("deleted");
    provision(&bus, &Tunables::default()).await.expect("made anew");
    // As often as into the other one, now by another projector, which has heard of a report.
    let report = Event::Progressed(Progressed::new(Attempt::FIRST, 80));
    known.job.absorb(&Recorded { seq: 1, time: known.job.updated_at, event: report });
    let bucket = context.get_key_value("JOBS").await.expect("the bucket");
    for _ in 0..writes {
        let payload = serde_json::to_vec(&Entry::from(known.job.clone())).expect("JSON");
        bucket.put(id.to_string(), payload.into()).await.expect("written");
    }

    live(&log, id, &[cancelled("enough")]).await;
    let (_, found) = entry(&bus, id, |entry| entry.status == Status::Cancelled).await;
    assert_eq!(found.job.progress, known.job.progress, "the other's report is still there");
}

#[tokio::test]
async fn an_entry_never_goes_back() {
    let world = World::provisioned().await;
    let (log, bus) = (world.log("api").await, world.bus("operator").await);
    let id = job_id(1);
    live(&log, id, &life(id)[..1]).await;
    let _running = projectors(&world, 2).await;
    let (mut revision, mut seen) = entry(&bus, id, |_| true).await;
    for percent in [80, 40, 60] {
        log.report(id, Progressed::new(Attempt::FIRST, percent)).await;
    }
    live(&log, id, &life(id)[1..]).await;
    log.report(id, Progressed::new(Attempt::FIRST, 90)).await;
    let watching = async {
        while seen.status != Status::Complete {
            let (next, found) = entry(&bus, id, |_| true).await;
            assert!(next >= revision && found.job.seq >= seen.job.seq && found.progress >= seen.progress);
            (revision, seen) = (next, found);
        }
    };
    within("the end", watching).await;
    wait_until_idle(&world).await;
    let (_, last) = entry(&bus, id, |_| true).await;
    assert_eq!((last.status, last.progress), (Status::Complete, 100));
}

#[tokio::test]
async fn what_cannot_be_read_becomes_one_dead_letter_and_harms_nobody() {
    let world = World::provisioned().await;
    let (log, bus) = (world.log("api").await, world.bus("operator").await);
    let context = jetstream::new(bus.client().clone());
    let id = job_id(1);
    live(&log, id, &life(id)[..1]).await;
    let bad = [
        (subject::of(id, subject::Kind::Dispatched(Attempt::FIRST)), "{\"callId\": 7}"),
        ("render.not-a-job.requested".to_owned(), "{}"),
        (subject::of(id, subject::Kind::Progressed), "garbage"),
    ];
    for (to, payload) in &bad {
        context.publish(to.clone(), (*payload).into()).await.expect("sent").await.expect("stored");
    }
    let _running = projectors(&world, 2).await;
    wait_until_idle(&world).await;
    let reset = format!("$JS.API.CONSUMER.RESET.{RENDER}.{PROJECTOR}");
    bus.client().request(reset, r#"{"seq": 1}"#.into()).await.expect("reset");
    wait_until_idle(&world).await;

    let letters = world.stream(RENDER_DEAD).await;
    for (to, payload) in &bad {
        let letter = letters.get_last_raw_message_by_subject(&subject::dead(to)).await.expect("a letter");
        assert_eq!(&*letter.payload, payload.as_bytes());
        assert!(letter.headers.get(dead::REASON).is_some());
    }
    assert_eq!(letters.cached_info().state.messages, 3, "each once");
    let (_, found) = entry(&bus, id, |_| true).await;
    assert_eq!(found.status, Status::Pending, "garbage is never obeyed");
}

#[tokio::test]
async fn a_letter_that_is_written_again_long_after_replaces_itself() {
    let world = World::provisioned().await;
    let bus = world.bus("operator").await;
    let context = jetstream::new(bus.client().clone());
    let letters = world.stream(RENDER_DEAD).await;
    let forgets_at_once = Duration::from_millis(100);
    let config = Config { duplicate_window: forgets_at_once, ..letters.cached_info().config.clone() };
    context.update_stream(config).await.expect("edited");
    let to = subject::of(job_id(1), subject::Kind::Dispatched(Attempt::FIRST));
    context.publish(to.clone(), "garbage".into()).await.expect("sent").await.expect("stored");
    let _running = projectors(&world, 1).await;
    let letter = async || letters.get_last_raw_message_by_subject(&subject::dead(&to)).await.ok();
    let first = wait_for("the letter", letter).await;
    let is_old = async || (OffsetDateTime::now_utc() - first.time > forgets_at_once * 3).then_some(());
    wait_for("the server to forget", is_old).await;

    let reset = format!("$JS.API.CONSUMER.RESET.{RENDER}.{PROJECTOR}");
    bus.client().request(reset, r#"{"seq": 1}"#.into()).await.expect("reset");

    let again = wait_for("the letter", async || letter().await.filter(|letter| letter.sequence > 1)).await;
    assert_eq!((again.payload, again.sequence), (first.payload, 2));
    assert_eq!(world.stream(RENDER_DEAD).await.cached_info().state.messages, 1);
}

#[tokio::test]
async fn a_rebuild_mends_in_place_what_a_verification_finds() {
    let world = World::provisioned().await;
    let (log, bus) = (world.log("api").await, world.bus("operator").await);
    for n in 1..=30 {
        live(&log, job_id(n), &life(job_id(n))[..=(n % 4) as usize]).await;
        log.report(job_id(n), Progressed::new(Attempt::FIRST, 50)).await;
    }
    assert_eq!(
        rebuild(&bus, &|_, _| ()).await.expect("rebuilt").written,
        53,
        "facts, then reports of what is not complete"
    );
    assert_eq!(verify(&bus, &|_, _| ()).await.expect("verified"), Verified { jobs: 30, differences: vec![] });
    assert_eq!(rebuild(&bus, &|_, _| ()).await.expect("rebuilt").written, 0, "nothing to do");

    let context = jetstream::new(bus.client().clone());
    let bucket = context.get_key_value("JOBS").await.expect("the bucket");
    let (gone, wrong) = (job_id(1), job_id(2));
    bucket.delete(gone.to_string()).await.expect("deleted");
    let mut entry: Entry =
        serde_json::from_slice(&bucket.get(wrong.to_string()).await.expect("read").expect("kept")).expect("JSON");
    entry.status = Status::Failed;
    entry.job.seq -= 1;
    bucket.put(wrong.to_string(), serde_json::to_vec(&entry).expect("JSON").into()).await.expect("spoilt");

    let said: Vec<_> =
        verify(&bus, &|_, _| ()).await.expect("verified").differences.iter().map(ToString::to_string).collect();
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(said.contains(&format!("{gone}: no readable entry")), "{said:?}");
    assert!(said.contains(&format!("{wrong}: `job.seq`, `status`")), "{said:?}");

    context.get_stream("KV_JOBS").await.expect("the bucket").purge().await.expect("purged");
    assert_eq!(verify(&bus, &|_, _| ()).await.expect("verified").differences.len(), 30);
    rebuild(&bus, &|_, _| ()).await.expect("rebuilt");
    assert_eq!(verify(&bus, &|_, _| ()).await.expect("verified"), Verified { jobs: 30, differences: vec![] });
    assert_eq!(world.consumer(RENDER, "worker").await.delivered.consumer_sequence, 0, "nothing is rendered again");
}
