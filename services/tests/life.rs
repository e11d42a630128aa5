//! A job's life, from the request to its end.

use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;

use events::wire::client::{Accepted, Poll, RenderRequest};
use events::{Code, Status};
use kiln::client::kiln::Client;
use kiln::dev::world::Addresses;
use kiln::probe;
use tokio::process::{Child, Command};

use crate::support::{ffmpeg, kiln, wait_for};
use crate::world::{TestWorld, processes_of};

#[tokio::test]
async fn a_job_becomes_a_video_with_the_original_s_keys_and_stages() {
    let world = TestWorld::start().await;
    let Accepted { job_id, status, status_url, .. } = world.submit(&world.music(1)).await;
    assert_eq!((status, status_url), (Status::Pending, format!("/api/render/{job_id}")));
    let dispatched = world.wait_for(job_id, |poll| poll.status != Status::Pending).await;
    assert!(dispatched.progress >= 30, "{dispatched:?}");
    let done = world.wait_for_end(job_id).await;
    assert_eq!((done.status, done.progress, done.stage), (Status::Complete, 100, None), "{:?}", done.error);
    let result = done.result.expect("a complete job has a result");
    assert_eq!(result.video_key, Some(format!("renders/{job_id}/output.mp4")));
    let file = world.folder.path().join("video.mp4");
    world.client.download(job_id, &file, |_| {}).await.expect("the download arrives");
    probe::check_playable(&ffmpeg(), &file, 1.0).await.expect("the video plays");
    assert_eq!(std::fs::metadata(&file).map(|file| file.len()).ok(), result.size_bytes);
    assert_eq!(world.kinds(job_id).await, ["requested", "started", "completed"]);
    world.stop().await;
}

#[tokio::test]
async fn a_failed_job_says_why_and_the_original_s_poll_says_it_as_a_string() {
    let world = TestWorld::start().await;
    let audio = world.folder.path().join("broken.wav");
    std::fs::write(&audio, b"RIFF\x24\0\0\0WAVE, and then nothing that is sound")
        .expect("the folder can be written to");
    let job = world.submit(&audio).await.job_id;
    let failed = world.wait_for_end(job).await;
    let failure = failed.error.expect("a failed job has a reason");
    assert_eq!((failed.status, failure.code, failure.retryable), (Status::Failed, Code::AudioUnreadable, false));
    assert_eq!(world.kinds(job).await, ["requested", "started", "attempt_failed", "failed"]);
    let get = async |path: String| {
        let response = world.http.get(world.url(&path)).send().await.expect("it is answered");
        response.json::<serde_json::Value>().await.expect("it is JSON")
    };
    let (mut ours, original) = (get(format!("/api/render/{job}")).await, get(format!("/api/audio/jobs/{job}")).await);
    assert_eq!(ours["error"]["message"], failure.message);
    ours["error"] = failure.message.into();
    assert_eq!(ours, original);
    world.stop().await;
}

#[tokio::test]
async fn a_cancelled_render_stops_and_stays_cancelled() {
    let world = TestWorld::start().await;
    let job = world.submit(&world.music(60)).await.job_id;
    world.wait_for(job, |poll| poll.stage.as_deref() == Some("rendering")).await;
    let url = world.url(&format!("/api/render/{job}"));
    let cancelled: Poll =
        world.http.delete(&url).send().await.expect("it is answered").json().await.expect("it is a poll");
    assert_eq!(cancelled.status, Status::Cancelled);
    let again = world.http.delete(&url).send().await.expect("it is answered");
    assert_eq!(again.status(), 409);
    wait_for("the end of ffmpeg", async || {
        let processes = processes_of(world.folder.path());
        (!processes.iter().any(|line| line.contains("ffmpeg") && line.contains("mp4"))).then_some(())
    })
    .await;
    assert_eq!(world.wait_for_end(job).await.status, Status::Cancelled);
    world.stop().await;
}

