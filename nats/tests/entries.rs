//! Entries that several ask for at the same time.

use futures_util::future::join_all;
use nats::{Jobs, rebuild};

use crate::requests::Requests;
use crate::{World, job_id, requested};

/// So many jobs, with entries.
async fn with_entries(count: u64) -> World {
    let world = World::provisioned().await;
    let log = world.log("api").await;
    for n in 1..=count {
        log.append(job_id(n), 0, &requested()).await.expect("stored");
    }
    rebuild(&world.bus("operator").await, &|_, _| ()).await.expect("projected");
    world
}

#[tokio::test]
async fn they_come_by_few_requests_and_each_to_whoever_asked() {
    let world = with_entries(40).await;
    let mut requests = Requests::to(&world, "KV_JOBS").await;
    let jobs = Jobs::new(world.bus("api").await);
    // Some twice, some that nobody made.
    let asked: Vec<u64> = (1..=50).chain(1..=10).collect();
    let told = join_all(asked.iter().map(|n| jobs.get(job_id(*n)))).await;
    for (n, told) in asked.iter().zip(told) {
        let found = told.expect("an answer").map(|(_, entry)| entry.job.requested.expect("a request").seq);
        assert_eq!(found, (*n <= 40).then_some(*n), "job {n} was requested at the sequence that is its number");
    }
    let asked_alone = jobs.get(job_id(7)).await.expect("an answer").expect("an entry");
    assert_eq!(asked_alone.1.job.requested.expect("a request").seq, 7);
    assert_eq!(requests.count().await, 2, "sixty at the same time, and one alone");
}

#[tokio::test]
async fn one_that_cannot_be_read_hides_no_other() {
    let world = with_entries(3).await;
    let jobs = Jobs::new(world.bus("api").await);
    let subject = format!("$KV.JOBS.{}", job_id(2));
    world.publish_raw(subject.as_bytes(), b"NATS/1.0\r\nno colon\r\n\r\n", b"{}").await;
    for round in 1..=2 {
        let told = join_all([1, 2, 3].map(|n| jobs.get(job_id(n)))).await;
        let found: Vec<_> = told.into_iter().map(|told| told.expect("an answer").is_some()).collect();
        assert_eq!(found, [true, false, true], "round {round}");
    }
}

#[tokio::test]
async fn everyone_is_told_that_nobody_answers() {
    let world = with_entries(1).await;
    let jobs = Jobs::new(world.bus("api").await);
    jobs.get(job_id(1)).await.expect("an answer");
    drop(world);
    let told = join_all((1..=20).map(|n| jobs.get(job_id(n)))).await;
    assert!(told.iter().all(Result::is_err));
}
