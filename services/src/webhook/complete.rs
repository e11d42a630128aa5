//! `POST /api/webhooks/worker`: a render says how it ended.

use std::time::Instant;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use events::capability::Grant;
use events::event::Output;
use events::wire::callback::{CallbackAnswer, CallbackBody, CallbackStatus, ReportedOutput};
use events::{Command, Failure, Job, JobId, Rejection, Status};

use super::{Webhook, ended, read, refused, unknown};
use crate::clock;
use crate::http::code::Code;
use crate::http::problem::Problem;
use crate::output::{self, Found};

pub(super) async fn complete(
    State(role): State<Webhook>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<CallbackAnswer>, Problem> {
    let began = Instant::now();
    let grant = role.grant(&headers)?;
    let role = role.traced(&headers);
    let body: CallbackBody = read(body).await?;
    if JobId::parse(&body.job_id) != Ok(grant.job) {
        return Err(Problem::unauthorized());
    }
    let load = async || match role.claimed.take(grant.job) {
        Some(job) => Ok(job),
        None => role.log.load(grant.job).await.map_err(|error| unknown(&grant, &error)),
    };
    let (command, known) = match body.status {
        CallbackStatus::Complete => {
            let seen = role.seen(&grant, body.result.unwrap_or_default());
            let (output, known) = tokio::join!(seen, load());
            (Command::Complete(grant.attempt, output?), known?)
        }
        CallbackStatus::Failed => {
            let failure = Failure::from_report(body.code.as_deref(), body.error.as_deref(), body.retryable);
            (Command::FailAttempt(grant.attempt, failure), load().await?)
        }
    };
    role.record(&grant, known, command, began).await?;
    Ok(Json(CallbackAnswer { success: true }))
}

impl Webhook {
    async fn record(&self, grant: &Grant, known: Job, command: Command, began: Instant) -> Result<(), Problem> {
        let wants = if matches!(command, Command::Complete(..)) { Status::Complete } else { Status::Failed };
        let recorded = self.log.record_upon(grant.job, known, command, clock::now()).await;
        let recorded = recorded.map_err(|error| unknown(grant, &error))?;
        let refusal = recorded
            .refused
            .filter(|rejection| *rejection != Rejection::AlreadyKnown && *rejection != Rejection::Ended(wants));
        tracing::info!(
            job.id = %grant.job, job.attempt = %grant.attempt, message.seq = recorded.job.seq,
            outcome = recorded.refused.map_or_else(|| wants.to_string(), |rejection| rejection.to_string()),
            duration_ms = began.elapsed().as_millis(), "a render ended"
        );
        refusal.map_or(Ok(()), |rejection| Err(refused(rejection)))
    }

    /// The video as the bucket has it. What the container says of it only has to agree.
    async fn seen(&self, grant: &Grant, told: ReportedOutput) -> Result<Output, Problem> {
        let output = told.output(grant.job).map_err(|error| Problem::invalid(vec![error]))?;
        let key = output.key().unwrap_or_default();
        let object = match output::look(&self.bucket, key).await.map_err(|error| unknown(grant, &error))? {
            Found::Nothing => return self.missing(grant, "the video is not in the bucket").await,
            Found::Other(_) if output.video_key.is_some() => {
                return self.missing(grant, "what is in the bucket does not begin like an mp4").await;
            }
            Found::Other(object) | Found::Video(object) => object,
        };
        if told.size_bytes.is_some_and(|told| told != object.size_bytes) {
            return self.missing(grant, "the video has another size in the bucket").await;
        }
        Ok(Output { size_bytes: Some(object.size_bytes), ..output })
    }

    /// There is no such video, which is the container's business only while the job lives.
    async fn missing(&self, grant: &Grant, what: &str) -> Result<Output, Problem> {
        let job = self.log.load(grant.job).await.map_err(|error| unknown(grant, &error))?;
        match job.completed() {
            Some(known) if known.attempt == grant.attempt => Ok(known.output.clone()),
            _ if job.ended.is_some() => Err(ended(job.status())),
            _ => Err(Problem::new(Code::OutputMissing, format!("{what}; upload it again"))),
        }
    }
}
