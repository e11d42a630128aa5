//! What a render leaves.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{is_plain, is_sha256};
use crate::{JobId, key};

/// The video that a render left.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    /// Key of the video.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub video_key: Option<String>,
    /// Key of a preview, where there is no video.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preview_key: Option<String>,
    /// Key of prepared material, where there is neither.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prepared_key: Option<String>,
    /// Format, as the renderer tells it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub format: Option<String>,
    /// Length of the video in milliseconds; seconds on the wire.
    #[serde(default, rename = "durationSeconds", with = "seconds", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<f64>")]
    pub duration_ms: Option<u64>,
    /// Length of the object in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size_bytes: Option<u64>,
    /// SHA-256 of the object in hexadecimal, as its maker tells it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^[0-9a-f]{64}$"))]
    pub sha256: Option<String>,
}

impl Output {
    /// A video of which only its key and size are known.
    pub fn video(key: String, size_bytes: u64) -> Self {
        Self {
            video_key: Some(key),
            preview_key: None,
            prepared_key: None,
            format: None,
            duration_ms: None,
            size_bytes: Some(size_bytes),
            sha256: None,
        }
    }

    /// The key of what a client downloads: the video, else the preview, else what was prepared.
    pub fn key(&self) -> Option<&str> {
        [&self.video_key, &self.preview_key, &self.prepared_key].into_iter().find_map(Option::as_deref)
    }

    /// Whether it names at least one object, and none outside the job's own folder.
    pub fn is_valid_for(&self, job: JobId) -> bool {
        let keys = [&self.video_key, &self.preview_key, &self.prepared_key];
        self.key().is_some()
            && keys.into_iter().flatten().all(|key| key::belongs_to(key, job))
            && self.format.as_deref().is_none_or(|format| is_plain(format, 64))
            && self.sha256.as_deref().is_none_or(is_sha256)
    }
}

/// Seconds with a fraction on the wire, whole milliseconds inside.
mod seconds {
    use serde::{Deserialize, Deserializer, Serializer};

    /// A year; nothing that is rendered is longer.
    const MAX_SECONDS: f64 = 31_536_000.0;

    #[expect(clippy::ref_option, clippy::cast_precision_loss, reason = "serde's signature; below 2^53")]
    pub(super) fn serialize<S: Serializer>(ms: &Option<u64>, serializer: S) -> Result<S::Ok, S::Error> {
        match ms {
            Some(ms) => serializer.serialize_f64(*ms as f64 / 1000.0),
            None => serializer.serialize_none(),
        }
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "held within 0 and a year")]
    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
        let seconds = Option::<f64>::deserialize(deserializer)?;
        Ok(seconds.map(|seconds| (seconds.clamp(0.0, MAX_SECONDS) * 1000.0).round() as u64))
    }
}
