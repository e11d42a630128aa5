//! `kiln render`: every way in which it ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use events::Secret;
use events::wire::dispatch::RenderResult;
use futures_util::{StreamExt, stream};
use serde_json::json;

use crate::stage::{COPY, Stage, VIDEO, film, job, wav};
use crate::support::{is_alive, nowhere, serve, wait_for_pid};

mod exits;
mod signals;

/// An object that is no sound.
const NOISE: &str = "renders/noise/audio.wav";

fn code(result: &RenderResult) -> (&str, bool) {
    assert!(!result.ok, "{result:?}");
    (result.code.as_deref().unwrap_or_default(), result.retryable.unwrap_or_default())
}

#[tokio::test]
async fn a_video_is_made_stored_and_reported() {
    let stage = Stage::new().await;
    let result = stage.run(COPY).await;
    assert!(result.ok, "{result:?}");
    let output = result.output.expect("an output");
    assert_eq!((output.video_key.as_deref(), output.duration_seconds), (Some(VIDEO), Some(0.5)));
    let object = stage.store.bucket.head(VIDEO).await.expect("an answer").expect("a video");
    assert_eq!(Some(object.size_bytes), output.size_bytes);
    stage.edit(|script| {
        assert_eq!(script.claims, [json!({"callId": "fc-1", "inputId": "in-1", "taskId": "ta-1"})]);
        assert_eq!(script.progress[0], json!({"progress": 30, "currentStage": "downloading-audio", "taskId": "ta-1"}));
        assert_eq!(script.reports.len(), 1);
        assert_eq!(script.reports[0]["status"], "complete");
        assert_eq!(script.reports[0]["result"]["sha256"], json!(output.sha256));
    });
}

#[tokio::test]
async fn an_attempt_that_is_not_ours_ends_before_anything_is_loaded() {
    let rows = [(StatusCode::CONFLICT, "claimed_elsewhere"), (StatusCode::GONE, "over")];
    for (status, expected) in rows {
        let stage = Stage::new().await;
        stage.edit(|script| (script.claim, script.claim_status) = (None, status));
        let result = stage.run("exit 1").await;
        assert_eq!(code(&result), (expected, false));
        stage.edit(|script| assert!(script.progress.is_empty() && script.reports.is_empty()));
    }
}

#[tokio::test]
async fn a_webhook_that_knows_no_claim_is_served_as_the_original_did() {
    let stage = Stage::new().await;
    stage.edit(|script| (script.claim, script.claim_status) = (None, StatusCode::NOT_FOUND));
    let claim = stage.claim();
    let renderer = stage.renderer(COPY);
    let child = stage
        .container(&renderer)
        .env("KILN_AUDIO_SIGNED_URL", claim.audio_url.expose())
        .env("KILN_UPLOAD_SIGNED_URL", claim.upload_url.expose())
        .spawn();
    let result = stage.end(child.expect("a container")).await;
    assert!(result.ok, "{result:?}");
    let report = stage.edit(|script| script.reports[0].clone());
    assert!(report["result"]["duration"].is_number() && report["result"]["durationSeconds"].is_null(), "{report}");
    assert_eq!(report["result"]["videoKey"], VIDEO);
}

#[tokio::test]
async fn a_container_with_keys_of_its_own_signs_its_upload() {
    let stage = Stage::new().await;
    stage.edit(|script| (script.claim, script.claim_status) = (None, StatusCode::NOT_FOUND));
    let (claim, config) = (stage.claim(), &stage.store.config);
    let renderer = stage.renderer(COPY);
    let child = stage
        .container(&renderer)
        .env("KILN_AUDIO_SIGNED_URL", claim.audio_url.expose())
        .env("R2_ACCESS_KEY_ID", &config.r2_access_key_id)
        .env("R2_SECRET_ACCESS_KEY", config.r2_secret_access_key.expose())
        .env("R2_BUCKET_NAME", &config.r2_bucket_name)
        .env("R2_ENDPOINT", config.r2_endpoint.as_deref().unwrap_or_default())
        .spawn();
    let result = stage.end(child.expect("a container")).await;
    assert!(result.ok, "{result:?}");
    assert!(stage.store.bucket.head(VIDEO).await.expect("an answer").is_some());
}

