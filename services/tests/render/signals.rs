//! SIGTERM, at every stage.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use events::Secret;
use tokio::process::Child;

use super::code;
use crate::stage::{COPY, SLOW, Stage, VIDEO};
use crate::support::{Server, is_alive, serve, wait_for, wait_for_pid};

fn terminate(child: &Child) {
    let pid = child.id().and_then(|pid| rustix::process::Pid::from_raw(pid.cast_signed())).expect("a process");
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("a signal");
}

/// A server that takes every request and never answers, and whether one came.
async fn deaf() -> (Server, Arc<AtomicBool>) {
    async fn keep(State(was_asked): State<Arc<AtomicBool>>) {
        was_asked.store(true, Ordering::Relaxed);
        std::future::pending::<()>().await;
    }
    let was_asked = Arc::new(AtomicBool::new(false));
    (serve(Router::new().fallback(keep).with_state(was_asked.clone())).await, was_asked)
}

/// Where a container is to be caught.
#[derive(Clone, Copy, Debug, PartialEq)]
enum At {
    Claim,
    Download,
    Upload,
    Callback,
}

#[tokio::test]
async fn at_every_stage_it_ends_at_once_and_leaves_nothing() {
    for at in [At::Claim, At::Download, At::Upload, At::Callback] {
        let stage = Stage::new().await;
        let (server, was_asked) = deaf().await;
        let mut claim = stage.claim();
        let renderer = stage.renderer(COPY);
        let mut container = stage.container(&renderer);
        match at {
            At::Claim => _ = container.env("KILN_CALLBACK_URL", &server.url),
            At::Download => claim.audio_url = Secret::new(server.url.clone()),
            At::Upload => claim.upload_url = Secret::new(server.url.clone()),
            At::Callback => _ = container.env("KILN_WEBHOOK_URL", &server.url),
        }
        stage.grant(&claim);
        let child = container.spawn().expect("a container");
        wait_for("the stage", || async { was_asked.load(Ordering::Relaxed).then_some(()) }).await;
        let begun = Instant::now();
        terminate(&child);
        let result = stage.end(child).await;
        assert!(begun.elapsed().as_secs_f32() < 2.0, "{at:?}: {:?}", begun.elapsed());
        let is_stored = stage.store.bucket.head(VIDEO).await.expect("an answer").is_some();
        assert_eq!((result.ok, is_stored), (at == At::Callback, at == At::Callback), "{at:?}: {result:?}");
        if at != At::Callback {
            assert_eq!(code(&result), ("container_crashed", true), "{at:?}");
            assert_eq!(result.error.as_deref(), Some("the render was interrupted"), "it says why");
        }
        stage.edit(|script| assert!(script.reports.is_empty(), "{at:?}"));
    }
}

#[tokio::test]
async fn it_stops_the_renderer_within_a_second_and_its_input_can_be_started_again() {
    let stage = Stage::new().await;
    stage.edit(|script| script.is_exclusive = true);
    let endless = stage.endless();
    let child = stage.container(&endless).spawn().expect("a container");
    let renderer = wait_for_pid(&stage.pid_file()).await;
    let begun = Instant::now();
    terminate(&child);
    assert_eq!(code(&stage.end(child).await), ("container_crashed", true));
    assert!(begun.elapsed().as_secs_f32() < 2.0, "{:?}", begun.elapsed());
    assert!(!is_alive(renderer));
    stage.edit(|script| assert!(script.reports.is_empty()));
    let again = stage.container(&stage.renderer(SLOW)).env("KILN_TASK_ID", "ta-2").spawn().expect("a container");
    assert!(stage.end(again).await.ok);
    stage.edit(|script| assert_eq!((script.claims.len(), script.reports.len()), (2, 1)));
}

#[tokio::test]
async fn between_two_tries_at_a_claim_it_ends_it_too() {
    let stage = Stage::new().await;
    stage.edit(|script| (script.claim, script.claim_status) = (None, StatusCode::SERVICE_UNAVAILABLE));
    let child = stage.container(&stage.renderer(COPY)).spawn().expect("a container");
    wait_for("a claim", || async { stage.edit(|script| script.claims.pop()) }).await;
    terminate(&child);
    assert_eq!(code(&stage.end(child).await), ("container_crashed", true));
}
