//! The Modal app's three doors. What comes back is read strictly: accepted means 2xx, a call, and no error.

mod questions;

use std::time::Duration;

use events::event::{Dispatched, is_call_id};
use events::seen::{CallReport, SubmitOutcome};
use events::wire::dispatch::{
    CallState, CallStatus, CancelAnswer, CancelBody, RenderResult, StatusAnswer, StatusBody, SubmitAnswer, SubmitBody,
};
use events::{Attempt, Code, Failure, JobId, Timestamp};
use reqwest::StatusCode;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use serde::Serialize;

use crate::config::{self, Misconfigured};
use crate::{client, clock, trace};
use questions::Questions;

/// Time limit of a request; Modal itself cuts one off after 150 s with a redirect.
const TIMEOUT: Duration = Duration::from_mins(1);
/// Longest answer that is read.
const MAX_ANSWER: usize = 4 * 1024 * 1024;
/// What is waited where the app says "later" without saying when.
const LATER: Duration = Duration::from_secs(5);

/// A client of the app.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    base: String,
    key: events::Secret,
    secret: events::Secret,
    questions: Questions,
    traceparent: Option<String>,
}

/// The app did not answer a question. A variant per operation.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Asking about a call.
    #[error("the Modal app did not tell of the call")]
    Status,
    /// Stopping an attempt.
    #[error("the Modal app did not confirm the stop")]
    Cancel,
}

/// What the app's answer to an idle question says of our settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    /// It answers as the contract says.
    Fine,
    /// Nobody is there, or nothing comes back in time.
    Silent,
    /// It answers with this status, or with 200 and something else than the contract says.
    Strange(StatusCode),
}

/// An answer as it came, or why none did.
enum Reply {
    /// Nothing arrived there.
    Unsent,
    /// It may or may not have arrived.
    Lost,
    Answered {
        status: StatusCode,
        later: Option<Duration>,
        body: Vec<u8>,
    },
}

impl Client {
    /// A client; nothing is asked yet.
    pub fn new(config: &config::Modal) -> Result<Self, Misconfigured> {
        Ok(Self {
            http: client::http_client(TIMEOUT),
            base: config.base()?,
            key: config.modal_key.clone(),
            secret: config.modal_secret.clone(),
            questions: Questions::default(),
            traceparent: None,
        })
    }

    /// The same client, asking on behalf of a trace.
    #[must_use]
    pub fn traced(&self, traceparent: String) -> Self {
        Self { traceparent: Some(traceparent), ..self.clone() }
    }

    /// Asks the app to take an attempt: one of the five outcomes, never an error.
    pub async fn submit(&self, body: &SubmitBody) -> SubmitOutcome {
        match self.post("submit", body).await {
            Reply::Unsent => SubmitOutcome::RetryAfter(clock::now() + LATER),
            Reply::Lost => SubmitOutcome::Unknown,
            Reply::Answered { status, later, body } => outcome(status, later, &body, clock::now()),
        }
    }

    /// What became of a call. Questions of the same moment share a request.
    pub async fn status(&self, call: &str) -> Result<CallReport, Error> {
        let send = async |body: StatusBody| self.post("status", &body).await.json::<StatusAnswer>();
        let state = self.questions.ask(call, send).await;
        state.as_ref().map(report).ok_or(Error::Status)
    }

    /// Stops every call of an attempt. Returns once the app says that none of them runs.
    pub async fn cancel(&self, job: JobId, attempt: Attempt, calls: Vec<String>) -> Result<CancelAnswer, Error> {
        let body = CancelBody { job_id: job, attempt, call_ids: calls };
        let answer: CancelAnswer = self.post("cancel", &body).await.json().ok_or(Error::Cancel)?;
        if answer.calls.values().any(|status| *status == CallStatus::Running) {
            return Err(Error::Cancel);
        }
        Ok(answer)
    }

    /// Asks about a call that nobody has: that costs nothing, and shows whether address and keys are right.
    pub async fn check(&self) -> Check {
        let asked = StatusBody { call_ids: vec!["fc-doctor".to_owned()] };
        match self.post("status", &asked).await {
            Reply::Unsent | Reply::Lost => Check::Silent,
            Reply::Answered { status, body, .. } => match serde_json::from_slice::<StatusAnswer>(&body) {
                Ok(_) if status.is_success() => Check::Fine,
                _ => Check::Strange(status),
            },
        }
    }

