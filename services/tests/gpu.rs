//! The GPU stand-in: the contract of `/submit`, `/status` and `/cancel`, and its faults.

use std::collections::BTreeMap;
use std::path::Path;

use events::wire::dispatch::{CallStatus, CancelAnswer, StatusAnswer, SubmitAnswer};
use events::{Attempt, Secret};
use kiln::client::http_client;
use kiln::dev::gpu::{self, Chance, Executor, Record};
use reqwest::{Response, StatusCode};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::stage::{COPY, SLOW, Stage, VIDEO, config, job};
use crate::support::{ffmpeg, kiln, wait_for, wait_for_pid, wait_until_gone};

/// A stand-in with a stage around it.
pub(crate) struct Provider<'a> {
    stage: &'a Stage,
    pub(crate) url: String,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl<'a> Provider<'a> {
    pub(crate) async fn new(stage: &'a Stage, renderer: &Path, faults: &[&str]) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let faults = faults.iter().map(|fault| fault.parse::<Chance>().expect("a fault"));
        let settings = gpu::Settings {
            folder: stage.folder.path().join("gpu"),
            kiln: kiln().to_owned(),
            ffmpeg: Some(ffmpeg()),
            parallel: 2,
            key: "key".into(),
            secret: Secret::new("secret"),
            variables: BTreeMap::from([("KILN_RENDER_COMMAND".into(), renderer.display().to_string())]),
            faults: faults.collect(),
            own_url: url.clone(),
            seed: 1,
        };
        let (stop, executor) = (CancellationToken::new(), Executor::open(settings).expect("a stand-in"));
        let token = stop.clone();
        let task = tokio::spawn(async move {
            tokio::join!(kiln::http::serve(listener, executor.router(), token.clone()), executor.run(&token));
        });
        Self { stage, url, stop, task }
    }

    async fn post(&self, path: &str, body: &Value) -> Response {
        self.try_post(path, body).await.expect("an answer")
    }

    async fn try_post(&self, path: &str, body: &Value) -> reqwest::Result<Response> {
        let http = http_client(std::time::Duration::from_secs(20));
        let request =
            http.post(format!("{}{path}", self.url)).header("Modal-Key", "key").header("Modal-Secret", "secret");
        request.json(body).send().await
    }

    fn body(&self, attempt: u16) -> Value {
        let claim = self.stage.claim();
        json!({
            "job_id": job(), "attempt": attempt, "idempotency_key": format!("{}:{attempt}", job()),
            "config": config(), "audio_signed_url": claim.audio_url.expose(), "audio_ext": "wav",
            "r2_upload_key": VIDEO, "upload_signed_url": claim.upload_url.expose(),
            "callback_url": self.stage.webhook.url, "webhook_url": format!("{}/api/webhooks/worker", self.stage.webhook.url),
            "webhook_secret": "capability", "gpu": false,
        })
    }

    async fn submit(&self, attempt: u16) -> SubmitAnswer {
        let answer = self.post("/submit", &self.body(attempt)).await;
        assert_eq!(answer.status(), StatusCode::OK);
        answer.json().await.expect("an answer")
    }

    async fn status(&self, call: &str) -> events::wire::dispatch::CallState {
        let answer = self.post("/status", &json!({"call_ids": [call]})).await;
        assert_eq!(answer.status(), StatusCode::OK);
        let mut answer: StatusAnswer = answer.json().await.expect("an answer");
        answer.calls.remove(call).expect("the call")
    }

    async fn ended(&self, call: &str) -> events::wire::dispatch::CallState {
        wait_for("the end of a call", || async {
            Some(self.status(call).await).filter(|state| state.status != CallStatus::Running)
        })
        .await
    }

    async fn cancel(&self, attempt: u16, calls: &[&str]) -> BTreeMap<String, CallStatus> {
        let body = json!({"job_id": job(), "attempt": attempt, "call_ids": calls});
        self.post("/cancel", &body).await.json::<CancelAnswer>().await.expect("an answer").calls
    }

    async fn records(&self) -> Vec<Record> {
        let http = http_client(std::time::Duration::from_secs(20));
        let answer = http.get(format!("{}/calls", self.url)).send().await.expect("an answer");
        answer.json().await.expect("records")
    }

    pub(crate) async fn close(self) {
        self.stop.cancel();
        self.task.await.expect("no panic");
    }
}

