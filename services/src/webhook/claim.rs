//! `POST /api/render/{job}/claim`: the container's first act, before it loads anything.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use events::capability::Grant;
use events::event::{Progressed, Started, is_call_id};
use events::spec::Audio;
use events::wire::callback::{ClaimAnswer, ClaimBody};
use events::{Command, Job, Rejection, key, stage};

use super::{Webhook, over, read, refused, unknown};
use crate::http::problem::Problem;
use crate::{audio, clock};

/// How long the audio's address lasts.
const AUDIO_LIFETIME: Duration = Duration::from_hours(1);
/// How long the video's address lasts: as long as a render may take.
const UPLOAD_LIFETIME: Duration = Duration::from_hours(24);

pub(super) async fn claim(
    State(role): State<Webhook>,
    Path(job): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<ClaimAnswer>, Problem> {
    let began = Instant::now();
    let grant = role.grant_for(&headers, &job)?;
    let role = role.traced(&headers);
    let body: ClaimBody = read(body).await?;
    let started = Started { call_id: body.call_id, input_id: body.input_id };
    if !is_call_id(&started.call_id) || ![&started.input_id, &body.task_id].iter().all(|id| is_name(id)) {
        return Err(Problem::field("/callId", "must be 1 to 128 printable characters, like inputId and taskId"));
    }
    let claimed = role.log.record(grant.job, Command::Claim(grant.attempt, started), clock::now()).await;
    let recorded = claimed.map_err(|error| unknown(&grant, &error))?;
    let job = match (recorded.refused, recorded.job) {
        (None | Some(Rejection::AlreadyKnown), job) => job,
        (Some(Rejection::Ended(_)), _) => return Err(over("the job has ended; stop")),
        (Some(rejection), _) => return Err(refused(rejection)),
    };
    if !role.reports.take_over(grant.job, grant.attempt, &body.task_id) {
        return Err(over("a newer container has this attempt; stop"));
    }
    role.reports.learn(grant.job, &job);
    tracing::info!(
        job.id = %grant.job, job.attempt = %grant.attempt, message.seq = job.seq,
        outcome = if recorded.refused.is_some() { "claimed again" } else { "claimed" },
        duration_ms = began.elapsed().as_millis(), "a container took the attempt"
    );
    let report = Progressed {
        stage: Some(stage::STARTING.0.into()),
        task_id: Some(body.task_id).filter(|id| !id.is_empty()),
        ..Progressed::new(grant.attempt, stage::STARTING.1)
    };
    // Always written: another process learns from it which task counts.
    role.log.report(grant.job, report).await;
    let answer = role.addresses(&grant, &job).await?;
    role.claimed.keep(grant.job, job);
    Ok(Json(answer))
}

fn is_name(text: &str) -> bool {
    text.is_empty() || is_call_id(text)
}

impl Webhook {
    /// Fresh addresses for the attempt's audio and video.
    async fn addresses(&self, grant: &Grant, job: &Job) -> Result<ClaimAnswer, Problem> {
        let spec = job.spec().ok_or_else(|| over("the job's request cannot be read; stop"))?;
        let (audio, sha256, size_bytes) = match &spec.audio {
            Audio::Stored { key, sha256, size_bytes } => (key.clone(), sha256.clone(), *size_bytes),
            // The worker fetched it before it dispatched.
            Audio::Remote { .. } => match audio::find(&self.bucket, grant.job).await {
                Ok(Some(key)) => (key, None, None),
                Ok(None) => return Err(over("the job's audio was never stored; stop")),
                Err(error) => return Err(unknown(grant, &error)),
            },
        };
        let upload_key = key::output(grant.job, grant.attempt);
        Ok(ClaimAnswer {
            attempt: grant.attempt,
            audio_url: self.bucket.sign_get(&audio.to_string(), AUDIO_LIFETIME),
            audio_ext: audio.extension().to_owned(),
            audio_sha256: sha256,
            audio_size_bytes: size_bytes,
            upload_url: self.bucket.sign_put(&upload_key, UPLOAD_LIFETIME),
            upload_headers: BTreeMap::new(),
            upload_key,
            expires_at: clock::now() + AUDIO_LIFETIME,
            config: spec.config(),
        })
    }
}
