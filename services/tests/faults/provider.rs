//! The five outcomes of a submit, and a provider that forgets.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use events::seen::SubmitOutcome;
use events::wire::client::{Poll, RenderRequest};
use events::wire::dispatch::CallStatus;
use events::{Code, Policy, Secret, Status, WaitingFor};
use futures_util::future::join_all;
use kiln::dev::world::Options;
use kiln::modal;
use serde_json::json;
use tokio::net::TcpSocket;
use tokio_util::sync::CancellationToken;

use crate::stage::submit_body;
use crate::support::{serve, wait_for};
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
    join_all(["refuse-429", "refuse-401", "html", "redirect-303", "ok-with-error"].map(not_taken_now)).await;
}

/// What becomes of a job while the provider answers so, and when it does no more.
async fn not_taken_now(fault: &str) {
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

#[tokio::test]
async fn a_submit_that_hangs_waits_for_the_provider_and_not_for_a_slot() {
    let world = TestWorld::start_faulty(&["hang"]).await;
    let job = world.submit(&world.music(1)).await.job_id;
    let asked = world.wait_for(job, |poll| poll.stage.as_deref() == Some("dispatching")).await;
    assert_eq!((asked.status, asked.waiting_for, asked.until), (Status::Pending, Some(WaitingFor::Modal), None));
    world.stop().await;
}

#[tokio::test]
async fn row_28_a_submit_that_never_arrived_is_sent_again_soon_and_a_refusal_after_it_is_final() {
    // Taken, but nobody listens there yet.
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a free port");
    let url = format!("http://{}", socket.local_addr().expect("an address"));
    let world = TestWorld::start_with(|options| Options { modal_url: Some(url), ..options }).await;
    let job = world.submit(&world.music(1)).await.job_id;
    let waiting = world.wait_for(job, |poll| poll.until.is_some()).await;
    let until = waiting.until.expect("it is told");
    assert!(until.since(waiting.updated_at) <= Duration::from_secs(5), "{waiting:?}");
    assert_eq!((waiting.status, waiting.attempt.get()), (Status::Pending, 1));
    assert_eq!((waiting.stage, waiting.waiting_for), (None, Some(WaitingFor::Modal)));

    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let refuse = move || async move {
        count.fetch_add(1, Ordering::Relaxed);
        (StatusCode::UNPROCESSABLE_ENTITY, Json(json!({"error": "no such format", "status": 422})))
    };
    let refusing = Router::new().route("/submit", post(refuse));
    let stop = CancellationToken::new();
    tokio::spawn(kiln::http::serve(socket.listen(16).expect("it listens"), refusing, stop.clone()));
    let is_settled = |poll: &Poll| poll.status.is_final() || poll.waiting_for == Some(WaitingFor::Reconcile);
    let refused = world.wait_for(job, is_settled).await;
    let code = refused.error.as_ref().map(|failure| failure.code);
    assert_eq!(
        (refused.status, code),
        (Status::Failed, Some(Code::DispatchRefused)),
        "nothing can have been taken before"
    );
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    stop.cancel();
    world.stop().await;
}

#[tokio::test]
async fn a_call_that_is_never_started_is_asked_about_and_at_the_deadline_it_is_stopped_and_the_job_fails() {
    let world = TestWorld::start_with(|options| Options {
        faults: vec!["stuck".parse().expect("a fault")],
        policy: Policy { start: Duration::from_secs(2), ask: Duration::from_secs(2), ..options.policy },
        ..options
    })
    .await;
    let request = RenderRequest { deadline_seconds: Some(60), ..RenderRequest::default() };
    let job = world.client.submit(&world.music(1), &request, |_| {}).await.expect("accepted").job_id;
    let waits = (Some("dispatched-to-modal"), Some(WaitingFor::Container));
    let taken = world.wait_for_status(job, Status::Processing).await;
    assert_eq!((taken.stage.as_deref(), taken.waiting_for, taken.until), (waits.0, waits.1, None));
    // When nothing was heard for a while the provider is asked, and then people are told when it is asked again.
    let asked = world.wait_for(job, |poll| poll.until.is_some() || poll.status.is_final()).await;
    assert_eq!((asked.status, asked.attempt.get()), (Status::Processing, 1), "{asked:?}");
    assert_eq!((asked.stage.as_deref(), asked.waiting_for), waits);
    assert!(asked.until > Some(asked.updated_at), "{asked:?}");

    let failed = world.wait_for_end(job).await;
    let code = failed.error.as_ref().map(|failure| failure.code);
    assert_eq!((failed.status, failed.attempt.get(), code), (Status::Failed, 1, Some(Code::DeadlineExceeded)));
    assert_eq!((failed.waiting_for, failed.until), (None, None));
    let calls = world.calls().await;
    assert_eq!(calls.iter().map(|call| call.state.status).collect::<Vec<_>>(), [CallStatus::Cancelled]);
    assert_eq!(calls[0].containers, 0);
    assert_eq!(world.kinds(job).await, ["requested", "failed"]);
    world.stop().await;
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
    let world = TestWorld::start_impatient(&["drop-callback", "forget-results"]).await;
    let job = world.submit(&world.music(1)).await.job_id;
    let done = world.wait_for_end(job).await;
    assert_eq!((done.status, done.attempt.get()), (Status::Complete, 1));
    assert_eq!(world.rendered().await, (1, 1));
    world.stop().await;
}
