//! What the stand-in answers.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse, Response};
use bytes::Bytes;
use events::wire::dispatch::{
    CallState, CallStatus, CancelAnswer, CancelBody, StatusAnswer, StatusBody, SubmitAnswer, SubmitBody,
};
use futures_util::{FutureExt, stream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::calls::{Live, Record};
use super::container::Work;
use super::faults::Fault;
use super::{Executor, new_name};
use crate::trace;

/// After so long the real provider's proxy gives up and redirects.
const PROXY_PATIENCE: Duration = Duration::from_secs(150);

/// Lets in who has the key, and then does what a fault says.
pub(super) async fn admit(State(executor): State<Executor>, request: Request, next: Next) -> Response {
    if !executor.is_allowed(request.headers()) {
        return problem(StatusCode::UNAUTHORIZED, "`Modal-Key` and `Modal-Secret` are not the right ones");
    }
    let is_submit = request.uri().path() == "/submit";
    if executor.strikes(Fault::Hang) {
        tokio::time::sleep(PROXY_PATIENCE).await;
        return redirect();
    }
    match executor.disturbance(is_submit) {
        Some(answer) => answer,
        None => next.run(request).await,
    }
}

impl Executor {
    fn is_allowed(&self, headers: &HeaderMap) -> bool {
        let is = |name: &str, value: &str| headers.get(name).is_some_and(|given| given.as_bytes() == value.as_bytes());
        let settings = &self.0.settings;
        is("modal-key", &settings.key) && is("modal-secret", settings.secret.expose())
    }

    fn disturbance(&self, is_submit: bool) -> Option<Response> {
        let too_many = || {
            let answer = problem(StatusCode::TOO_MANY_REQUESTS, "too many requests");
            ([(header::RETRY_AFTER, "1")], answer).into_response()
        };
        if self.strikes(Fault::Refuse429) {
            Some(too_many())
        } else if self.strikes(Fault::Refuse401) {
            Some(problem(StatusCode::UNAUTHORIZED, "the token is not valid"))
        } else if self.strikes(Fault::Redirect303) {
            Some(redirect())
        } else if self.strikes(Fault::Html) {
            Some(Html("<!doctype html><title>One moment</title><h1>One moment</h1>").into_response())
        } else if is_submit && self.strikes(Fault::OkWithError) {
            Some(Json(refusal(StatusCode::SERVICE_UNAVAILABLE, "no capacity")).into_response())
        } else {
            None
        }
    }
}

/// `POST /submit`.
pub(super) async fn submit(
    State(executor): State<Executor>,
    headers: HeaderMap,
    body: Result<Json<SubmitBody>, JsonRejection>,
) -> Response {
    let body = match body {
        Ok(Json(body)) => body,
        Err(rejection) => return unreadable(&rejection),
    };
    let key = SubmitBody::idempotency_key(body.job_id, body.attempt);
    if body.idempotency_key != key {
        return problem(StatusCode::UNPROCESSABLE_ENTITY, &format!("`idempotency_key` must be `{key}`"));
    }
    match executor.accept(body, headers.get(trace::HEADER)) {
        Ok(_) if executor.strikes(Fault::LoseAnswer) => broken(),
        Ok(answer) => Json(answer).into_response(),
        Err(error) => {
            tracing::error!(%error, "a call could not be kept");
            problem(StatusCode::INTERNAL_SERVER_ERROR, "the call could not be kept")
        }
    }
}

impl Executor {
    /// Takes a submit, once: the same key gives the same call.
    fn accept(&self, body: SubmitBody, traceparent: Option<&HeaderValue>) -> std::io::Result<SubmitAnswer> {
        let mut calls = self.calls();
        let answer = |call_id: &str, duplicate| SubmitAnswer {
            call_id: call_id.to_owned(),
            job_id: body.job_id.to_string(),
            gpu: body.gpu,
            duplicate,
            error: None,
            status: None,
        };
        if let Some(record) = calls.by_key(&body.idempotency_key) {
            return Ok(answer(&record.call_id, true));
        }
        let record = Record {
            call_id: new_name("fc"),
            input_id: new_name("in"),
            job_id: body.job_id,
            attempt: body.attempt,
            idempotency_key: body.idempotency_key.clone(),
            containers: 0,
            claims: 0,
            state: CallState { status: CallStatus::Running, result: None, error: None },
        };
        let live = Live {
            cancel: CancellationToken::new(),
            is_rendering: watch::Sender::new(false),
            has_ended: watch::Sender::new(false),
            callback_url: body.callback_url.clone(),
            webhook_url: body.webhook_url.clone(),
        };
        let traceparent = traceparent.and_then(|value| value.to_str().ok()).map(str::to_owned);
        let answer = answer(&record.call_id, false);
        let (call_id, input_id) = (record.call_id.clone(), record.input_id.clone());
        calls.begin(record, live.clone())?;
        self.enqueue(self.clone().work(Work { call_id, input_id, body, live, traceparent }).boxed());
        Ok(answer)
    }
}

/// `POST /status`.
pub(super) async fn status(
    State(executor): State<Executor>,
    body: Result<Json<StatusBody>, JsonRejection>,
) -> Response {
    let call_ids = match body {
        Ok(Json(body)) => body.call_ids,
        Err(rejection) => return unreadable(&rejection),
    };
    if call_ids.len() > StatusBody::MAX_CALLS {
        return problem(StatusCode::UNPROCESSABLE_ENTITY, "at most 100 calls can be asked about at once");
    }
    let calls = call_ids.into_iter().map(|call| {
        let state = executor.calls().state(&call);
        let is_forgotten = state.status != CallStatus::Running && executor.strikes(Fault::ForgetResults);
        let forgotten = CallState { status: CallStatus::Expired, result: None, error: None };
        (call, if is_forgotten { forgotten } else { state })
    });
    Json(StatusAnswer { calls: calls.collect() }).into_response()
}

/// `POST /cancel`. It answers when every container is gone.
pub(super) async fn cancel(
    State(executor): State<Executor>,
    body: Result<Json<CancelBody>, JsonRejection>,
) -> Response {
    let body = match body {
        Ok(Json(body)) => body,
        Err(rejection) => return unreadable(&rejection),
    };
    let mut calls = body.call_ids;
    calls.extend(executor.calls().of_attempt(body.job_id, body.attempt).map(|record| record.call_id.clone()));
    let live: Vec<Live> = calls.iter().filter_map(|call| executor.calls().live(call).cloned()).collect();
    for call in &live {
        call.cancel.cancel();
    }
    for call in live {
        let mut has_ended = call.has_ended.subscribe();
        // Either way the call does not run any more.
        let _ = executor.0.stop.run_until_cancelled(has_ended.wait_for(|has_ended| *has_ended)).await;
    }
    let calls = calls.into_iter().map(|call| {
        let status = executor.calls().state(&call).status;
        (call, status)
    });
    Json(CancelAnswer { calls: calls.collect() }).into_response()
}

/// `GET /calls`.
pub(super) async fn calls(State(executor): State<Executor>) -> Json<Vec<Record>> {
    Json(executor.calls().all())
}

/// `GET /faults`.
pub(super) async fn faults(State(executor): State<Executor>) -> Json<BTreeMap<Fault, f64>> {
    Json(executor.chances())
}

/// `POST /faults`.
pub(super) async fn change_faults(
    State(executor): State<Executor>,
    body: Result<Json<BTreeMap<Fault, f64>>, JsonRejection>,
) -> Response {
    let body = match body {
        Ok(Json(body)) => body,
        Err(rejection) => return unreadable(&rejection),
    };
    let changed = executor.dice().change(&body);
    match changed {
        Ok(()) => Json(executor.chances()).into_response(),
        Err(error) => problem(StatusCode::UNPROCESSABLE_ENTITY, &error.to_string()),
    }
}

fn unreadable(rejection: &JsonRejection) -> Response {
    let status = match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => StatusCode::PAYLOAD_TOO_LARGE,
        _ => StatusCode::UNPROCESSABLE_ENTITY,
    };
    problem(status, &rejection.body_text())
}

fn refusal(status: StatusCode, error: &str) -> SubmitAnswer {
    SubmitAnswer { error: Some(error.to_owned()), status: Some(status.as_u16()), ..SubmitAnswer::default() }
}

fn problem(status: StatusCode, error: &str) -> Response {
    (status, Json(serde_json::json!({"error": error, "status": status.as_u16()}))).into_response()
}

fn redirect() -> Response {
    (StatusCode::SEE_OTHER, [(header::LOCATION, "/later")]).into_response()
}

/// An answer that breaks off after its head.
fn broken() -> Response {
    let nothing = stream::once(async { Err::<Bytes, _>(std::io::Error::other("the answer is lost on purpose")) });
    ([(header::CONTENT_LENGTH, "100")], Body::from_stream(nothing)).into_response()
}
