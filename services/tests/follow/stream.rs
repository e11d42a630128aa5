//! Streams of events.

use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::task::JoinSet;

use super::desk::{Desk, cancelled, job_id, life, requested};
use crate::support::wait_for;

#[tokio::test]
async fn a_stream_tells_each_state_once_resumes_anywhere_and_ends_with_the_job() {
    let mut desk = Desk::start().await;
    let (api, other) = (desk.api().await, desk.api().await);
    let _projector = desk.projector();
    let id = job_id(1);
    desk.live(id, &life(id)[..1]).await;
    api.wait_for(id, |body| body["queuePosition"] == 1).await;
    let mut stream = api.stream(id, "").await;
    assert_eq!(stream.block().await.expect("a hint").lines().next(), Some("retry: 1000"));
    let mut stream = api.stream(id, "").await;
    let (first, state) = stream.state().await;
    assert_eq!((&state, format!("\"{first}\"")), (&api.poll(id, &[]).await.body, api.poll(id, &[]).await.etag));

    desk.live(id, &life(id)[1..2]).await;
    stream.wait_for(|state| state["waitingFor"] == "container").await;
    desk.report(id, 44).await;
    let (middle, _) = stream.wait_for(|state| state["progress"] == 44).await;
    let mut resumed = other.stream(id, &middle).await;
    desk.live(id, &life(id)[2..]).await;
    let mut ends = Vec::new();
    for stream in [&mut stream, &mut resumed] {
        ends.push(stream.wait_for(|state| state["status"] == "complete").await);
        assert_eq!(stream.block().await.as_deref(), Some("event: end\ndata: {}"));
        assert_eq!(stream.block().await, None, "the stream is closed");
    }
    assert_eq!(ends[0], ends[1]);
    assert_eq!(other.stream(id, &ends[0].0).await.status, 204, "there is nothing to come back for");
    let (again, state) = other.stream(id, &first).await.state().await;
    assert_eq!((again, state["status"].as_str()), (ends[0].0.clone(), Some("complete")));
    assert_eq!(api.stream(job_id(2), "").await.status, 404);
}

#[tokio::test]
async fn streams_live_through_a_lost_bucket_and_a_killed_server() {
    let mut desk = Desk::start().await;
    let (api, other) = (desk.api().await, desk.api().await);
    let id = job_id(1);
    let projector = desk.projector();
    desk.live(id, &life(id)[..2]).await;
    desk.report(id, 40).await;
    let mut streams = vec![api.stream(id, "").await, other.stream(id, "").await];
    for stream in &mut streams {
        stream.wait_for(|state| state["progress"] == 40).await;
    }
    desk.lose_bucket().await;
    desk.live(id, &life(id)[2..3]).await;
    for stream in &mut streams {
        let (_, state) = stream.wait_for(|state| state["waitingFor"] == "render").await;
        assert_eq!(state["progress"], 40, "not taken back");
    }
    desk.server.kill();
    desk.server.restart().await.expect("back");
    wait_for("the log", async || desk.log.load(id).await.ok()).await;
    desk.live(id, &life(id)[3..]).await;
    for stream in &mut streams {
        stream.wait_for(|state| state["status"] == "complete").await;
        assert_eq!(stream.block().await.as_deref(), Some("event: end\ndata: {}"));
    }
    drop(projector);
}

#[tokio::test]
async fn a_stop_closes_every_stream_with_a_hint_to_come_again() {
    let mut desk = Desk::start().await;
    let api = desk.api().await;
    let _projector = desk.projector();
    let id = job_id(1);
    desk.live(id, &[requested()]).await;
    let mut stream = api.stream(id, "").await;
    stream.state().await;
    let begin = Instant::now();
    api.stop.cancel();
    let mut last = None;
    while let Some(block) = stream.block().await {
        last = Some(block);
    }
    assert_eq!(last.as_deref(), Some("retry: 1000"));
    assert!(begin.elapsed() < Duration::from_secs(20), "it did not wait for a heartbeat");
}

#[tokio::test]
async fn many_streams_hear_of_the_end_and_a_silent_reader_holds_up_nobody() {
    let mut desk = Desk::start().await;
    let api = desk.api().await;
    let _projector = desk.projector();
    let id = job_id(1);
    desk.live(id, &[requested()]).await;
    let _silent = api.stream(id, "").await;
    let mut readers = JoinSet::new();
    for _ in 0..200 {
        let mut stream = api.stream(id, "").await;
        stream.state().await;
        readers.spawn(async move { stream.wait_for(|state| state["status"] == "cancelled").await.1 });
    }
    desk.live(id, &[cancelled()]).await;
    let ends: Vec<Value> = readers.join_all().await;
    assert!(ends.iter().all(|end| *end == ends[0]) && ends.len() == 200);
}
