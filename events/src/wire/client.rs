//! Client ↔ api. Unknown fields in a request are refused by name: a typing mistake must not become a silent default.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::event::Output;
use crate::spec::{Audio, FieldError, Mode, OutputFormat, Spec};
use crate::{Attempt, Failure, JobId, Secret, Status, Timestamp, WaitingFor};

/// `POST /api/render`, and the part `request` of a multipart one (there without `audio`).
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct RenderRequest {
    /// The sound. Required, except in a multipart request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audio: Option<AudioSource>,
    /// Shape and size of the video.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_format: Option<OutputFormat>,
    /// Frames per second: 30 or 60.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fps: Option<u32>,
    /// The look.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// Passed to the renderer as it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub render_settings: Option<Map<String, Value>>,
    /// How many attempts may be made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_attempts: Option<u16>,
    /// Seconds from the first dispatch after which the job fails.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline_seconds: Option<u32>,
    /// A job that was not dispatched by then is cancelled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// The client's own, given back as it came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Map<String, Value>>,
}

/// Where a client's audio is. `type` may be left out when the other fields decide.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct AudioSource {
    /// `url`, `base64` or `key`.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<AudioKind>,
    /// For `url`: where to fetch it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// For `base64`: the bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
    /// For `key`: where it lies in the bucket.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// A name for people; never part of a key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filename: Option<String>,
}

/// The ways to give audio in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AudioKind {
    /// An address that the worker fetches.
    Url,
    /// The bytes themselves.
    Base64,
    /// An object in the bucket.
    Key,
}

impl RenderRequest {
    /// The request as it goes into the log, with every default in place.
    pub fn into_spec(self, audio: Audio) -> Spec {
        let mut spec = Spec::new(audio);
        spec.output_format = self.output_format.unwrap_or(spec.output_format);
        spec.fps = self.fps.unwrap_or(spec.fps);
        spec.mode = self.mode.unwrap_or(spec.mode);
        spec.render_settings = self.render_settings.unwrap_or_default();
        spec.max_attempts = self.max_attempts.unwrap_or(spec.max_attempts);
        spec.deadline_seconds = self.deadline_seconds.unwrap_or(spec.deadline_seconds);
        spec.expires_at = self.expires_at;
        spec.metadata = self.metadata.unwrap_or_default();
        spec
    }
}

/// `202` to a render request.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Accepted {
    /// The job.
    pub job_id: JobId,
    /// Where it stands.
    pub status: Status,
    /// Where to ask.
    pub status_url: String,
    /// Its place among the jobs that wait, from 1, where that is known.
    pub queue_position: Option<u64>,
    /// When the log took it.
    pub created_at: Timestamp,
}

/// `200` to a request with `dryRun`: nothing was stored, and nothing will be done.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DryRun {
    /// The job that this `Idempotency-Key` has given already.
    pub job_id: Option<JobId>,
    /// What would be written into the log, with every default in place.
    pub spec: Spec,
}

/// `GET /api/render/{job}`: always all fields, `null` where they do not apply.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Poll {
    /// The job.
    pub job_id: JobId,
    /// Always `render`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Where it stands.
    pub status: Status,
    /// From 0 to 100.
    pub progress: u8,
    /// What is being done.
    pub stage: Option<String>,
    /// Which attempt.
    pub attempt: Attempt,
    /// Its place among the jobs that wait, from 1, while it does and where that is known.
    pub queue_position: Option<u64>,
    /// What it waits for.
    pub waiting_for: Option<WaitingFor>,
    /// When the worker looks again at the latest, while it waits and has said so.
    pub until: Option<Timestamp>,
    /// The video.
    pub result: Option<Output>,
    /// Why there is none.
    pub error: Option<Failure>,
    /// Where to download the video; signed anew each day, and good for six days at least.
    #[serde(serialize_with = "serialize_optional_secret")]
    pub download_url: Option<Secret>,
    /// Until when.
    pub download_url_expires_at: Option<Timestamp>,
    /// The client's own.
    pub metadata: Map<String, Value>,
    /// When the log took the request.
    pub created_at: Option<Timestamp>,
    /// When anything last changed.
    pub updated_at: Timestamp,
}

#[expect(clippy::ref_option, reason = "serde's signature")]
fn serialize_optional_secret<S: serde::Serializer>(secret: &Option<Secret>, serializer: S) -> Result<S::Ok, S::Error> {
    match secret {
        Some(secret) => secret.serialize(serializer),
        None => serializer.serialize_none(),
    }
}

/// `GET /api/render`: a page of jobs, the newest first.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct JobList {
    /// As a poll tells them, without an address to download from.
    pub jobs: Vec<Poll>,
    /// Gives the next page; `null` at the end.
    pub next_cursor: Option<String>,
    /// How many jobs there are in all.
    pub counts: Counts,
}

/// How many jobs are in each status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Counts {
    /// In the queue.
    pub pending: u64,
    /// With the GPU provider.
    pub processing: u64,
    /// With a video.
    pub complete: u64,
    /// Without one.
    pub failed: u64,
    /// Not wanted any more.
    pub cancelled: u64,
}

/// `GET /api/render/{job}/events`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct History {
    /// The facts, oldest first.
    pub events: Vec<HistoryEvent>,
}

/// One fact of a job's history.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct HistoryEvent {
    /// Its sequence in the log.
    pub seq: u64,
    /// When the log took it.
    pub time: Timestamp,
    /// Its kind.
    pub event: String,
    /// Its attempt, where it has one.
    pub attempt: Option<Attempt>,
    /// Its payload.
    pub data: Value,
}

/// `POST /api/uploads`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UploadRequest {
    /// The file's name; its extension tells the kind.
    pub filename: String,
    /// Its length in bytes.
    pub size_bytes: u64,
}

/// `201` to an upload request: what to send where.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Upload {
    /// The key to submit afterwards.
    pub key: String,
    /// Where to send the bytes, signed.
    #[serde(serialize_with = "Secret::serialize")]
    pub url: Secret,
    /// Always `PUT`.
    pub method: String,
    /// Headers to send with them.
    pub headers: BTreeMap<String, String>,
    /// Until when.
    pub expires_at: Timestamp,
}

/// `application/problem+json`, RFC 9457.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// A URI for the kind of problem.
    #[serde(rename = "type")]
    pub kind: String,
    /// What it is called.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What happened here, and what to do.
    pub detail: String,
    /// A stable word to branch on.
    pub code: String,
    /// The request's name in the logs.
    pub request_id: String,
    /// What is wrong with which field.
    #[serde(default)]
    pub errors: Vec<FieldError>,
    /// How the job has ended, where that is the problem.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job_status: Option<Status>,
}
