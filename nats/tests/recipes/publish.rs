//! Recipes that ask for a render without HTTP.

use events::job::Request;
use events::{Code, Command, Policy, Seen, Status, Step, Timestamp, next_step};
use nats::Jobs;

use super::history;
use crate::way::Way;
use crate::world::{World, job_id, wait_for};

#[tokio::test]
async fn a_request_by_hand_is_a_job_and_the_second_one_is_refused() {
    let world = World::provisioned().await;
    let _projector = history::projector(&world).await;
    let id = job_id(1);
    let way = Way::to(&world).with("JOB", id);
    way.run("Publish a render request").await.expect("stored");
    let refused = way.run("Publish a render request").await.expect_err("it is there already");
    assert!(refused.contains("10077"), "{refused}");

    let jobs = Jobs::new(world.bus("operator").await);
    let (_, entry) = wait_for("the entry", async || jobs.get(id).await.ok().flatten()).await;
    let spec = entry.job.spec().expect("a request");
    assert_eq!((entry.status, spec.fps, &spec.metadata["by"]), (Status::Pending, 60, &"hand".into()));
}

#[tokio::test]
async fn a_bad_request_is_taken_and_ends_as_failed() {
    let world = World::provisioned().await;
    let _projector = history::projector(&world).await;
    let (id, log) = (job_id(1), world.log("worker").await);
    Way::to(&world).with("JOB", id).run("See what becomes of a bad request").await.expect("the log takes it");

    let job = log.load(id).await.expect("readable");
    assert!(matches!(job.requested.as_ref().expect("it is there").value, Request::Invalid(_)));
    let now = Timestamp::default();
    let Step::Record(command) = next_step(&job, &Seen::new(id, true), now, &Policy::default()) else {
        panic!("nothing else than failing it");
    };
    assert!(matches!(&command, Command::Fail(failure) if failure.code == Code::InvalidRequest), "{command:?}");
    log.record(id, command, now).await.expect("recorded");
    let jobs = Jobs::new(world.bus("operator").await);
    let failed = async || jobs.get(id).await.ok().flatten().filter(|(_, entry)| entry.status == Status::Failed);
    wait_for("the entry", failed).await;
}