#[tokio::test]
async fn bad_audio_has_its_own_codes() {
    let stage = Stage::new().await;
    let good = stage.claim();
    let mut missing = good.clone();
    missing.audio_url = Secret::new(stage.webhook.url.clone() + "/nothing-here");
    let mut refused = good.clone();
    refused.audio_url = Secret::new(good.audio_url.expose().replace("X-Amz-Signature=", "X-Amz-Signature=0"));
    let mut dead = good.clone();
    dead.audio_url = Secret::new(nowhere().await);
    let mut noise = good.clone();
    stage.store.bucket.put(NOISE, "audio/wav", "no sound".into()).await.expect("an object");
    noise.audio_url = stage.store.bucket.sign_get(NOISE, Duration::from_hours(1));
    let mut other = good.clone();
    other.audio_size_bytes = Some(11);
    let rows = [
        (missing, COPY, ("audio_missing", false)),
        (refused, COPY, ("audio_missing", true)),
        (dead, COPY, ("audio_missing", true)),
        (other, COPY, ("audio_unreadable", false)),
        (good.clone(), "exit 3", ("audio_unreadable", false)),
        (good.clone(), "exit 1", ("render_failed", true)),
        (good.clone(), "echo no video > $3", ("render_failed", true)),
        (noise, COPY, ("audio_unreadable", false)),
    ];
    for (claim, renderer, expected) in rows {
        stage.grant(&claim);
        let result = stage.run(renderer).await;
        assert_eq!(code(&result), expected, "{result:?}");
        let report = stage.edit(|script| script.reports.pop()).expect("a report");
        assert_eq!((&report["status"], &report["code"]), (&json!("failed"), &json!(expected.0)));
        assert_eq!(report["jobId"], json!(job()));
    }
}

/// Sends half of what it promises, each time.
async fn half(State(asked): State<Arc<AtomicUsize>>, headers: HeaderMap) -> Response {
    let whole = wav();
    asked.fetch_add(1, Ordering::Relaxed);
    let from: usize = match headers.get(header::RANGE).and_then(|range| range.to_str().ok()) {
        Some(range) => range.trim_start_matches("bytes=").trim_end_matches('-').parse().expect("an offset"),
        None => 0,
    };
    let rest = &whole[from..];
    let part = Bytes::copy_from_slice(&rest[..rest.len().div_ceil(2)]);
    let (length, is_all) = (rest.len(), part.len() == rest.len());
    // Only what was sent before the break can arrive: a server that sees both at once sends neither.
    let end = stream::iter((!is_all).then_some(())).then(|()| async {
        tokio::time::sleep(Duration::from_millis(20)).await;
        Err(std::io::Error::other("broken on purpose"))
    });
    let body = Body::from_stream(stream::iter([Ok(part)]).chain(end));
    let range = format!("bytes {from}-{}/{}", whole.len() - 1, whole.len());
    let status = if from == 0 { StatusCode::OK } else { StatusCode::PARTIAL_CONTENT };
    (status, [(header::CONTENT_LENGTH, length.to_string()), (header::CONTENT_RANGE, range)], body).into_response()
}

#[tokio::test]
async fn a_download_that_breaks_off_is_taken_up_where_it_broke() {
    let stage = Stage::new().await;
    let asked = Arc::new(AtomicUsize::new(0));
    let sender = serve(axum::Router::new().fallback(half).with_state(asked.clone())).await;
    let mut claim = stage.claim();
    claim.audio_url = Secret::new(sender.url.clone());
    claim.audio_size_bytes = Some(wav().len() as u64);
    stage.grant(&claim);
    let result = stage.run(COPY).await;
    assert!(result.ok, "{result:?}");
    assert!(asked.load(Ordering::Relaxed) > 2);
}

#[tokio::test]
async fn audio_above_the_limit_is_not_loaded() {
    let stage = Stage::new().await;
    let renderer = stage.renderer(COPY);
    let child = stage.container(&renderer).env("KILN_MAX_AUDIO_BYTES", "9").spawn().expect("a container");
    assert_eq!(code(&stage.end(child).await), ("audio_too_large", false));
}

#[tokio::test]
async fn a_webhook_that_is_down_for_too_long_does_not_undo_the_video() {
    let stage = Stage::new().await;
    stage.edit(|script| script.report_statuses = vec![StatusCode::SERVICE_UNAVAILABLE; 100]);
    let renderer = stage.renderer(COPY);
    let child = stage.container(&renderer).env("KILN_CALLBACK_GRACE_S", "1").spawn().expect("a container");
    let result = stage.end(child).await;
    assert!(result.ok, "{result:?}");
    assert!(stage.edit(|script| script.reports.len()) > 1);
}