#[tokio::test]
async fn the_same_idempotency_key_gives_the_same_job_and_refuses_another_request() {
    let world = Arc::new(TestWorld::start().await);
    let audio = std::fs::read(world.music(1)).expect("the music is there");
    let submit = async |audio: Vec<u8>, fps: u32| {
        let boundary = "b";
        let mut body = format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"request\"\r\n\r\n{{\"fps\":{fps}}}\r\n\
             --{boundary}\r\nContent-Disposition: form-data; name=\"audio\"\r\n\r\n"
        )
        .into_bytes();
        body.extend_from_slice(&audio);
        body.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
        let request = world
            .http
            .post(world.url("/api/render"))
            .header("content-type", format!("multipart/form-data; boundary={boundary}"))
            .header("idempotency-key", "one");
        let response = request.body(body).send().await.expect("it is answered");
        (response.status().as_u16(), response.json::<serde_json::Value>().await.expect("it is JSON"))
    };
    let (first, again) = tokio::join!(submit(audio.clone(), 30), submit(audio.clone(), 30));
    assert_eq!((first.0, again.0), (202, 202), "{first:?} {again:?}");
    assert_eq!(first.1["jobId"], again.1["jobId"]);
    let mut other_audio = audio.clone();
    other_audio[1000] ^= 1;
    for other in [submit(audio.clone(), 60).await, submit(other_audio, 30).await] {
        assert_eq!((other.0, &other.1["code"]), (422, &"idempotency_key_reused".into()));
    }
    let stored =
        world.folder.path().join(format!("data/s3/kiln/renders/{}/audio.wav", first.1["jobId"].as_str().unwrap_or("")));
    assert!(std::fs::read(stored).is_ok_and(|stored| stored == audio), "the accepted audio was replaced");
    let job = first.1["jobId"].as_str().expect("it has an id").parse().expect("it is one");
    assert_eq!(world.wait_for_end(job).await.status, Status::Complete);
    assert_eq!(world.kinds(job).await, ["requested", "started", "completed"]);
    Arc::into_inner(world).expect("nobody else has it").stop().await;
}

#[tokio::test]
async fn a_killed_log_server_comes_back_and_the_job_goes_on() {
    let mut world = TestWorld::start().await;
    let job = world.submit(&world.music(4)).await.job_id;
    world.wait_for_status(job, Status::Processing).await;
    world.world().nats().kill();
    world.world().nats().restart().await.expect("it starts again");
    let ended = async || world.client.poll(job).await.ok().filter(|poll| poll.status.is_final());
    let done = wait_for("the end of the job", ended).await;
    assert_eq!(done.status, Status::Complete, "{done:?}");
    assert_eq!(world.kinds(job).await, ["requested", "started", "completed"]);
    assert_eq!(world.rendered().await, (1, 1));
    world.stop().await;
}

#[tokio::test]
async fn a_world_that_is_killed_in_the_middle_leaves_no_process_and_finishes_its_jobs_when_it_is_back() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let data = folder.path().join("data");
    let (mut first, client) = dev(&data).await;
    let audio = folder.path().join("music.wav");
    std::fs::write(&audio, kiln::dev::music::wav(8.0)).expect("the folder can be written to");
    let job = client.submit(&audio, &RenderRequest::default(), |_| {}).await.expect("the job is accepted").job_id;
    let is_rendering = async || {
        let poll = client.poll(job).await.expect("the poll is answered");
        assert!(!poll.status.is_final(), "it ended too early to be killed: {poll:?}");
        (poll.stage.as_deref() == Some("rendering")).then_some(())
    };
    wait_for("the render", is_rendering).await;
    first.start_kill().expect("it can be killed");
    first.wait().await.expect("it ends");
    wait_for("the end of every process", async || processes_of(&data).is_empty().then_some(())).await;
    let (mut second, client) = dev(&data).await;
    let done =
        wait_for("the end of the job", async || client.poll(job).await.ok().filter(|poll| poll.status.is_final()));
    let done = done.await;
    assert_eq!((done.status, done.attempt.get()), (Status::Complete, 2), "{done:?}");
    second.start_kill().expect("it can be killed");
    second.wait().await.expect("it ends");
    wait_for("the end of every process", async || processes_of(&data).is_empty().then_some(())).await;
}

/// `kiln dev` on free ports, ready.
pub(crate) async fn dev(data: &Path) -> (Child, Client) {
    dev_in(data, data).await
}

/// As [`dev`], announced in this folder.
pub(crate) async fn dev_in(data: &Path, runtime: &Path) -> (Child, Client) {
    let told = data.join("dev.json");
    let _ = std::fs::remove_file(&told);
    let mut command = Command::new(kiln());
    command.args(["dev", "--listen", "127.0.0.1:0", "--data"]).arg(data).env("XDG_RUNTIME_DIR", runtime);
    command.kill_on_drop(true);
    let process = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("kiln runs");
    let read = async || serde_json::from_slice::<Addresses>(&std::fs::read(&told).ok()?).ok();
    let addresses = wait_for("the world", read).await;
    (process, Client::new(&addresses.api))
}
