//! A request on its way to become a job.

use std::time::Duration;

use axum::Json;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use events::wire::client::{Accepted, DryRun, RenderRequest};
use events::{Command, Job, JobId, Rejection, Spec, key, spec};
use sha2::{Digest, Sha256};

use super::received::key_reused;
use super::room;
use crate::api::{Api, unavailable};
use crate::http::code::Code;
use crate::http::problem::Problem;
use crate::keys::Caller;
use crate::{audio, clock};

/// What lies in the bucket without a request in the log may be used for so long; then its key counts as expired. The
/// sweeper removes it four hours later at the earliest, so nothing is removed that a request is about to name.
const REUSE: Duration = Duration::from_hours(20);

/// What is known before the body is read.
pub(in crate::api) struct Order {
    pub(in crate::api) api: Api,
    pub(in crate::api) id: JobId,
    /// The job, if this is a repeat.
    known: Option<Job>,
    is_dry: bool,
}

/// Audio that can be used.
pub(in crate::api) struct Audio {
    pub(in crate::api) audio: spec::Audio,
    /// What tells it from other audio: its hash, or the key or the address that the client named.
    pub(in crate::api) source: String,
}

impl Order {
    /// The job that it will be, if jobs are taken now.
    pub(in crate::api) async fn begin(
        api: Api,
        caller: &Caller,
        headers: &HeaderMap,
        is_dry: bool,
    ) -> Result<Self, Problem> {
        api.takes_work()?;
        let (id, known) = match idempotency_key(headers)? {
            Some(key) => {
                let id = JobId::from_idempotency_key(&caller.owner, key);
                (id, api.known(id).await?)
            }
            None => (clock::new_id(), None),
        };
        if known.is_none() && !is_dry {
            api.space.check(&api.log).await?;
        }
        Ok(Self { api, id, known, is_dry })
    }

    /// Whether the audio is to be stored: it is not for a repeat, nor where it is only asked what would be done.
    pub(in crate::api) fn stores(&self) -> bool {
        self.known.is_none() && !self.is_dry
    }

    /// Leaves a mark where the audio will be that is still to be fetched. When the log has forgotten the job, it tells that
    /// its key was used.
    pub(in crate::api) async fn mark_awaited(&self) -> Result<(), Problem> {
        if !self.id.is_derived() || !self.stores() {
            return Ok(());
        }
        let mark = key::awaited_audio(self.id);
        let put = self.api.bucket.put(&mark, audio::content_type("url"), Bytes::new()).await;
        put.map_err(|error| unavailable(&error))
    }

    /// Writes the request into the log, or says what would be written.
    pub(in crate::api) async fn place(self, request: RenderRequest, audio: Audio) -> Result<Response, Problem> {
        let mut hash = Sha256::new();
        hash.update(serde_json::to_vec(&request).unwrap_or_default());
        hash.update(&audio.source);
        let fingerprint = events::hex(&hash.finalize());
        self.write(Spec { fingerprint: Some(fingerprint), ..request.into_spec(audio.audio) }).await
    }

    pub(in crate::api) async fn write(self, spec: Spec) -> Result<Response, Problem> {
        let Self { api, id, known, is_dry } = self;
        if is_dry {
            let job = known.unwrap_or_default();
            return match events::decide(&job, Command::Request(spec.clone())) {
                Ok(_) => Ok(Json(DryRun { job_id: None, spec }).into_response()),
                Err(Rejection::AlreadyKnown) => Ok(Json(DryRun { job_id: Some(id), spec }).into_response()),
                Err(_) => Err(key_reused()),
            };
        }
        let recorded = api.record(id, known.unwrap_or_default(), Command::Request(spec)).await;
        let recorded = recorded.map_err(|error| not_taken(id, &error))?;
        match recorded.refused {
            None | Some(Rejection::AlreadyKnown) => Ok(api.accepted(id, &recorded.job)),
            Some(_) => Err(key_reused()),
        }
    }
}

impl Api {
    fn accepted(&self, id: JobId, job: &Job) -> Response {
        let status_url = format!("/api/render/{id}");
        let location = HeaderValue::from_str(&status_url).unwrap_or(HeaderValue::from_static("/"));
        let body = Accepted {
            job_id: id,
            status: job.status(),
            status_url,
            queue_position: self.position(job),
            created_at: job.requested.as_ref().map(|fact| fact.time).unwrap_or_default(),
        };
        let headers: [(HeaderName, HeaderValue); 1] = [(header::LOCATION, location)];
        (StatusCode::ACCEPTED, headers, Json(body)).into_response()
    }

    /// The job that an `Idempotency-Key` gave before, if it did. A key whose job has aged out is refused: the log has
    /// forgotten the job, but the bucket has not.
    async fn known(&self, id: JobId) -> Result<Option<Job>, Problem> {
        let job = self.log.load(id).await.map_err(|error| {
            tracing::warn!(job.id = %id, error = crate::chain(&error), "nothing is accepted under a key that cannot be looked for");
            Problem::new(Code::LogUnavailable, "kiln's log does not answer; try again")
        })?;
        if job.requested.is_some() {
            return Ok(Some(job));
        }
        let left = self.bucket.folder(&key::folder(id)).await.map_err(|error| unavailable(&error))?;
        let is_old = |listed: &crate::bucket::Listed| {
            listed.key == key::expired(id) || clock::now().since(listed.object.modified) > REUSE
        };
        if left.iter().any(is_old) {
            return Err(Problem::new(
                Code::ExpiredKey,
                "this Idempotency-Key was used before, for a job that is no longer kept; use a new one",
            ));
        }
        Ok(None)
    }
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let mut keys = headers.get_all("idempotency-key").iter();
    let Some(key) = keys.next() else { return Ok(None) };
    let is_printable = key.as_bytes().iter().all(|byte| (b' '..=b'~').contains(byte));
    match key.to_str() {
        Ok(key) if is_printable && (1..=255).contains(&key.len()) && keys.next().is_none() => Ok(Some(key)),
        _ => Err(Problem::bad_request("the Idempotency-Key must be one, of 1 to 255 printable ASCII characters")),
    }
}

/// Whatever is not known for sure is told as unknown: the same request under the same key finds out.
fn not_taken(id: JobId, error: &nats::Error) -> Problem {
    if matches!(error, nats::Error::Full) {
        return room::queue_full();
    }
    tracing::warn!(job.id = %id, error = crate::chain(error), "a request may or may not be in the log");
    Problem::new(
        Code::Unknown,
        format!("the request may have been taken as job {id}; send it again with the same Idempotency-Key"),
    )
}
