//! The container's side of the webhook: claim, progress, and the end.

use std::time::Duration;

use events::wire::callback::{CallbackBody, CallbackStatus, ClaimAnswer, ClaimBody, ProgressBody, ReportedOutput};
use events::{Code, Failure, JobId, Secret};
use reqwest::{Client, RequestBuilder, Response, StatusCode};
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::Instant;

use super::{Args, Ending};
use crate::client::http_client;
use crate::trace;

/// How long one request may take.
const REQUEST: Duration = Duration::from_secs(10);
/// Shortest time between two reports of progress.
const PACE: Duration = Duration::from_secs(1);

/// Who is told what about one attempt.
pub(super) struct Callback {
    client: Client,
    job: JobId,
    secret: Option<Secret>,
    traceparent: Option<String>,
    claim_url: Option<String>,
    progress_url: Option<String>,
    webhook_url: Option<String>,
    ids: ClaimBody,
    claim_patience: Duration,
    grace: Duration,
}

/// How far a render is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Progress {
    pub(super) stage: &'static str,
    pub(super) percent: u8,
}

/// What came of telling the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// It was taken, or nobody wants to hear it, or nobody could be reached in time: the provider's own record of our
    /// result, and the video itself, remain.
    Done,
    /// The webhook does not see the video.
    OutputMissing,
    /// The job has ended otherwise.
    Over,
}

impl Callback {
    pub(super) fn new(args: &Args, job: JobId) -> Self {
        let base = args.callback_url.as_deref().map(|url| url.trim_end_matches('/'));
        let default_webhook = || base.map(|base| format!("{base}/api/webhooks/worker"));
        Self {
            client: http_client(REQUEST),
            job,
            secret: args.webhook_secret.clone(),
            traceparent: args.traceparent.clone(),
            claim_url: base.map(|base| format!("{base}/api/render/{job}/claim")),
            progress_url: base.map(|base| format!("{base}/api/render/{job}")),
            webhook_url: args.webhook_url.clone().or_else(default_webhook),
            ids: ClaimBody {
                call_id: args.call_id.clone(),
                input_id: args.input_id.clone(),
                task_id: args.task_id.clone(),
            },
            claim_patience: Duration::from_secs(args.claim_patience_s),
            grace: Duration::from_secs(args.callback_grace_s),
        }
    }

    /// Takes the attempt, or gets fresh addresses for it. `None`: the other side knows no claim, or nobody is there: a
    /// video that is in the store at the end is found there, whoever cannot be told of it.
    pub(super) async fn claim(&self) -> Result<Option<ClaimAnswer>, Ending> {
        let Some(url) = &self.claim_url else { return Ok(None) };
        let request = || self.client.post(url).json(&self.ids);
        let Some(answer) = self.persist(request, self.claim_patience).await else {
            tracing::warn!(job.id = %self.job, "nobody could be reached for the claim; the render goes on without");
            return Ok(None);
        };
        match answer.status() {
            StatusCode::CONFLICT => Err(Ending::ClaimedElsewhere),
            StatusCode::GONE => Err(Ending::Over),
            status if is_refusal(status) => Err(refused(&format!("the webhook answered the claim with {status}"))),
            status => {
                let claim = answer.json().await.ok().filter(|_| status == StatusCode::OK);
                if claim.is_none() {
                    let status = status.as_u16();
                    tracing::warn!(job.id = %self.job, http.status = status, "claims are not known there; the render goes on without");
                }
                Ok(claim)
            }
        }
    }

