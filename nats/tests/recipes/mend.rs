//! Recipes for what went wrong.

use async_nats::{HeaderMap, jetstream};
use events::job::Request;
use events::subject::{self, Kind};
use events::{Attempt, Status};
use futures_util::StreamExt;
use nats::topology::{PROJECTOR, RENDER, RENDER_DEAD};
use nats::{Jobs, dead};

use super::beside::Beside;
use super::history::{self, COMPLETE, FAILED};
use crate::way::Way;
use crate::world::{World, job_id, wait_for};

#[tokio::test]
async fn dead_letters_are_listed_with_their_reasons() {
    let world = World::provisioned().await;
    let to = subject::of(job_id(1), Kind::Dispatched(Attempt::FIRST));
    let context = jetstream::new(world.bus("publisher").await.client().clone());
    context.publish(to.clone(), "garbage".into()).await.expect("sent").await.expect("stored");
    let _projector = history::projector(&world).await;
    wait_for("the letter", async || (history::messages(&world, RENDER_DEAD).await == 1).then_some(())).await;

    let said = Way::to(&world).run("List the dead letters").await.expect("listed");
    for expected in [subject::dead(&to).as_str(), dead::REASON, dead::SEQUENCE, "garbage"] {
        assert!(said.contains(expected), "{expected} in {said}");
    }
}

#[tokio::test]
async fn a_letter_whose_cause_is_mended_takes_effect_where_it_lies() {
    let world = World::provisioned().await;
    history::write(&world).await;
    let seq = bury_as_an_older_release_did(&world, &subject::of(job_id(COMPLETE), Kind::Completed)).await;
    let beside = Beside::start(&world).await;
    let _projector = history::projector(&world).await;
    let jobs = Jobs::new(world.bus("operator").await);
    wait_for("the report", async || {
        let info = world.consumer(RENDER, PROJECTOR).await;
        (info.num_pending == 0 && info.num_ack_pending == 0).then_some(())
    })
    .await;
    assert_eq!(jobs.get(job_id(COMPLETE)).await.expect("readable"), None, "nobody joined it");

    Way::to(&world).with("SEQ", seq).run("Redrive a dead letter").await.expect("redriven");

    let complete =
        async || jobs.get(job_id(COMPLETE)).await.ok()?.filter(|(_, entry)| entry.status == Status::Complete);
    wait_for("the entry", complete).await;
    assert_eq!(history::messages(&world, RENDER_DEAD).await, 1, "no second letter");
    beside.noticed_nothing(&world).await;
}

/// Everything in the log is acknowledged by a projector that joined nothing, and one message is a letter.
async fn bury_as_an_older_release_did(world: &World, to: &str) -> u64 {
    let log = world.stream(RENDER).await;
    let consumer: jetstream::consumer::PullConsumer = log.get_consumer(PROJECTOR).await.expect("the projector's");
    let mut batch = consumer.batch().max_messages(10).messages().await.expect("a batch");
    while let Some(message) = batch.next().await {
        message.expect("a message").double_ack().await.expect("acknowledged");
    }
    let message = log.get_last_raw_message_by_subject(to).await.expect("in the log");
    let mut headers = HeaderMap::new();
    headers.insert(dead::REASON, "a field that nobody knew");
    headers.insert(dead::STREAM, RENDER);
    headers.insert(dead::SEQUENCE, message.sequence.to_string());
    let context = jetstream::new(world.bus("projector").await.client().clone());
    let buried = context.publish_with_headers(subject::dead(to), headers, message.payload).await.expect("sent");
    buried.await.expect("stored");
    message.sequence
}

#[tokio::test]
async fn a_failed_job_is_sent_again_as_another_one() {
    let world = World::provisioned().await;
    history::write(&world).await;
    let log = world.log("operator").await;
    let (old, new) = (job_id(FAILED), job_id(50));
    let before = log.load(old).await.expect("readable");
    let way = Way::to(&world).with("JOB", old).with("NEW", new);
    way.run("Send a failed job again").await.expect("sent");

    let job = log.load(new).await.expect("readable");
    assert_eq!(job.spec(), before.spec());
    assert!(matches!(job.requested.expect("asked for").value, Request::Valid(_)) && job.ended.is_none());
    assert_eq!(log.load(old).await.expect("readable"), before, "an end is final");

    let refused = Way::to(&world).with("JOB", job_id(77)).with("NEW", job_id(78)).run("Send a failed job again").await;
    assert!(refused.is_err(), "{refused:?}");
    assert_eq!(
        log.load(job_id(78)).await.expect("readable").requested,
        None,
        "nothing is sent for a job that is not there"
    );
}
