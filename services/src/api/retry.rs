//! `POST /api/render/{job}/retry`: the same once more, as a new job.

use axum::Extension;
use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use axum::response::Response;
use events::spec::Audio;
use events::{AudioKey, Job, JobId, Spec, hex};
use sha2::{Digest, Sha256};

use super::submit::{Asked, Order, copy};
use super::{Api, parse_id, unavailable};
use crate::http::code::Code;
use crate::http::problem::Problem;
use crate::keys::Caller;
use crate::{audio, clock};

pub(super) async fn retry(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Path(job): Path<String>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let before = parse_id(&job)?;
    // At least at its request, so that a replica which lags is not believed.
    let job = api.log.load_at_least(before, 1).await.map_err(|error| unavailable(&error))?;
    let spec = repeatable(&job)?;
    let order = Order::begin(api.traced(&headers), &caller, &headers, asked.dry_run).await?;
    let audio = order.audio_of(before, spec.audio.clone()).await?;
    // An expiry that is past would end the new job at once.
    let expires_at = spec.expires_at.filter(|expiry| *expiry > clock::now());
    let fingerprint = hex(&Sha256::digest(format!("retry {before}")));
    order
        .write(Spec { audio, expires_at, fingerprint: Some(fingerprint), retry_of: Some(before), ..spec.clone() })
        .await
}

/// The request of a job that has ended and could be read.
fn repeatable(job: &Job) -> Result<&Spec, Problem> {
    if job.requested.is_none() {
        return Err(Problem::not_found("there is no such job"));
    }
    if job.ended.is_none() {
        return Err(Problem::new(Code::NotEnded, "the job has not ended; wait for its end, or cancel it"));
    }
    job.spec()
        .ok_or_else(|| Problem::new(Code::Conflict, "the job's request could not be read, so it cannot be repeated"))
}

impl Order {
    /// The audio of the job before, copied to this one's place.
    async fn audio_of(&self, before: JobId, audio: Audio) -> Result<Audio, Problem> {
        let (from, sha256, size_bytes) = match audio {
            Audio::Stored { key, sha256, size_bytes } => (key, sha256, size_bytes),
            // What was fetched for the job before is used again; else it is fetched for this one.
            Audio::Remote { .. } => {
                let found = audio::find(&self.api.bucket, before).await.map_err(|error| unavailable(&error))?;
                let Some(key) = found else {
                    self.mark_awaited().await?;
                    return Ok(audio);
                };
                (key, None, None)
            }
        };
        let to = AudioKey::of_job(self.id, from.extension()).map_err(|_| Problem::internal())?;
        if self.stores() {
            let there = self.api.bucket.head(&from.to_string()).await.map_err(|error| unavailable(&error))?;
            if there.is_none() {
                return Err(Problem::new(Code::AudioGone, "the job's audio is no longer kept; submit it anew"));
            }
            copy(self, &from, &to, audio::content_type(from.extension())).await?;
        }
        Ok(Audio::Stored { key: to, sha256, size_bytes })
    }
}
