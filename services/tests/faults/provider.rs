//! The five outcomes of a submit, and a provider that forgets.

use std::time::Duration;

use axum::http::StatusCode;
use axum::{Json, Router};
use events::seen::SubmitOutcome;
use events::wire::client::{Poll, RenderRequest};
use events::wire::dispatch::CallStatus;
use events::{Code, Secret, Status, WaitingFor};
use kiln::modal;
use serde_json::json;

use crate::stage::submit_body;
use crate::support::{nowhere, serve, wait_for};
use crate::world::TestWorld;

#[tokio::test]
async fn row_26_an_accepted_submit_whose_answer_is_lost_is_one_render() {
    let world = TestWorld::start_faulty(&["lose-answer"]).await;
    let job = world.submit(&world.music(1)).await.job_id;
    assert_eq!(world.wait_for_end(job).await.status, Status::Complete);
    assert_eq!(world.rendered().await, (1, 1));
    assert_eq!(world.kinds(job).await, ["requested", "started", "completed"], "what is superseded is not written");
    world.stop().await;
}

#[tokio::test]
async fn row_27_a_refusal_after_an_accepted_submit_ends_nothing() {
    let world = TestWorld::start_faulty(&["lose-answer"]).await;
    let job = world.submit(&world.music(1)).await.job_id;
    wait_for("the first submit", async || (!world.calls().await.is_empty()).then_some(())).await;
    world.faults(json!({"lose-answer": 0, "refuse-401": 1})).await;
    assert_eq!(world.wait_for_end(job).await.status, Status::Complete);
    assert_eq!(world.rendered().await, (1, 1));
    world.stop().await;
}

#[tokio::test]
async fn rows_29_30_and_32_what_is_not_taken_now_spends_no_attempt_and_says_what_it_waits_for() {
    for fault in ["refuse-429", "refuse-401", "html", "redirect-303", "ok-with-error"] {
        let world = TestWorld::start_faulty(&[fault]).await;
        let job = world.submit(&world.music(1)).await.job_id;
        let is_told = |poll: &Poll| poll.waiting_for == Some(WaitingFor::Modal) && poll.until.is_some();
        let waiting = world.wait_for(job, is_told).await;
        assert!(waiting.until > waiting.created_at, "{fault}");
        assert_eq!((waiting.status, waiting.attempt.get(), waiting.error), (Status::Pending, 1, None), "{fault}");
        assert_eq!(world.calls().await.len(), 0, "{fault}");
        world.faults(json!({fault: 0})).await;
        let done = world.wait_for_end(job).await;
        assert_eq!((done.status, done.attempt.get()), (Status::Complete, 1), "{fault}");
        assert_eq!((done.waiting_for, done.until), (None, None), "{fault}");
        assert_eq!(world.rendered().await, (1, 1), "{fault}");
        world.stop().await;
    }
}

#[tokio::test]
async fn a_submit_that_hangs_waits_for_the_provider_and_not_for_a_slot() {
    let world = TestWorld::start_faulty(&["hang"]).await;
    let job = world.submit(&world.music(1)).await.job_id;
    let asked = world.wait_for(job, |poll| poll.stage.as_deref() == Some("dispatching")).await;
    assert_eq!((asked.status, asked.waiting_for, asked.until), (Status::Pending, Some(WaitingFor::Modal), None));
    world.stop().await;
}

#[tokio::test]
async fn row_28_a_submit_that_never_arrived_is_sent_again_soon_and_spends_nothing() {
    let outcome = submit_to(&nowhere().await).await;
    let SubmitOutcome::RetryAfter(moment) = outcome else { panic!("{outcome:?}") };
    assert!(moment.since(kiln::clock::now()) <= Duration::from_secs(5));
}

