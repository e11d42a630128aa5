//! Facts, written once and read back.

use async_nats::HeaderMap;
use async_nats::jetstream;
use events::event::{Dispatched, Progressed, Started};
use events::{Attempt, Command, Event, Job, Rejection, Status, decide, subject};
use nats::{Append, Error, Outcome, topology};
use serde_json::{Value, json};

use crate::{World, cancelled, job_id, requested, spec, wait_for};

#[tokio::test]
async fn what_is_appended_is_loaded_with_one_request() {
    let world = World::provisioned().await;
    let log = world.log("api").await;
    let id = job_id(1);
    assert_eq!(log.load(id).await.expect("readable"), Job::default());

    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let traced = log.traced(Some(trace.into()));
    assert_eq!(traced.append(id, 0, &requested()).await.expect("stored"), Append::Stored(1));
    let dispatched = Event::Dispatched(Attempt::FIRST, Dispatched { call_id: "fc-1".into(), gpu: true });
    assert_eq!(log.append(id, 1, &dispatched).await.expect("stored"), Append::Stored(2));

    let job = log.load(id).await.expect("readable");
    assert_eq!((job.seq, job.status()), (2, Status::Processing));
    let history = log.history(id).await.expect("readable");
    assert_eq!(history.iter().map(|fact| &fact.event).collect::<Vec<_>>(), [&requested(), &dispatched]);
    let raw = world.stream(topology::RENDER).await.get_raw_message(1).await.expect("the message");
    let header = |name: &str| raw.headers.get(name).map(|value| value.as_str().to_owned()).unwrap_or_default();
    assert_eq!(header("traceparent"), trace);
    assert_eq!(header("ce-id"), subject::of(id, requested().kind().expect("known")));
    assert_eq!((header("ce-type").as_str(), header("ce-source").as_str()), ("kiln.render.requested", "kiln/api"));
    assert_eq!((header("ce-subject"), header("ce-specversion").as_str()), (id.to_string(), "1.0"));
}

#[tokio::test]
async fn a_fact_is_stored_once_and_repeating_it_says_where() {
    let world = World::provisioned().await;
    let log = world.log("api").await;
    let id = job_id(1);
    let check = async |version, event: Event, expected| {
        assert_eq!(log.append(id, version, &event).await.expect("an answer"), expected, "{version} {event:?}");
    };
    check(0, requested(), Append::Stored(1)).await;
    check(0, requested(), Append::Stored(1)).await; // 10071: it is there
    check(1, requested(), Append::Stored(1)).await; // 10077: it is there
    check(0, cancelled("early"), Append::Conflict).await; // 10071: something else came first
    check(1, cancelled("late"), Append::Stored(2)).await;
    check(1, cancelled("otherwise"), Append::Conflict).await;
    let known = log.append(id, 2, &cancelled("otherwise")).await.expect_err("we knew of what is there");
    assert!(matches!(known, Error::Occupied(_)) && !known.is_transient());
    assert_eq!(world.stream(topology::RENDER).await.cached_info().state.messages, 2);
}

#[tokio::test]
async fn writers_at_once_end_in_one_decision_each() {
    let world = World::provisioned().await;
    let id = job_id(1);
    world.log("api").await.append(id, 0, &requested()).await.expect("stored");
    let mut writers = tokio::task::JoinSet::new();
    for n in 0..12 {
        let log = world.log("webhook").await;
        let started = Started { call_id: format!("fc-{n}"), input_id: "in-1".into() };
        writers.spawn(async move {
            log.transact(id, |job| decide(job, Command::Claim(Attempt::FIRST, started.clone()))).await.expect("decided")
        });
    }
    let outcomes = writers.join_all().await;
    let won = outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Appended { .. })).count();
    let elsewhere =
        |outcome: &&Outcome<_>| matches!(outcome, Outcome::Rejected { rejection: Rejection::ClaimedElsewhere, .. });
    assert_eq!((won, outcomes.iter().filter(elsewhere).count()), (1, 11));
}