#[tokio::test]
async fn a_call_runs_once_however_often_it_is_submitted() {
    let stage = Stage::new().await;
    let provider = Provider::new(&stage, &stage.renderer(COPY), &[]).await;
    let first = provider.submit(1).await;
    assert!(first.call_id.starts_with("fc-") && !first.duplicate);
    let again = provider.submit(1).await;
    assert_eq!((&again.call_id, again.duplicate), (&first.call_id, true));
    let ended = provider.ended(&first.call_id).await;
    assert_eq!(ended.status, CallStatus::Completed);
    let result = ended.result.expect("a result");
    assert_eq!(result.output.and_then(|output| output.video_key).as_deref(), Some(VIDEO), "{:?}", result.error);
    assert!(provider.submit(1).await.duplicate);
    let records = provider.records().await;
    assert_eq!(records.iter().map(|record| (record.containers, record.claims)).collect::<Vec<_>>(), [(1, 1)]);
    let kept = std::fs::read_to_string(stage.folder.path().join(format!("gpu/calls/{}.json", first.call_id)));
    let kept = kept.expect("a file");
    assert!(!kept.contains("capability") && !kept.contains("X-Amz"), "{kept}");
    provider.close().await;
}

#[tokio::test]
async fn requests_are_refused_as_the_contract_says() {
    let stage = Stage::new().await;
    let provider = Provider::new(&stage, &stage.renderer(COPY), &[]).await;
    let http = http_client(std::time::Duration::from_secs(20));
    for path in ["/submit", "/status", "/cancel"] {
        let refused =
            http.post(format!("{}{path}", provider.url)).header("Modal-Key", "key").json(&json!({})).send().await;
        let refused = refused.expect("an answer");
        assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
        assert!(refused.json::<Value>().await.expect("JSON")["error"].is_string());
        assert_eq!(provider.post(path, &json!({"job_id": 1})).await.status(), StatusCode::UNPROCESSABLE_ENTITY);
    }
    assert_eq!(provider.status("fc-none").await.status, CallStatus::Unknown);
    assert_eq!(provider.cancel(1, &["fc-none"]).await["fc-none"], CallStatus::Unknown);
    let many: Vec<_> = (0..101).map(|number| format!("fc-{number}")).collect();
    let answer = provider.post("/status", &json!({"call_ids": many})).await;
    assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY);
    provider.close().await;
}

#[tokio::test]
async fn cancel_ends_every_process_of_the_attempt_and_may_be_repeated() {
    let stage = Stage::new().await;
    let provider = Provider::new(&stage, &stage.endless(), &[]).await;
    let call = provider.submit(1).await.call_id;
    let renderer = wait_for_pid(&stage.pid_file()).await;
    assert_eq!(provider.status(&call).await.status, CallStatus::Running);
    for _ in 0..2 {
        assert_eq!(provider.cancel(1, &[]).await, BTreeMap::from([(call.clone(), CallStatus::Cancelled)]));
    }
    wait_until_gone(renderer).await;
    assert_eq!(provider.status(&call).await.status, CallStatus::Cancelled);
    provider.close().await;
}

#[tokio::test]
async fn only_so_many_run_at_once_and_a_queued_call_can_be_cancelled() {
    let stage = Stage::new().await;
    let provider = Provider::new(&stage, &stage.endless(), &[]).await;
    let mut calls = Vec::new();
    for attempt in 1..=3 {
        calls.push(provider.submit(attempt).await.call_id);
    }
    let started = || async {
        let records = provider.records().await;
        Some(records.iter().map(|record| record.containers).sum::<u32>()).filter(|started| *started == 2)
    };
    wait_for("two containers", started).await;
    let queued = provider.records().await.into_iter().find(|record| record.containers == 0).expect("a queued call");
    let answer = provider.cancel(queued.attempt.get(), &[]).await;
    assert_eq!(answer[&queued.call_id], CallStatus::Cancelled);
    provider.close().await;
}

#[tokio::test]
async fn after_a_restart_it_says_what_it_lost() {
    let stage = Stage::new().await;
    let endless = stage.endless();
    let provider = Provider::new(&stage, &endless, &[]).await;
    let call = provider.submit(1).await.call_id;
    let renderer = wait_for_pid(&stage.pid_file()).await;
    provider.close().await;
    wait_until_gone(renderer).await;
    let provider = Provider::new(&stage, &endless, &[]).await;
    let lost = provider.status(&call).await;
    assert_eq!(lost.status, CallStatus::Failed);
    let result = lost.result.expect("a result");
    assert_eq!((result.code.as_deref(), result.retryable), (Some("executor_restarted"), Some(true)));
    assert!(provider.submit(1).await.duplicate, "a lost call is not run again under its old key");
    provider.close().await;
}

