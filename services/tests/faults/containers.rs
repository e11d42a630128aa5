//! Containers that crash, are preempted, or whose word never arrives.

use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use events::wire::dispatch::{CallStatus, RenderResult};
use events::{Code, JobId, Status, Timestamp};
use futures_util::future::join_all;
use kiln::dev::world::Options;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::support::{ffmpeg, kiln, wait_for};
use crate::webhook::mint;
use crate::world::TestWorld;

/// How long a GPU may go on after somebody said that nobody wants the job, on a machine with much to do.
const STOPPED_WITHIN: Duration = Duration::from_secs(10);

#[tokio::test]
async fn rows_40_and_53_without_any_webhook_every_job_completes_and_nothing_is_rendered_twice() {
    let world = TestWorld::start_impatient(&["drop-callback"]).await;
    let audio = world.music(1);
    let jobs =
        [world.submit(&audio).await.job_id, world.submit(&audio).await.job_id, world.submit(&audio).await.job_id];
    let ended = join_all(jobs.iter().map(|job| world.wait_for_end(*job))).await;
    assert!(ended.iter().all(|poll| poll.status == Status::Complete && poll.attempt.get() == 1), "{ended:?}");
    assert_eq!(world.rendered().await, (3, 3), "zero extra renders");
    world.stop().await;
}

#[tokio::test]
async fn row_51_a_container_that_crashes_every_time_costs_its_attempts_and_then_the_job_fails() {
    let world = TestWorld::start_impatient(&["crash"]).await;
    let request = events::wire::client::RenderRequest { max_attempts: Some(2), ..Default::default() };
    let job = world.client.submit(&world.music(4), &request, |_| {}).await.expect("accepted").job_id;
    let failed = world.wait_for_end(job).await;
    let code = failed.error.as_ref().map(|failure| failure.code);
    assert_eq!(
        (failed.status, failed.attempt.get(), code),
        (Status::Failed, 2, Some(Code::ContainerCrashed)),
        "{failed:?}"
    );
    assert_eq!(world.rendered().await, (2, 2));
    world.stop().await;
}

#[tokio::test]
async fn row_52_a_preempted_render_goes_on_with_the_same_input() {
    let world = TestWorld::start_faulty(&["preempt"]).await;
    let job = world.submit(&world.music(4)).await.job_id;
    wait_for("the preemption", async || (world.rendered().await.0 >= 2).then_some(())).await;
    world.faults(json!({"preempt": 0})).await;
    let done = world.wait_for_end(job).await;
    assert_eq!((done.status, done.attempt.get()), (Status::Complete, 1));
    assert_eq!(world.calls().await.len(), 1);
    world.stop().await;
}

#[tokio::test]
async fn rows_41_and_42_callbacks_that_are_repeated_or_late_change_nothing() {
    for fault in ["repeat-callback", "late-callback"] {
        let world = TestWorld::start_faulty(&[fault]).await;
        let job = world.submit(&world.music(1)).await.job_id;
        assert_eq!(world.wait_for_end(job).await.status, Status::Complete, "{fault}");
        assert_eq!(world.kinds(job).await, ["requested", "started", "completed"], "{fault}");
        assert_eq!(world.rendered().await, (1, 1), "{fault}");
        world.stop().await;
    }
}

#[tokio::test]
async fn fifty_submits_of_one_attempt_are_one_render() {
    let world = TestWorld::start_faulty(&["stuck"]).await;
    let job = world.submit(&world.music(1)).await.job_id;
    world.wait_for_status(job, Status::Processing).await;
    assert_eq!(world.calls().await.len(), 1);
    let secret = world.secret("modal");
    let mut body = serde_json::to_value(crate::stage::submit_body("http://127.0.0.1:1")).expect("JSON");
    body["job_id"] = json!(job);
    body["idempotency_key"] = format!("{job}:1").into();
    let again = (0..50).map(|_| {
        let request = world.http.post(format!("{}/submit", world.modal())).header("Modal-Key", "kiln-dev");
        let request = request.header("Modal-Secret", &secret).json(&body);
        async { request.send().await.expect("it is answered").json::<Value>().await.expect("JSON") }
    });
    let answers = join_all(again).await;
    assert!(answers.iter().all(|answer| answer["duplicate"] == true), "{answers:?}");
    assert_eq!(world.calls().await.len(), 1);
    world.cancel(job).await;
    world.wait_for_no_call(job).await;
    world.stop().await;
}

