//! `POST /api/render`: audio in, a promise out. The 202 means that the audio is in the bucket and the request in the log.

mod received;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use events::wire::client::{Accepted, AudioSource, RenderRequest};
use events::{AudioKey, Command, JobId, Rejection, Spec, spec};
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use super::{Api, unavailable};
use crate::http::code::Code;
use crate::http::problem::Problem;
use crate::keys::Caller;
use crate::{audio, clock};
use received::Stored;

/// Largest audio, in bytes: 2 GiB.
pub(super) const MAX_AUDIO: u64 = 2 * 1024 * 1024 * 1024;
/// Largest JSON request; base64 of about 48 MiB of audio.
const MAX_JSON: usize = 64 * 1024 * 1024;

pub(super) async fn submit(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    api.takes_work()?;
    let id = job_id(&caller, &headers)?;
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let (request, audio) = if let Ok(boundary) = multer::parse_boundary(content_type) {
        let mut body = body.into_data_stream();
        let received = received::multipart(&api, id, &mut body, boundary).await;
        if received.is_err() {
            received::drain(&mut body).await;
        }
        received?
    } else if content_type.starts_with("application/json") {
        api.read_request(id, body).await?
    } else {
        return Err(Problem::unsupported("send application/json, or multipart/form-data with a part `audio`"));
    };
    api.request(id, request, audio).await
}

/// The id that the `Idempotency-Key` gives, else a new one.
fn job_id(caller: &Caller, headers: &HeaderMap) -> Result<JobId, Problem> {
    let Some(key) = headers.get("idempotency-key") else {
        return Ok(clock::new_id());
    };
    match key.to_str() {
        Ok(key) if (1..=255).contains(&key.len()) => Ok(JobId::from_idempotency_key(&caller.owner, key)),
        _ => Err(Problem::bad_request("the Idempotency-Key must have 1 to 255 printable ASCII characters")),
    }
}

pub(super) fn read_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    serde_json::from_slice(bytes).map_err(|error| Problem::bad_request(format!("the JSON does not fit: {error}")))
}

impl Api {
    async fn read_request(&self, id: JobId, body: Body) -> Result<(RenderRequest, Stored), Problem> {
        let bytes = axum::body::to_bytes(body, MAX_JSON)
            .await
            .map_err(|_| Problem::too_large("the JSON is longer than 64 MiB, or broke off; use multipart/form-data"))?;
        let mut request: RenderRequest = read_json(&bytes)?;
        let source = request.audio.take().ok_or_else(|| Problem::field("/audio", "is missing"))?;
        check(&request)?;
        let audio = match source {
            AudioSource { key: Some(key), url: None, data: None, .. } => self.copied(id, &key).await?,
            AudioSource { data: Some(data), url: None, key: None, .. } => received::base64(self, id, &data).await?,
            AudioSource { url: Some(_), data: None, key: None, .. } => {
                return Err(Problem::field("/audio/url", "audio by URL is not allowed here; upload the file"));
            }
            _ => return Err(Problem::field("/audio", "needs exactly one of `key`, `data` and `url`")),
        };
        Ok((request, audio))
    }

    /// Audio that is in the bucket already: looked at, and copied to its job's own place.
    async fn copied(&self, id: JobId, key: &str) -> Result<Stored, Problem> {
        let from = AudioKey::parse(key).map_err(|error| Problem::field("/audio/key", error.to_string()))?;
        let object = self.bucket.head(key).await.map_err(|error| unavailable(&error))?;
        let object = object.ok_or_else(|| Problem::field("/audio/key", "there is no such object; upload it first"))?;
        if object.size_bytes > MAX_AUDIO {
            return Err(Problem::too_large("the audio is longer than 2 GiB"));
        }
        let first =
            self.bucket.first_bytes(key, audio::SNIFF_BYTES as u64).await.map_err(|error| unavailable(&error))?;
        let kind = audio::sniff(&first).ok_or_else(received::not_audio)?;
        let to = AudioKey::of_job(id, kind.extension).map_err(|_| Problem::internal())?;
        // Under an Idempotency-Key that was used before, the audio is in its place, and stays.
        let is_there = self.bucket.head(&to.to_string()).await.map_err(|error| unavailable(&error))?.is_some();
        if from != to && !is_there {
            self.bucket.copy(key, &to.to_string()).await.map_err(|error| unavailable(&error))?;
        }
        Ok(Stored { key: to, source: key.to_owned(), sha256: None, size_bytes: object.size_bytes })
    }

    /// Writes the request into the log.
    async fn request(&self, id: JobId, request: RenderRequest, audio: Stored) -> Result<Response, Problem> {
        let fingerprint = fingerprint(&request, &audio);
        let Stored { key, sha256, size_bytes, .. } = audio;
        let source = spec::Audio::Stored { key, sha256, size_bytes: Some(size_bytes) };
        let spec = Spec { fingerprint: Some(fingerprint), ..request.into_spec(source) };
        let recorded = self.record(id, Command::Request(spec)).await;
        let recorded = recorded.map_err(|error| {
            tracing::warn!(job.id = %id, error = crate::chain(&error), "a request may or may not be in the log");
            Problem::new(
                Code::Unknown,
                format!("the request may have been taken as job {id}; send it again with the same Idempotency-Key"),
            )
        })?;
        match recorded.refused {
            None | Some(Rejection::AlreadyKnown) => Ok(accepted(id, &recorded.job)),
            Some(_) => Err(received::key_reused()),
        }
    }
}

/// The bounds that the types alone do not hold, before a byte of audio is stored.
fn check(request: &RenderRequest) -> Result<(), Problem> {
    let placeholder = AudioKey::of_job(JobId::new(0, [0; 10]), "wav").map_err(|_| Problem::internal())?;
    let audio = spec::Audio::Stored { key: placeholder, sha256: None, size_bytes: None };
    let errors = request.clone().into_spec(audio).errors();
    if errors.is_empty() { Ok(()) } else { Err(Problem::invalid(errors)) }
}

/// What tells two requests under one key apart: everything that was asked for, and the sound.
fn fingerprint(request: &RenderRequest, audio: &Stored) -> String {
    let mut hash = Sha256::new();
    hash.update(serde_json::to_vec(request).unwrap_or_default());
    hash.update(&audio.source);
    events::hex(&hash.finalize())
}

fn accepted(id: JobId, job: &events::Job) -> Response {
    let status_url = format!("/api/render/{id}");
    let location = HeaderValue::from_str(&status_url).unwrap_or(HeaderValue::from_static("/"));
    let body = Accepted {
        job_id: id,
        status: job.status(),
        status_url,
        queue_position: None,
        created_at: job.requested.as_ref().map(|fact| fact.time).unwrap_or_default(),
    };
    let headers: [(HeaderName, HeaderValue); 1] = [(header::LOCATION, location)];
    (StatusCode::ACCEPTED, headers, Json(body)).into_response()
}