#[tokio::test]
async fn a_callback_address_where_something_else_answers_or_nobody_does_not_undo_the_video() {
    let page = serve(axum::Router::new().fallback(|| async { "<html>hello" })).await;
    let away = axum::Router::new().fallback(|| async { (StatusCode::FOUND, [(header::LOCATION, "/login")]) });
    let busy = axum::Router::new().fallback(|| async { StatusCode::BAD_GATEWAY });
    let (away, busy) = (serve(away).await, serve(busy).await);
    for url in [nowhere().await, page.url.clone(), away.url.clone(), busy.url.clone()] {
        let stage = Stage::new().await;
        let claim = stage.claim();
        let renderer = stage.renderer(COPY);
        let child = stage
            .container(&renderer)
            .env("KILN_CALLBACK_URL", &url)
            .env("KILN_CLAIM_PATIENCE_S", "1")
            .env("KILN_CALLBACK_GRACE_S", "1")
            .env("KILN_AUDIO_SIGNED_URL", claim.audio_url.expose())
            .env("KILN_UPLOAD_SIGNED_URL", claim.upload_url.expose())
            .spawn();
        let result = stage.end(child.expect("a container")).await;
        assert!(result.ok, "{result:?}");
        assert!(stage.store.bucket.head(VIDEO).await.expect("an answer").is_some());
    }
}

#[tokio::test]
async fn a_webhook_that_refuses_the_claim_ends_the_attempt() {
    let stage = Stage::new().await;
    stage.edit(|script| (script.claim, script.claim_status) = (None, StatusCode::UNAUTHORIZED));
    assert_eq!(code(&stage.run(COPY).await), ("internal", true));
    assert!(stage.store.bucket.head(VIDEO).await.expect("an answer").is_none());
}

#[tokio::test]
async fn a_video_that_the_webhook_does_not_see_is_uploaded_once_more() {
    let stage = Stage::new().await;
    stage.edit(|script| script.report_statuses = vec![StatusCode::CONFLICT]);
    assert!(stage.run(COPY).await.ok);
    stage.edit(|script| {
        assert_eq!(script.reports.len(), 2);
        script.report_statuses = vec![StatusCode::CONFLICT; 2];
    });
    assert_eq!(code(&stage.run(COPY).await), ("output_missing", true));
}

#[tokio::test]
async fn an_upload_address_that_ran_out_is_renewed_by_a_second_claim() {
    let stage = Stage::new().await;
    let mut claim = stage.claim();
    claim.upload_url = Secret::new(claim.upload_url.expose().replace("X-Amz-Signature=", "X-Amz-Signature=0"));
    let fresh = stage.claim();
    stage.grant(&claim);
    let claimed = stage.folder.path().join("claimed");
    let renderer = stage
        .renderer(&format!(r#"touch {0}; while [ -e {0} ]; do sleep 0.05; done; cp FILM "$3""#, claimed.display()));
    let child = stage.container(&renderer).spawn().expect("a container");
    crate::support::wait_for("the renderer", || async { claimed.exists().then_some(()) }).await;
    stage.grant(&fresh);
    std::fs::remove_file(&claimed).expect("a file");
    let result = stage.end(child).await;
    assert!(result.ok, "{result:?}");
    assert_eq!(stage.edit(|script| script.claims.len()), 2);
}

#[tokio::test]
async fn being_told_that_it_is_over_stops_the_renderer() {
    let stage = Stage::new().await;
    let endless = stage.endless();
    let child = stage.container(&endless).spawn().expect("a container");
    let renderer = wait_for_pid(&stage.pid_file()).await;
    stage.edit(|script| script.progress_status = StatusCode::GONE);
    assert_eq!(code(&stage.end(child).await), ("over", false));
    assert!(!is_alive(renderer));
    stage.edit(|script| assert!(script.reports.is_empty()));
}

#[tokio::test]
async fn offline_it_needs_no_server_and_leaves_all_or_nothing() {
    let stage = Stage::new().await;
    let (audio, output) = (stage.folder.path().join("song.wav"), stage.folder.path().join("out.mp4"));
    std::fs::write(&audio, wav()).expect("audio");
    let offline = |renderer: &str, audio: &std::path::Path| {
        let mut command = stage.container(&stage.renderer(renderer));
        command.env_remove("KILN_CALLBACK_URL").arg("--audio").arg(audio).arg("--output").arg(&output);
        command.spawn().expect("a container")
    };
    let result = stage.end(offline("exit 1", &audio)).await;
    assert_eq!(code(&result), ("render_failed", true));
    let result = stage.end(offline(COPY, &stage.folder.path().join("none.wav"))).await;
    assert_eq!(code(&result), ("audio_missing", false));
    assert!(!output.exists());
    let result = stage.end(offline(COPY, &audio)).await;
    assert!(result.ok, "{result:?}");
    assert!(stage.edit(|script| script.claims.is_empty() && script.progress.is_empty() && script.reports.is_empty()));
    assert_eq!(std::fs::read(&output).expect("a video"), std::fs::read(film()).expect("a film"));
}