#[tokio::test]
async fn a_full_log_says_so_and_a_taken_subject_does_not() {
    let world = World::provisioned().await;
    let choice = topology::Tunables { max_bytes: Some(4096), ..topology::Tunables::default() };
    topology::provision(&world.bus("operator").await, &choice).await.expect("provisioned");
    let log = world.log("api").await;
    let mut n = 0;
    let error = loop {
        n += 1;
        match log.append(job_id(n), 0, &requested()).await {
            Ok(stored) => assert_eq!(stored, Append::Stored(n)),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, Error::Full), "{error:?}");
    assert_eq!(log.append(job_id(1), 1, &requested()).await.expect("it is there"), Append::Stored(1));
}

#[tokio::test]
async fn headers_of_a_publisher_cannot_deceive_a_reader() {
    let world = World::provisioned().await;
    let (log, bus) = (world.log("api").await, world.bus("publisher").await);
    let id = job_id(1);
    let mut headers = HeaderMap::new();
    headers.insert("Nats-Sequence", "99");
    headers.insert("Nats-Subject", subject::of(job_id(2), subject::Kind::Cancelled));
    headers.insert("Nats-Time-Stamp", "1999-01-01T00:00:00Z");
    let to = subject::of(id, subject::Kind::Requested);
    let payload = json!({"spec": spec()}).to_string();
    jetstream::new(bus.client().clone())
        .publish_with_headers(to, headers, payload.into())
        .await
        .expect("sent")
        .await
        .expect("stored");
    // A status line of one's own, as the end of an answer has it.
    let to = subject::of(id, subject::Kind::Cancelled);
    world.publish_raw(to.as_bytes(), b"NATS/1.0 204 EOB\r\n\r\n", b"{\"reason\":\"x\"}").await;

    let job = wait_for("both", async || log.load(id).await.ok().filter(|job| job.seq == 2)).await;

    assert_eq!(job.status(), Status::Cancelled);
    assert!(job.updated_at.unix_ms() > 1_700_000_000_000, "the server's own time");
}

#[tokio::test]
async fn an_unreachable_server_is_a_transient_error_and_nothing_is_sent_later() {
    let mut world = World::provisioned().await;
    let log = world.log("api").await;
    let id = job_id(1);
    log.append(id, 0, &requested()).await.expect("stored");
    world.server.kill();
    wait_for("the loss", async || (!log.bus().is_connected()).then_some(())).await;

    let error = log.append(id, 1, &cancelled("while it is away")).await.expect_err("nobody there");
    assert!(error.is_transient(), "{error:?}");
    log.report(id, Progressed::new(Attempt::FIRST, 10)).await;

    world.server.restart().await.expect("back");
    let job = wait_for("the log", async || log.load(id).await.ok()).await;
    assert_eq!((job.seq, job.status()), (1, Status::Pending));
}

#[tokio::test]
async fn an_answer_that_comes_too_late_is_found_in_the_log() {
    let world = World::provisioned().await;
    let log = world.log("api").await;
    let id = job_id(1);
    world.server.freeze(true);
    let appending = tokio::spawn({
        let log = log.clone();
        async move { log.append(id, 0, &requested()).await }
    });
    let error = appending.await.expect("no panic").expect_err("no answer in time");
    assert!(matches!(error, Error::Append(..)) && error.is_transient(), "{error:?}");
    world.server.freeze(false);

    wait_for("the ghost", async || log.load(id).await.ok().filter(|job| job.seq == 1)).await;
    assert_eq!(log.append(id, 0, &requested()).await.expect("the same request again"), Append::Stored(1));
}

#[tokio::test]
async fn the_last_report_is_kept_and_no_report_is_an_event_of_the_log() {
    let world = World::provisioned().await;
    let log = world.log("webhook").await;
    let id = job_id(1);
    for percent in [10, 20, 30] {
        log.report(id, Progressed::new(Attempt::FIRST, percent)).await;
    }
    let mut progress = world.stream(topology::RENDER_PROGRESS).await;
    let message = wait_for("the third", async || {
        progress
            .get_last_raw_message_by_subject(&subject::of(id, subject::Kind::Progressed))
            .await
            .ok()
            .filter(|message| message.sequence == 3)
    })
    .await;
    let payload: Value = serde_json::from_slice(&message.payload).expect("JSON");
    assert_eq!(payload["progress"], 30);
    assert_eq!(progress.info().await.expect("readable").state.messages, 1);
    assert_eq!(log.load(id).await.expect("readable"), Job::default());
}
