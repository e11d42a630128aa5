//! Entries that are read by the revision that they probably have.

use nats::{Jobs, rebuild};

use crate::requests::Requests;
use crate::{World, cancelled, job_id, requested};

/// Three jobs, their entries, and the revisions of these.
async fn with_entries() -> (World, Jobs, [u64; 3]) {
    let world = World::provisioned().await;
    let log = world.log("api").await;
    for n in 1..=3 {
        log.append(job_id(n), 0, &requested()).await.expect("stored");
    }
    rebuild(&world.bus("operator").await, &|_, _| ()).await.expect("projected");
    let jobs = Jobs::new(world.bus("api").await);
    let mut revisions = [0; 3];
    for (n, revision) in (1..).zip(&mut revisions) {
        *revision = jobs.get(job_id(n)).await.expect("an answer").expect("an entry").0;
    }
    (world, jobs, revisions)
}

#[tokio::test]
async fn one_that_has_its_revision_still_comes_by_one_request_and_another_by_its_key() {
    let (world, jobs, [first, second, third]) = with_entries().await;
    world.log("api").await.append(job_id(3), 3, &cancelled("enough")).await.expect("stored");
    rebuild(&world.bus("operator").await, &|_, _| ()).await.expect("projected");
    let (new, _) = jobs.get(job_id(3)).await.expect("an answer").expect("an entry");
    assert!(new > third);

    let mut requests = Requests::to(&world, "KV_JOBS").await;
    for (n, asked, told, count) in [
        (1, first, Some(first), 1),
        (2, second, Some(second), 1),
        (3, new, Some(new), 1),
        // It has changed since, is another job's, was never given, and nobody made the job.
        (3, third, Some(new), 2),
        (2, first, Some(second), 2),
        (1, new + 1, Some(first), 2),
        (4, first, None, 2),
    ] {
        let found = jobs.get_at(job_id(n), asked).await.expect("an answer");
        assert_eq!(found.as_ref().map(|(revision, _)| *revision), told, "job {n} at {asked}");
        let seq = found.map(|(_, entry)| entry.job.requested.expect("a request").seq);
        assert_eq!(seq, told.map(|_| n), "it was requested at the sequence that is its number");
        assert_eq!(requests.count().await, count, "job {n} at {asked}");
    }
}

#[tokio::test]
async fn one_that_cannot_be_read_is_none_and_hides_no_other() {
    let (world, jobs, [first, _, third]) = with_entries().await;
    let subject = format!("$KV.JOBS.{}", job_id(2));
    world.publish_raw(subject.as_bytes(), b"NATS/1.0\r\nno colon\r\n\r\n", b"{}").await;
    let spoilt = third + 1;
    for round in 1..=2 {
        for (n, revision, is_there) in [(1, first, true), (2, spoilt, false), (3, third, true)] {
            let found = jobs.get_at(job_id(n), revision).await.expect("an answer");
            assert_eq!(found.is_some(), is_there, "job {n} in round {round}");
        }
    }
}

#[tokio::test]
async fn that_nobody_answers_is_an_error() {
    let (world, jobs, [first, ..]) = with_entries().await;
    drop(world);
    assert!(jobs.get_at(job_id(1), first).await.is_err());
}