#[tokio::test]
async fn row_31_a_permanent_refusal_is_the_job_s_failure() {
    let refusal = async || (StatusCode::UNPROCESSABLE_ENTITY, Json(json!({"error": "no such format", "status": 422})));
    let refusing = serve(Router::new().fallback(refusal)).await;
    let outcome = submit_to(&refusing.url).await;
    let SubmitOutcome::Refused(failure) = outcome else { panic!("{outcome:?}") };
    assert_eq!((failure.code, failure.retryable), (Code::DispatchRefused, false));
}

/// What comes of a submit to the app there.
async fn submit_to(url: &str) -> SubmitOutcome {
    let config = kiln::config::Modal {
        modal_endpoint_url: url.to_owned(),
        modal_key: Secret::new("key"),
        modal_secret: Secret::new("secret"),
    };
    modal::Client::new(&config).expect("a client").submit(&submit_body(url)).await
}

#[tokio::test]
async fn row_37_audio_that_is_not_in_the_store_fails_the_job() {
    let mut world = TestWorld::start().await;
    let accepted = world.submit(&world.music(1)).await.job_id;
    world.wait_for_end(accepted).await;
    let bus = world.world().bus().await.expect("connected");
    let id = kiln::clock::new_id();
    let key = format!("renders/{id}/audio.wav");
    // What a publisher says of the size is no proof that it is there.
    let spec = json!({"spec": {"audio": {"key": key, "sizeBytes": 48044}}}).to_string();
    bus.client().publish(format!("render.{id}.requested"), spec.into()).await.expect("published");
    let failed =
        wait_for("the end", async || world.client.poll(id).await.ok().filter(|poll| poll.status.is_final())).await;
    assert_eq!(failed.error.map(|failure| failure.code), Some(Code::AudioMissing));
    assert_eq!(world.calls().await.len(), 1, "nothing was asked of the provider for it");
    world.stop().await;
}

#[tokio::test]
async fn row_38_a_job_that_is_cancelled_before_its_dispatch_is_known_stops_the_gpu() {
    let world = TestWorld::start_faulty(&["lose-answer", "stuck"]).await;
    let job = world.submit(&world.music(1)).await.job_id;
    wait_for("the first submit", async || (!world.calls().await.is_empty()).then_some(())).await;
    let url = world.url(&format!("/api/render/{job}"));
    assert_eq!(world.http.delete(url).send().await.expect("it is answered").status(), 200);
    wait_for("the end of the call", async || {
        let calls = world.calls().await;
        calls.iter().all(|call| call.state.status != CallStatus::Running).then_some(())
    })
    .await;
    assert_eq!(world.rendered().await.1, 0);
    assert_eq!(world.wait_for_end(job).await.status, Status::Cancelled);
    world.stop().await;
}

#[tokio::test]
async fn row_54_an_outage_burns_no_job_and_the_others_go_on_when_it_is_over() {
    let world = TestWorld::start_faulty(&["refuse-401"]).await;
    let audio = world.music(1);
    let mut jobs = Vec::new();
    for _ in 0..5 {
        jobs.push(world.client.submit(&audio, &RenderRequest::default(), |_| {}).await.expect("accepted").job_id);
    }
    for job in &jobs {
        let waiting = world.wait_for(*job, |poll| poll.waiting_for == Some(WaitingFor::Modal)).await;
        assert_eq!(waiting.attempt.get(), 1);
    }
    world.faults(json!({"refuse-401": 0})).await;
    for job in jobs {
        assert_eq!(world.wait_for_end(job).await.status, Status::Complete);
    }
    assert_eq!(world.rendered().await, (5, 5));
    world.stop().await;
}

#[tokio::test]
async fn row_55_a_result_that_the_provider_forgot_is_found_in_the_store() {
    let world = TestWorld::start_faulty(&["drop-callback", "forget-results"]).await;
    let job = world.submit(&world.music(1)).await.job_id;
    let done = world.wait_for_end(job).await;
    assert_eq!((done.status, done.attempt.get()), (Status::Complete, 1));
    assert_eq!(world.rendered().await, (1, 1));
    world.stop().await;
}
