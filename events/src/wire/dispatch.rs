//! Worker → GPU provider: `/submit`, `/status`, `/cancel`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Attempt, JobId, RenderConfig, Secret};

/// `POST {base}/submit`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct SubmitBody {
    /// The job.
    pub job_id: JobId,
    /// The attempt.
    pub attempt: Attempt,
    /// `{job}:{attempt}`: the same key gives the same call.
    pub idempotency_key: String,
    /// What to render.
    pub config: RenderConfig,
    /// Where to get the audio, signed.
    #[serde(serialize_with = "Secret::serialize")]
    pub audio_signed_url: Secret,
    /// The audio's extension.
    pub audio_ext: String,
    /// The video's key.
    pub r2_upload_key: String,
    /// Where to put the video, signed.
    #[serde(serialize_with = "Secret::serialize")]
    pub upload_signed_url: Secret,
    /// The webhook role's public address.
    pub callback_url: String,
    /// Where to tell the end.
    pub webhook_url: String,
    /// The capability to do so.
    #[serde(serialize_with = "Secret::serialize")]
    pub webhook_secret: Secret,
    /// Whether a GPU is wanted.
    pub gpu: bool,
}

impl SubmitBody {
    /// The key under which one attempt of one job is submitted, however often.
    pub fn idempotency_key(job: JobId, attempt: Attempt) -> String {
        format!("{job}:{attempt}")
    }
}

/// The answer to a submit. Accepted means: a call, and no error.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct SubmitAnswer {
    /// The provider's name for the call.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub call_id: String,
    /// The job, repeated.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub job_id: String,
    /// Whether it runs on a GPU.
    pub gpu: bool,
    /// Whether the call was there before.
    pub duplicate: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The HTTP status that the error would have, where it comes with 200.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
}

/// `POST {base}/status`: at most [`StatusBody::MAX_CALLS`] calls.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct StatusBody {
    /// The calls to tell of.
    #[schemars(length(max = 100))]
    pub call_ids: Vec<String>,
}

impl StatusBody {
    /// How many calls one request may ask about.
    pub const MAX_CALLS: usize = 100;
}

/// The answer to `/status`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct StatusAnswer {
    /// Each call's state.
    pub calls: BTreeMap<String, CallState>,
}

/// A call's state.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct CallState {
    /// Where it stands.
    pub status: CallStatus,
    /// What the render function returned.
    #[serde(default)]
    pub result: Option<RenderResult>,
    /// What went wrong with the call itself.
    #[serde(default)]
    pub error: Option<String>,
}

/// Where a call stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum CallStatus {
    /// Not finished: queued or running.
    Running,
    /// It returned a result.
    Completed,
    /// It ended without one.
    Failed,
    /// It was stopped.
    Cancelled,
    /// Its result was kept for seven days and is gone.
    Expired,
    /// There is no such call, or a state that this release does not know.
    #[serde(other)]
    Unknown,
}

/// What the render function returns, and `kiln render` prints as its last line: it never raises.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RenderResult {
    /// Whether there is a video.
    pub ok: bool,
    /// The webhook's result, for a video.
    #[serde(flatten)]
    pub output: Option<super::callback::ReportedOutput>,
    /// A stable code: one of [`crate::Code`], or `claimed_elsewhere`, or `over`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// A sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Whether another attempt may succeed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retryable: Option<bool>,
}

impl RenderResult {
    /// The code of a render that left its attempt to another call. No failure.
    pub const CLAIMED_ELSEWHERE: &str = "claimed_elsewhere";
    /// The code of a render that found its attempt over. No failure.
    pub const OVER: &str = "over";
}

/// `POST {base}/cancel`: every call that the app holds for that attempt, and the ones given.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct CancelBody {
    /// The job.
    pub job_id: JobId,
    /// The attempt.
    pub attempt: Attempt,
    /// Calls that we know of.
    pub call_ids: Vec<String>,
}

/// The answer to `/cancel`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct CancelAnswer {
    /// What each call is now; never `running`.
    pub calls: BTreeMap<String, CallStatus>,
}
