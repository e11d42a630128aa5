//! A GPU provider that renders nothing: each call claims, leaves a few bytes as its video, and reports its end at once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use events::wire::callback::{CallbackBody, CallbackStatus, ClaimAnswer, ClaimBody, ReportedOutput};
use events::wire::dispatch::{
    CallState, CallStatus, CancelAnswer, CancelBody, StatusAnswer, StatusBody, SubmitAnswer, SubmitBody,
};
use events::{Attempt, JobId};
use reqwest::{RequestBuilder, Response};
use tokio_util::task::TaskTracker;

use crate::client;

/// What begins like an mp4.
const VIDEO: &[u8] = b"\0\0\0\x18ftypisom\0\0\x02\0isomiso2";

/// The app, and the containers that it starts. Clones share it.
#[derive(Clone)]
pub(super) struct Provider(Arc<App>);

struct App {
    http: reqwest::Client,
    claims: bool,
    calls: Mutex<HashMap<String, Call>>,
    containers: TaskTracker,
}

struct Call {
    asked_at: Instant,
    status: CallStatus,
}

impl Provider {
    /// A provider whose containers claim their attempts, or do not.
    pub(super) fn new(claims: bool) -> Self {
        let http = client::http_client(Duration::from_secs(30));
        Self(Arc::new(App { http, claims, calls: Mutex::default(), containers: TaskTracker::new() }))
    }

    /// The three doors. They are open to everybody: they are on loopback, and there is nothing behind them.
    pub(super) fn router(&self) -> Router {
        Router::new()
            .route("/submit", post(submit))
            .route("/status", post(status))
            .route("/cancel", post(cancel))
            .with_state(self.clone())
    }

    /// When the first attempt of a job was asked for.
    pub(super) fn asked_at(&self, job: JobId) -> Option<Instant> {
        self.calls().get(&call_id(job, Attempt::FIRST)).map(|call| call.asked_at)
    }

    /// How many renders there were.
    pub(super) fn renders(&self) -> usize {
        self.calls().len()
    }

    fn calls(&self) -> MutexGuard<'_, HashMap<String, Call>> {
        self.0.calls.lock().expect("nothing panics under this lock")
    }

    fn status(&self, call: &str) -> CallStatus {
        self.calls().get(call).map_or(CallStatus::Unknown, |call| call.status)
    }

    async fn contain(self, call: String, order: SubmitBody) {
        let ended = self.0.render(&call, &order).await;
        if let Err(error) = &ended {
            tracing::error!(job.id = %order.job_id, error = crate::chain(error), "a container gave up");
        }
        let status = if ended.is_ok() { CallStatus::Completed } else { CallStatus::Failed };
        if let Some(call) = self.calls().get_mut(&call) {
            call.status = status;
        }
    }
}

impl App {
    async fn render(&self, call: &str, order: &SubmitBody) -> Result<(), reqwest::Error> {
        let upload =
            if self.claims { self.claim(call, order).await?.upload_url } else { order.upload_signed_url.clone() };
        send(self.http.put(upload.expose()).body(VIDEO)).await?;
        let result = ReportedOutput { video_key: Some(order.r2_upload_key.clone()), ..ReportedOutput::default() };
        let body = CallbackBody {
            job_id: order.job_id.to_string(),
            status: CallbackStatus::Complete,
            result: Some(result),
            error: None,
            code: None,
            retryable: None,
        };
        send(self.http.post(&order.webhook_url).bearer_auth(order.webhook_secret.expose()).json(&body)).await?;
        Ok(())
    }

    async fn claim(&self, call: &str, order: &SubmitBody) -> Result<ClaimAnswer, reqwest::Error> {
        let url = format!("{}/api/render/{}/claim", order.callback_url, order.job_id);
        let body = ClaimBody { call_id: call.to_owned(), input_id: "in-1".into(), task_id: "ta-1".into() };
        send(self.http.post(url).bearer_auth(order.webhook_secret.expose()).json(&body)).await?.json().await
    }
}

/// An answer that says yes. Errors name no address: some of them are signed.
async fn send(request: RequestBuilder) -> Result<Response, reqwest::Error> {
    let answer = request.send().await.and_then(Response::error_for_status);
    answer.map_err(reqwest::Error::without_url)
}

fn call_id(job: JobId, attempt: Attempt) -> String {
    format!("fc-{job}-{attempt}")
}

async fn submit(State(provider): State<Provider>, Json(order): Json<SubmitBody>) -> Json<SubmitAnswer> {
    let call_id = call_id(order.job_id, order.attempt);
    let call = Call { asked_at: Instant::now(), status: CallStatus::Running };
    let mut answer = SubmitAnswer {
        call_id: call_id.clone(),
        job_id: order.job_id.to_string(),
        gpu: order.gpu,
        ..SubmitAnswer::default()
    };
    match provider.calls().entry(call_id.clone()) {
        std::collections::hash_map::Entry::Occupied(_) => answer.duplicate = true,
        std::collections::hash_map::Entry::Vacant(place) => {
            place.insert(call);
            provider.0.containers.spawn(provider.clone().contain(call_id, order));
        }
    }
    Json(answer)
}

async fn status(State(provider): State<Provider>, Json(asked): Json<StatusBody>) -> Json<StatusAnswer> {
    let state = |call: String| {
        let status = provider.status(&call);
        (call, CallState { status, result: None, error: None })
    };
    Json(StatusAnswer { calls: asked.call_ids.into_iter().map(state).collect() })
}

async fn cancel(State(provider): State<Provider>, Json(asked): Json<CancelBody>) -> Json<CancelAnswer> {
    let state = |call: String| {
        let status = match provider.status(&call) {
            CallStatus::Running => CallStatus::Cancelled,
            status => status,
        };
        (call, status)
    };
    Json(CancelAnswer { calls: asked.call_ids.into_iter().map(state).collect() })
}
