//! `POST /api/webhooks/worker`: a render says how it ended.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use events::capability::Grant;
use events::event::Output;
use events::wire::callback::{CallbackAnswer, CallbackBody, CallbackStatus, ReportedOutput};
use events::{Command, Failure, JobId, Rejection, Status, key};

use super::{Webhook, read, refused, unknown};
use crate::clock;
use crate::http::code::Code;
use crate::http::problem::Problem;

pub(super) async fn complete(
    State(role): State<Webhook>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<CallbackAnswer>, Problem> {
    let grant = role.grant(&headers)?;
    let body: CallbackBody = read(body).await?;
    if JobId::parse(&body.job_id) != Ok(grant.job) {
        return Err(Problem::unauthorized());
    }
    let command = match body.status {
        CallbackStatus::Complete => {
            let output = role.seen(&grant, body.result.unwrap_or_default()).await?;
            Command::Complete(grant.attempt, output)
        }
        CallbackStatus::Failed => {
            let failure = Failure::from_report(body.code.as_deref(), body.error.as_deref(), body.retryable);
            Command::FailAttempt(grant.attempt, failure)
        }
    };
    role.record(&grant, command).await?;
    Ok(Json(CallbackAnswer { success: true }))
}

impl Webhook {
    async fn record(&self, grant: &Grant, command: Command) -> Result<(), Problem> {
        let wants = if matches!(command, Command::Complete(..)) { Status::Complete } else { Status::Failed };
        let recorded =
            self.log.record(grant.job, command, clock::now()).await.map_err(|error| unknown(grant, &error))?;
        let refusal = recorded
            .refused
            .filter(|rejection| *rejection != Rejection::AlreadyKnown && *rejection != Rejection::Ended(wants));
        tracing::info!(
            job.id = %grant.job, job.attempt = %grant.attempt, message.seq = recorded.job.seq,
            outcome = recorded.refused.map_or_else(|| wants.to_string(), |rejection| rejection.to_string()),
            "a render ended"
        );
        refusal.map_or(Ok(()), |rejection| Err(refused(rejection)))
    }

    /// The video as the bucket has it. What the container says of it only has to agree.
    async fn seen(&self, grant: &Grant, told: ReportedOutput) -> Result<Output, Problem> {
        let output = named(grant, &told)?;
        let key = output.key().unwrap_or_default().to_owned();
        let object = self.bucket.head(&key).await.map_err(|error| unknown(grant, &error))?;
        let Some(object) = object.filter(|object| object.size_bytes > 0) else {
            return Err(Problem::new(Code::OutputMissing, "the video is not in the bucket; upload it again"));
        };
        if told.size_bytes.is_some_and(|told| told != object.size_bytes) {
            return Err(Problem::new(Code::OutputMissing, "the video has another size in the bucket; upload it again"));
        }
        Ok(Output { size_bytes: Some(object.size_bytes), ..output })
    }
}

/// The output with its keys checked against the ones that this attempt may have.
fn named(grant: &Grant, told: &ReportedOutput) -> Result<Output, Problem> {
    let ours = key::output(grant.job, grant.attempt);
    let keys = [&told.video_key, &told.preview_key, &told.prepared_key];
    if keys.into_iter().flatten().any(|key| *key != ours && !key::belongs_to(key, grant.job)) {
        return Err(Problem::field("/result/videoKey", "must lie in the job's own folder"));
    }
    let output = Output {
        video_key: told.video_key.clone(),
        preview_key: told.preview_key.clone(),
        prepared_key: told.prepared_key.clone(),
        format: told.format.clone(),
        duration_ms: told.duration_ms(),
        size_bytes: told.size_bytes,
        sha256: told.sha256.clone(),
    };
    if output.is_valid_for(grant.job) {
        Ok(output)
    } else {
        Err(Problem::field(
            "/result",
            "needs a videoKey, previewKey or preparedKey, and a format and sha256 that are plain",
        ))
    }
}