    async fn post<T: Serialize>(&self, door: &str, body: &T) -> Reply {
        let request = self
            .http
            .post(format!("{}/{door}", self.base))
            .header("Modal-Key", self.key.expose())
            .header("Modal-Secret", self.secret.expose())
            .timeout(TIMEOUT)
            .json(body);
        let request = match &self.traceparent {
            Some(traceparent) => request.header(trace::HEADER, traceparent),
            None => request,
        };
        match request.send().await {
            Ok(response) => {
                let (status, later) = (response.status(), retry_after(response.headers()));
                match read(response).await {
                    Some(body) => Reply::Answered { status, later, body },
                    None => Reply::Lost,
                }
            }
            Err(error) if error.is_connect() || error.is_builder() => Reply::Unsent,
            Err(_) => Reply::Lost,
        }
    }
}

impl Reply {
    fn json<T: serde::de::DeserializeOwned>(self) -> Option<T> {
        match self {
            Self::Answered { status, body, .. } if status.is_success() => serde_json::from_slice(&body).ok(),
            Self::Answered { .. } | Self::Unsent | Self::Lost => None,
        }
    }
}

/// The whole answer, if it arrives and is not too long.
async fn read(mut response: reqwest::Response) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.ok()? {
        if body.len() + chunk.len() > MAX_ANSWER {
            return None;
        }
        body.extend_from_slice(&chunk);
    }
    Some(body)
}

/// What an answer to a submit means.
fn outcome(status: StatusCode, later: Option<Duration>, body: &[u8], now: Timestamp) -> SubmitOutcome {
    let answer: Option<SubmitAnswer> = serde_json::from_slice(body).ok();
    if !status.is_success() {
        let message = answer.and_then(|answer| answer.error).unwrap_or_default();
        return refusal(status, later, &message, now);
    }
    match answer {
        Some(SubmitAnswer { error: Some(message), status, .. }) => {
            match status.and_then(|status| StatusCode::from_u16(status).ok()) {
                Some(status) => refusal(status, later, &message, now),
                None => SubmitOutcome::Unknown,
            }
        }
        Some(answer) if is_call_id(&answer.call_id) => {
            SubmitOutcome::Accepted(Dispatched { call_id: answer.call_id, gpu: answer.gpu })
        }
        _ => SubmitOutcome::Unknown,
    }
}

fn refusal(status: StatusCode, later: Option<Duration>, message: &str, now: Timestamp) -> SubmitOutcome {
    match status {
        StatusCode::TOO_MANY_REQUESTS => SubmitOutcome::RetryAfter(now + later.unwrap_or(LATER)),
        StatusCode::UNAUTHORIZED
        | StatusCode::PAYMENT_REQUIRED
        | StatusCode::FORBIDDEN
        | StatusCode::NOT_FOUND
        | StatusCode::METHOD_NOT_ALLOWED => SubmitOutcome::Misconfigured,
        StatusCode::REQUEST_TIMEOUT => SubmitOutcome::Unknown,
        status if status.is_client_error() => SubmitOutcome::Refused(Failure::new(
            Code::DispatchRefused,
            &format!("the GPU provider refused the job ({}): {message}", status.as_u16()),
        )),
        _ => SubmitOutcome::Unknown,
    }
}

/// What a call's state means for its attempt.
fn report(call: &CallState) -> CallReport {
    match call.status {
        CallStatus::Running => CallReport::Running,
        CallStatus::Cancelled => CallReport::Cancelled,
        CallStatus::Expired | CallStatus::Unknown => CallReport::Lost,
        CallStatus::Completed => call.result.as_ref().map_or(CallReport::Completed, returned),
        CallStatus::Failed => match &call.result {
            Some(result) if !result.ok => returned(result),
            _ => CallReport::Failed(Failure::new(
                Code::ContainerCrashed,
                call.error.as_deref().unwrap_or(Code::ContainerCrashed.sentence()),
            )),
        },
    }
}

/// What the render function returned.
fn returned(result: &RenderResult) -> CallReport {
    if result.ok {
        return CallReport::Completed;
    }
    match result.code.as_deref() {
        Some(RenderResult::CLAIMED_ELSEWHERE | RenderResult::OVER) => CallReport::Superseded,
        code => CallReport::Failed(Failure::from_report(code, result.error.as_deref(), result.retryable)),
    }
}

/// Seconds to wait, as a server says; an hour at most.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse::<u64>().ok()?;
    Some(Duration::from_secs(seconds.min(3600)))
}