#[tokio::test]
async fn faults_of_answers() {
    let rows = [
        ("refuse-429", Some(StatusCode::TOO_MANY_REQUESTS)),
        ("refuse-401", Some(StatusCode::UNAUTHORIZED)),
        ("redirect-303", Some(StatusCode::SEE_OTHER)),
        ("html", Some(StatusCode::OK)),
        ("ok-with-error", Some(StatusCode::OK)),
        ("lose-answer", None),
    ];
    for (fault, status) in rows {
        let stage = Stage::new().await;
        let provider = Provider::new(&stage, &stage.endless(), &[fault]).await;
        let answer = provider.try_post("/submit", &provider.body(1)).await.ok();
        assert_eq!(answer.as_ref().map(Response::status), status, "{fault}");
        if let Some(answer) = answer {
            assert_eq!(answer.headers().contains_key("retry-after"), fault == "refuse-429");
            let body = answer.json::<SubmitAnswer>().await;
            assert!(body.is_err() || body.is_ok_and(|body| body.call_id.is_empty()), "{fault}");
        }
        assert_eq!(provider.records().await.len(), usize::from(fault == "lose-answer"), "{fault}");
        let switched = provider.post("/faults", &json!({fault: 0})).await;
        assert_eq!(switched.status(), StatusCode::OK, "{fault}");
        assert_eq!(provider.submit(1).await.duplicate, fault == "lose-answer");
        provider.close().await;
    }
}

#[tokio::test]
async fn a_provider_that_hangs_answers_nobody_and_takes_nothing() {
    let stage = Stage::new().await;
    let provider = Provider::new(&stage, &stage.endless(), &["hang"]).await;
    let body = provider.body(1);
    let asked = tokio::time::timeout(std::time::Duration::from_millis(500), provider.try_post("/submit", &body)).await;
    assert!(asked.is_err(), "{asked:?}");
    assert!(provider.records().await.is_empty());
    provider.post("/faults", &json!({"hang": 0})).await;
    assert!(!provider.submit(1).await.duplicate);
    provider.close().await;
}

#[tokio::test]
async fn faults_of_callbacks_and_containers() {
    let rows = [
        ("drop-callback", 0, CallStatus::Completed),
        ("repeat-callback", 3, CallStatus::Completed),
        ("late-callback", 0, CallStatus::Completed),
        ("forget-results", 1, CallStatus::Expired),
        ("crash", 0, CallStatus::Failed),
    ];
    for (fault, reports, status) in rows {
        let stage = Stage::new().await;
        let provider = Provider::new(&stage, &stage.renderer(SLOW), &[fault]).await;
        let call = provider.submit(1).await.call_id;
        assert_eq!(provider.ended(&call).await.status, status, "{fault}");
        assert_eq!(stage.edit(|script| script.reports.len()), reports, "{fault}");
        if fault == "late-callback" {
            wait_for("the late report", || async { stage.edit(|script| script.reports.pop()) }).await;
        }
        provider.close().await;
    }
}

#[tokio::test]
async fn a_preempted_input_is_started_again_and_ends_well() {
    let stage = Stage::new().await;
    let provider = Provider::new(&stage, &stage.renderer(SLOW), &["preempt"]).await;
    let call = provider.submit(1).await.call_id;
    let again = || async { provider.records().await.into_iter().find(|record| record.containers == 2) };
    wait_for("a second container", again).await;
    provider.post("/faults", &json!({"preempt": 0})).await;
    assert_eq!(provider.ended(&call).await.status, CallStatus::Completed);
    stage.edit(|script| {
        let (first, last) = (&script.claims[0], script.claims.last().expect("a claim"));
        assert_eq!((&first["callId"], &first["inputId"]), (&last["callId"], &last["inputId"]));
        assert_ne!(first["taskId"], last["taskId"]);
        assert_eq!(script.reports.len(), 1);
    });
    provider.close().await;
}

#[tokio::test]
async fn a_stuck_call_can_still_be_cancelled() {
    let stage = Stage::new().await;
    let provider = Provider::new(&stage, &stage.renderer(COPY), &["stuck"]).await;
    let call = provider.submit(1).await.call_id;
    assert_eq!(provider.cancel(Attempt::FIRST.get(), &[]).await[&call], CallStatus::Cancelled);
    assert_eq!(provider.records().await[0].containers, 0);
    provider.close().await;
}
