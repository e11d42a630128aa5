//! Containers that crash, are preempted, or whose word never arrives.

use events::{Code, Status};
use futures_util::future::join_all;
use serde_json::json;

use crate::support::wait_for;
use crate::world::TestWorld;

#[tokio::test]
async fn rows_40_and_53_without_any_webhook_every_job_completes_and_nothing_is_rendered_twice() {
    let world = TestWorld::start_faulty(&["drop-callback"]).await;
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
    let world = TestWorld::start_faulty(&["crash"]).await;
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
        let request = request.header("Modal-Secret", &secret);
        async {
            request.json(&body).send().await.expect("it is answered").json::<serde_json::Value>().await.expect("JSON")
        }
    });
    let answers = join_all(again).await;
    assert!(answers.iter().all(|answer| answer["duplicate"] == true), "{answers:?}");
    assert_eq!(world.calls().await.len(), 1);
    let url = world.url(&format!("/api/render/{job}"));
    assert_eq!(world.http.delete(url).send().await.expect("it is answered").status(), 200);
    wait_for("the end of the call", async || {
        let calls = world.calls().await;
        (calls[0].state.status == events::wire::dispatch::CallStatus::Cancelled).then_some(())
    })
    .await;
    world.stop().await;
}

#[tokio::test]
async fn a_cancel_at_every_stage_stops_the_gpu_and_stays() {
    let world = TestWorld::start().await;
    let audio = world.music(30);
    for stage in ["", "dispatched-to-modal", "starting", "rendering"] {
        let job = world.submit(&audio).await.job_id;
        world
            .wait_for(job, |poll| stage.is_empty() || poll.stage.as_deref() == Some(stage) || poll.progress > 30)
            .await;
        let url = world.url(&format!("/api/render/{job}"));
        assert_eq!(world.http.delete(url).send().await.expect("it is answered").status(), 200, "{stage}");
        wait_for("the end of every call of the job", async || {
            let calls = world.calls().await;
            let mut of_job = calls.iter().filter(|call| call.job_id == job);
            of_job.all(|call| call.state.status != events::wire::dispatch::CallStatus::Running).then_some(())
        })
        .await;
        assert_eq!(world.wait_for_end(job).await.status, Status::Cancelled, "{stage}");
    }
    world.stop().await;
}
