//! Ends that are the machine's, the store's or the webhook's doing.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Stdio;

use axum::body::Body;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use events::Secret;
use serde_json::json;
use tokio::process::Command;

use super::code;
use crate::stage::{AUDIO, COPY, SLOW, Stage, VIDEO, silence};
use crate::support::{ffmpeg, kiln, nowhere, serve, wait_for, wait_for_pid};

/// As `container`, but no file may be longer than so many blocks of 512 or 1024 bytes.
fn with_small_files(container: &Command, blocks: u32) -> Command {
    let mut command = Command::new("sh");
    let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" render");
    command.args(["-c", &script]).arg(kiln()).env_clear();
    command.envs(container.as_std().get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

#[tokio::test]
async fn a_full_disk_is_told_whoever_fills_it() {
    let stage = Stage::new().await;
    let renderer = stage.renderer(COPY);
    let downloading = with_small_files(&stage.container(&renderer), 4).spawn().expect("a container");
    assert_eq!(code(&stage.end(downloading).await), ("disk_full", true));
    let mut container = stage.container(&renderer);
    container.env_remove("KILN_RENDER_COMMAND").env("KILN_FFMPEG", own_ffmpeg());
    let rendering = with_small_files(&container, 20).spawn().expect("a container");
    assert_eq!(code(&stage.end(rendering).await), ("disk_full", true));
    assert_eq!(stage.edit(|script| script.reports.len()), 2);
}

/// The ffmpeg that kiln fetches: it tells a full disk by its exit code, which an older one on `PATH` does not.
fn own_ffmpeg() -> PathBuf {
    let mut search = nats::tool::Search::of_process(&nats::tool::FFMPEG);
    (search.named, search.path) = (None, "".into());
    nats::tool::FFMPEG.find_in(&search, &|_| ()).expect("an ffmpeg")
}

#[tokio::test]
async fn a_killed_ffmpeg_is_a_failed_render() {
    let stage = Stage::new().await;
    stage.store.bucket.put(AUDIO, "audio/wav", silence(8000 * 60).into()).await.expect("audio");
    let wrapper = stage.folder.path().join("ffmpeg");
    let pid = stage.pid_file();
    let script = format!(
        "#!/bin/sh\ncase \"$*\" in *filter_complex*) echo $$ > {0}.new; mv {0}.new {0};; esac\nexec {1} \"$@\"\n",
        pid.display(),
        ffmpeg().display()
    );
    std::fs::write(&wrapper, script).expect("a script");
    std::fs::set_permissions(&wrapper, std::fs::Permissions::from_mode(0o755)).expect("permissions");
    let mut container = stage.container(&wrapper);
    container.env_remove("KILN_RENDER_COMMAND").env("KILN_FFMPEG", &wrapper);
    let child = container.spawn().expect("a container");
    let pid = rustix::process::Pid::from_raw(wait_for_pid(&pid).await.cast_signed()).expect("a process");
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("a signal");
    assert_eq!(code(&stage.end(child).await), ("render_failed", true));
    stage.edit(|script| assert_eq!(script.reports[0]["code"], "render_failed"));
}

/// Promises more than it sends, every time from the beginning.
async fn cut() -> Response {
    let body = Body::from_stream(futures_util::stream::iter([
        Ok(bytes::Bytes::from_static(b"RIFF")),
        Err(std::io::Error::other("cut on purpose")),
    ]));
    ([(header::CONTENT_LENGTH, "8044")], body).into_response()
}

#[tokio::test]
async fn audio_that_is_always_cut_off_is_given_up() {
    let stage = Stage::new().await;
    let sender = serve(axum::Router::new().fallback(cut)).await;
    let mut claim = stage.claim();
    claim.audio_url = Secret::new(sender.url.clone());
    stage.grant(&claim);
    assert_eq!(code(&stage.run(COPY).await), ("audio_missing", true));
}

#[tokio::test]
async fn an_upload_that_is_refused_or_reaches_nobody_is_a_failed_upload() {
    let stage = Stage::new().await;
    let good = stage.claim();
    let broken = |url: String| events::wire::callback::ClaimAnswer { upload_url: Secret::new(url), ..good.clone() };
    let refuse = |status: StatusCode| axum::Router::new().fallback(move || async move { status });
    let (odd, busy) = (serve(refuse(StatusCode::CONFLICT)).await, serve(refuse(StatusCode::SERVICE_UNAVAILABLE)).await);
    let forged = good.upload_url.expose().replace("X-Amz-Signature=", "X-Amz-Signature=0");
    for (url, claims) in [(forged, 2), (odd.url.clone(), 1), (busy.url.clone(), 1), (nowhere().await, 1)] {
        stage.edit(|script| script.claims.clear());
        stage.grant(&broken(url));
        assert_eq!(code(&stage.run(COPY).await), ("upload_failed", true));
        assert_eq!(stage.edit(|script| script.claims.len()), claims);
    }
    assert!(stage.store.bucket.head(VIDEO).await.expect("an answer").is_none());
}

#[tokio::test]
async fn of_two_containers_of_one_attempt_one_renders() {
    let stage = Stage::new().await;
    stage.edit(|script| script.is_exclusive = true);
    let renderer = stage.renderer(SLOW);
    let first = stage.container(&renderer).spawn().expect("a container");
    wait_for("the first claim", || async { stage.edit(|script| script.claims.first().cloned()) }).await;
    let other = stage.container(&renderer).env("KILN_INPUT_ID", "in-2").spawn().expect("a container");
    assert_eq!(code(&stage.result(other).await), ("claimed_elsewhere", false));
    assert!(stage.end(first).await.ok);
    assert_eq!(stage.edit(|script| script.reports.len()), 1);
}

#[tokio::test]
async fn the_result_and_the_report_say_which_encoder_it_was() {
    let stage = Stage::new().await;
    let renderer = stage.renderer(COPY);
    let mut container = stage.container(&renderer);
    let child = container.env_remove("KILN_RENDER_COMMAND").spawn().expect("a container");
    let result = stage.end(child).await;
    let encoder = result.output.expect("an output").encoder.expect("an encoder");
    assert!(["libx264", "h264_nvenc"].contains(&encoder.as_str()), "{encoder}");
    stage.edit(|script| {
        assert_eq!(script.reports[0]["result"]["encoder"], json!(encoder));
        let percents: Vec<_> = script.progress.iter().map(|report| report["progress"].as_u64()).collect();
        assert!(percents.is_sorted() && percents.iter().flatten().all(|percent| (30..=99).contains(percent)));
    });
}