    /// Tells every change, at the pace allowed. It returns only when it hears that the attempt is over.
    pub(super) async fn relay(&self, mut changes: watch::Receiver<Progress>) {
        let mut told = None;
        loop {
            let progress = *changes.borrow_and_update();
            if told != Some(progress) {
                let next = Instant::now() + PACE;
                if self.tell(progress).await == Some(StatusCode::GONE) {
                    return;
                }
                told = Some(progress);
                tokio::time::sleep_until(next).await;
            }
            if changes.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
    }

    /// A report that fails is not repeated: the next one says more.
    async fn tell(&self, progress: Progress) -> Option<StatusCode> {
        let body = ProgressBody {
            progress: progress.percent,
            current_stage: Some(progress.stage.to_owned()),
            task_id: Some(self.ids.task_id.clone()).filter(|id| !id.is_empty()),
        };
        let request = self.client.patch(self.progress_url.as_ref()?).json(&body);
        self.send(request).await.ok().map(|answer| answer.status())
    }

    /// Tells that there is a video. `is_claimed`: whether the other side knew the claim; one that does not reads the
    /// length as `duration`.
    pub(super) async fn complete(&self, output: &ReportedOutput, is_claimed: bool) -> Told {
        let mut body = self.body(CallbackStatus::Complete);
        body.result = Some(output.clone());
        let mut body = serde_json::to_value(body).unwrap_or_default();
        if let Some(Value::Object(result)) = body.get_mut("result").filter(|_| !is_claimed)
            && let Some(duration) = result.remove("durationSeconds")
        {
            result.insert("duration".into(), duration);
        }
        self.report(&body).await
    }

    /// Tells that there is none.
    pub(super) async fn failed(&self, failure: &Failure) -> Told {
        let mut body = self.body(CallbackStatus::Failed);
        body.error = Some(failure.message.clone());
        body.code = Some(failure.code.to_string());
        body.retryable = Some(failure.retryable);
        self.report(&serde_json::to_value(body).unwrap_or_default()).await
    }

    fn body(&self, status: CallbackStatus) -> CallbackBody {
        CallbackBody { job_id: self.job.to_string(), status, result: None, error: None, code: None, retryable: None }
    }

    async fn report(&self, body: &Value) -> Told {
        let Some(url) = &self.webhook_url else { return Told::Done };
        let Some(answer) = self.persist(|| self.client.post(url).json(body), self.grace).await else {
            tracing::warn!(job.id = %self.job, "the webhook could not be reached in time");
            return Told::Done;
        };
        let status = answer.status();
        let problem = answer.json::<Value>().await.unwrap_or_default();
        match status {
            StatusCode::CONFLICT if problem["code"] == "output_missing" => Told::OutputMissing,
            StatusCode::CONFLICT | StatusCode::GONE => Told::Over,
            status if status.is_success() => Told::Done,
            status => {
                tracing::warn!(job.id = %self.job, http.status = status.as_u16(), "the webhook refused the end");
                Told::Done
            }
        }
    }

    /// Sends until there is an answer that another try would not change; `None` after `patience`.
    async fn persist(&self, request: impl Fn() -> RequestBuilder, patience: Duration) -> Option<Response> {
        let all = async {
            let mut pause = Duration::from_millis(250);
            loop {
                match self.send(request()).await {
                    Ok(answer) if !is_passing(answer.status()) => return answer,
                    Ok(answer) => tracing::warn!(http.status = answer.status().as_u16(), "the webhook is not ready"),
                    Err(error) => tracing::warn!(error = %error.without_url(), "the webhook cannot be reached"),
                }
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(Duration::from_secs(2));
            }
        };
        tokio::time::timeout(patience, all).await.ok()
    }

    async fn send(&self, request: RequestBuilder) -> reqwest::Result<Response> {
        let request = match &self.secret {
            Some(secret) => request.bearer_auth(secret.expose()),
            None => request,
        };
        let request = match &self.traceparent {
            Some(given) => request.header(trace::HEADER, trace::continued(Some(given))),
            None => request,
        };
        request.timeout(REQUEST).send().await
    }
}

/// Whether the same request may be answered otherwise in a moment.
pub(super) fn is_passing(status: StatusCode) -> bool {
    status.is_server_error() || matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS)
}

/// Whether the webhook itself refuses this container. Whatever else answers there knows no claim.
fn is_refusal(status: StatusCode) -> bool {
    matches!(status, StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED | StatusCode::UNPROCESSABLE_ENTITY)
}

/// Nothing is wrong with the job: another attempt gets another capability and another network.
fn refused(message: &str) -> Ending {
    Ending::Failed(Failure::reported(Code::Internal, message, true))
}