#[tokio::test]
async fn of_fifty_containers_of_one_attempt_one_renders_and_the_others_leave_at_their_claim() {
    let world = TestWorld::start().await;
    let job = world.submit(&world.music(8)).await.job_id;
    world.wait_for(job, |poll| poll.stage.as_deref() == Some("rendering")).await;
    let left =
        join_all((2..=50).map(|n| result_of(world.container(job, &format!("fc-{n}"), &format!("in-{n}"))))).await;
    for result in left {
        let code = result.code.as_deref().unwrap_or_default();
        assert!(!result.ok && ["claimed_elsewhere", "over"].contains(&code), "{result:?}");
    }
    let done = world.wait_for_end(job).await;
    assert_eq!((done.status, done.attempt.get()), (Status::Complete, 1), "{done:?}");
    assert_eq!(world.kinds(job).await, ["requested", "started", "completed"]);
    assert_eq!(world.rendered().await, (1, 1));
    world.stop().await;
}

#[tokio::test]
#[expect(clippy::print_stdout, reason = "people want to know how long a GPU goes on")]
async fn a_cancel_at_every_stage_stops_the_gpu_within_seconds_and_stays() {
    let folder = tempfile::tempdir().expect("a folder");
    let command = ("KILN_RENDER_COMMAND".to_owned(), silent_renderer(folder.path()));
    let world = TestWorld::start_with(|options| Options { container: [command].into(), ..options }).await;
    let audio = world.music(30);
    let mut told = String::new();
    for stage in ["", "dispatched-to-modal", "starting", "rendering"] {
        let job = world.submit(&audio).await.job_id;
        world
            .wait_for(job, |poll| stage.is_empty() || poll.stage.as_deref() == Some(stage) || poll.progress > 30)
            .await;
        let asked = Instant::now();
        world.cancel(job).await;
        world.wait_for_no_call(job).await;
        let took = asked.elapsed();
        assert!(took < STOPPED_WITHIN, "cancelled while `{stage}`, the GPU went on for {took:?}");
        let _ = writeln!(told, "cancelled while `{stage}`: no container {:.2} s later", took.as_secs_f64());
        assert_eq!(world.wait_for_end(job).await.status, Status::Cancelled, "{stage}");
    }
    println!("{told}");
    world.stop().await;
}

/// A renderer that never says anything, so that its container never hears that nobody wants it.
fn silent_renderer(folder: &Path) -> String {
    let path = folder.join("renderer");
    std::fs::write(&path, "#!/bin/sh\nexec sleep 1000\n").expect("a script");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("permissions");
    path.display().to_string()
}

impl TestWorld {
    async fn cancel(&self, job: JobId) {
        let url = self.url(&format!("/api/render/{job}"));
        assert_eq!(self.http.delete(url).send().await.expect("it is answered").status(), 200);
    }

    /// Waits until no container of the job is left.
    async fn wait_for_no_call(&self, job: JobId) {
        wait_for("the end of every call of the job", async || {
            let calls = self.calls().await;
            let mut of_job = calls.iter().filter(|call| call.job_id == job);
            of_job.all(|call| call.state.status != CallStatus::Running).then_some(())
        })
        .await;
    }

    /// `kiln render` for the job's first attempt, as a container of this call and input.
    pub(super) fn container(&self, job: JobId, call: &str, input: &str) -> Command {
        let capability = mint(&self.secret("webhook"), job, 1, Timestamp::from_unix_ms(4_000_000_000_000));
        let mut command = Command::new(kiln());
        command.arg("render").env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).envs([
            ("KILN_FFMPEG", ffmpeg().display().to_string()),
            ("KILN_JOB_ID", job.to_string()),
            ("KILN_ATTEMPT", "1".into()),
            ("KILN_CALL_ID", call.into()),
            ("KILN_INPUT_ID", input.into()),
            ("KILN_CALLBACK_URL", self.url("")),
            ("KILN_WEBHOOK_SECRET", capability),
            ("KILN_CONFIG", "{}".into()),
        ]);
        command.stdin(Stdio::null());
        command
    }
}

/// What a container returned at its end.
pub(super) async fn result_of(mut container: Command) -> RenderResult {
    let output = container.output().await.expect("kiln runs");
    serde_json::from_slice(&output.stdout).expect("a result")
}
