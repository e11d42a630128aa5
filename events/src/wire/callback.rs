//! Container → webhook: claim, progress, completion. Unknown fields are ignored.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::event::Output;
use crate::spec::FieldError;
use crate::{Attempt, AudioKey, JobId, RenderConfig, Secret, Timestamp, key};

/// `POST {callback_url}/api/render/{job}/claim`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ClaimBody {
    /// The provider's call.
    pub call_id: String,
    /// The call's input; kept over a preemption.
    pub input_id: String,
    /// The container's task; the newest one counts.
    pub task_id: String,
}

/// What a claim gives: fresh addresses, and the work.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClaimAnswer {
    /// The attempt.
    pub attempt: Attempt,
    /// Where to get the audio, signed.
    #[serde(serialize_with = "Secret::serialize")]
    pub audio_url: Secret,
    /// The audio's extension.
    pub audio_ext: String,
    /// SHA-256 of the audio in hexadecimal, where it is known.
    #[serde(default)]
    pub audio_sha256: Option<String>,
    /// Length of the audio in bytes, where it is known.
    #[serde(default)]
    pub audio_size_bytes: Option<u64>,
    /// Where to PUT the video, signed.
    #[serde(serialize_with = "Secret::serialize")]
    pub upload_url: Secret,
    /// Headers that the PUT must have.
    #[serde(default)]
    pub upload_headers: BTreeMap<String, String>,
    /// The video's key.
    pub upload_key: String,
    /// When the addresses end.
    pub expires_at: Timestamp,
    /// What to render.
    pub config: RenderConfig,
}

/// `PATCH {callback_url}/api/render/{job}`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProgressBody {
    /// From 0 to 100.
    #[schemars(range(max = 100))]
    pub progress: u8,
    /// What is being done, in lower case with hyphens.
    #[serde(default)]
    pub current_stage: Option<String>,
    /// The container's task.
    #[serde(default)]
    pub task_id: Option<String>,
}

/// `POST {webhook_url}`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CallbackBody {
    /// The job; must be the capability's.
    pub job_id: String,
    /// How it ended.
    pub status: CallbackStatus,
    /// The video, for `complete`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<ReportedOutput>,
    /// A sentence, for `failed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// A code of [`crate::Code`], for `failed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Whether another attempt may succeed, for `failed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retryable: Option<bool>,
}

/// How a render ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum CallbackStatus {
    /// With a video.
    Complete,
    /// Without one.
    Failed,
}

/// What a container says of its video. Nothing of it is believed unseen.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ReportedOutput {
    /// Key of the video.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub video_key: Option<String>,
    /// Key of a preview.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preview_key: Option<String>,
    /// Key of prepared material.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prepared_key: Option<String>,
    /// The format.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
    /// Length in seconds; the original calls it `duration`.
    #[serde(alias = "duration", skip_serializing_if = "Option::is_none")]
    pub duration_seconds: Option<f64>,
    /// Length of the object in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size_bytes: Option<u64>,
    /// SHA-256 of the object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// What encoded it: ffmpeg's name of the encoder, or a renderer of one's own. For people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encoder: Option<String>,
}

/// The answer to a callback that was taken.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
pub struct CallbackAnswer {
    /// Always true.
    pub success: bool,
}

impl ReportedOutput {
    /// The output that it names, if every key in it lies in the job's own folder and is no audio, and every text is plain.
    pub fn output(&self, job: JobId) -> Result<Output, FieldError> {
        let refuse = |pointer: &str, detail: &str| FieldError { pointer: pointer.into(), detail: detail.into() };
        let is_result = |key: &String| key::belongs_to(key, job) && AudioKey::parse(key).is_err();
        let keys = [&self.video_key, &self.preview_key, &self.prepared_key];
        if !keys.into_iter().flatten().all(is_result) {
            return Err(refuse("/result/videoKey", "must lie in the job's own folder, and not be its audio"));
        }
        let output = Output {
            video_key: self.video_key.clone(),
            preview_key: self.preview_key.clone(),
            prepared_key: self.prepared_key.clone(),
            format: self.format.clone(),
            duration_ms: self.duration_ms(),
            size_bytes: self.size_bytes,
            sha256: self.sha256.clone(),
        };
        if output.is_valid_for(job) {
            return Ok(output);
        }
        let needs = "needs a videoKey, previewKey or preparedKey, and a format and sha256 that are plain";
        Err(refuse("/result", needs))
    }

    /// The length in whole milliseconds; nothing that is rendered lasts longer than a year.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "held within 0 and a year")]
    pub fn duration_ms(&self) -> Option<u64> {
        let seconds = self.duration_seconds.filter(|seconds| seconds.is_finite())?;
        Some((seconds.clamp(0.0, 31_536_000.0) * 1000.0).round() as u64)
    }
}
