//! Addresses that ran out, and a callback address that leads nowhere.

use std::time::Duration;

use axum::Router;
use axum::http::{StatusCode, header};
use events::{Policy, Status, WaitingFor};
use futures_util::future::join_all;
use kiln::bucket::Bucket;
use kiln::dev::world::Options;
use tokio::io::{AsyncBufReadExt, BufReader};

use super::containers::result_of;
use crate::roles::role;
use crate::support::{nowhere, serve};
use crate::world::{LIMIT, TestWorld};

const HOUR: Duration = Duration::from_hours(1);

#[tokio::test]
async fn row_36_a_container_that_starts_when_the_audio_s_address_ran_out_works_with_that_of_its_claim() {
    let world = TestWorld::start_faulty(&["stuck"]).await;
    let job = world.submit(&world.music(1)).await.job_id;
    let queued = world.wait_for_status(job, Status::Processing).await;
    assert_eq!((queued.waiting_for, queued.attempt.get()), (Some(WaitingFor::Container), 1));
    let bucket = Bucket::new(&world.bucket()).expect("a bucket");
    let yesterday = events::Timestamp::from_unix_ms(kiln::clock::now().unix_ms() - 86_400_000);
    let dead = bucket.sign_get_from(&format!("renders/{job}/audio.wav"), yesterday, HOUR);
    let refused = world.http.get(dead.expose()).send().await.expect("it is answered");
    assert_eq!(refused.status(), 403, "the store takes it no more");

    let call = world.calls().await.remove(0);
    let mut container = world.container(job, &call.call_id, &call.input_id);
    container.env("KILN_AUDIO_SIGNED_URL", dead.expose());
    let result = result_of(container).await;
    assert!(result.ok, "{result:?}");
    let done = world.wait_for_end(job).await;
    assert_eq!((done.status, done.attempt.get()), (Status::Complete, 1), "{done:?}");
    assert_eq!(world.kinds(job).await, ["requested", "started", "completed"]);
    world.stop().await;
}

#[tokio::test]
async fn row_56_with_a_wrong_callback_address_every_job_completes_late_and_nothing_is_rendered_twice() {
    let away = || async { (StatusCode::MOVED_PERMANENTLY, [(header::LOCATION, "https://kiln.example.com/")]) };
    let (empty, away) = (serve(Router::new()).await, serve(Router::new().fallback(away)).await);
    let page = serve(Router::new().fallback(|| async { "<html>hello" })).await;
    join_all([&nowhere().await, &empty.url, &away.url, &page.url].map(completes_late)).await;
}

/// A job whose containers report there.
async fn completes_late(url: &String) {
    let world = TestWorld::start_with(|options| reporting_to(url, options)).await;
    let job = world.submit(&world.music(1)).await.job_id;
    let waiting = world.wait_for_status(job, Status::Processing).await;
    assert_eq!(waiting.waiting_for, Some(WaitingFor::Container), "{url}: {waiting:?}");
    let done = world.wait_for_end(job).await;
    assert_eq!((done.status, done.attempt.get()), (Status::Complete, 1), "{url}: {done:?}");
    assert_eq!(world.kinds(job).await, ["requested", "completed"], "{url}");
    assert_eq!(world.rendered().await.0, 1, "{url}: zero extra renders");
    world.stop().await;
}

/// A world whose containers report there, and in which nobody waits long for that.
fn reporting_to(url: &str, options: Options) -> Options {
    let seconds = |name: &str, seconds: u32| (name.to_owned(), seconds.to_string());
    Options {
        callback_url: Some(url.to_owned()),
        container: [seconds("KILN_CLAIM_PATIENCE_S", 1), seconds("KILN_CALLBACK_GRACE_S", 1)].into(),
        policy: Policy { start: Duration::from_secs(5), ask: Duration::from_secs(1), ..options.policy },
        ..options
    }
}

#[tokio::test]
async fn row_56_a_wrong_callback_address_is_told_when_the_worker_starts() {
    let mut world = TestWorld::start().await;
    let mut worker = role(&mut world, "worker", &[]);
    worker.env("CALLBACK_URL", nowhere().await).env("NO_COLOR", "1").stderr(std::process::Stdio::piped());
    let mut worker = worker.spawn().expect("kiln runs");
    let mut lines = BufReader::new(worker.stderr.take().expect("its log")).lines();
    let alarm = async {
        while let Some(line) = lines.next_line().await.expect("its log can be read") {
            if line.contains("ERROR") {
                return line;
            }
        }
        panic!("the worker ended")
    };
    let alarm = tokio::time::timeout(LIMIT, alarm).await.expect("an alarm in time");
    assert!(alarm.contains("webhook") && alarm.contains("CALLBACK_URL"), "{alarm}");
    worker.kill().await.expect("killed");
    world.stop().await;
}
