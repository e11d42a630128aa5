//! What is asked for: the audio, the picture, and the limits.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::event::is_sha256;
use crate::{AudioKey, JobId, Timestamp};

/// A render request as it stands in the log. Everything but `audio` may be left out.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Spec {
    /// The sound to draw.
    pub audio: Audio,
    /// Shape and size of the video.
    #[serde(default)]
    pub output_format: OutputFormat,
    /// Frames per second: 30 or 60.
    #[serde(default = "default_fps")]
    #[schemars(extend("enum" = [30, 60]))]
    pub fps: u32,
    /// The look.
    #[serde(default)]
    pub mode: Mode,
    /// Passed to the renderer as it is; at most 64 KiB of JSON.
    #[serde(default)]
    pub render_settings: Map<String, Value>,
    /// How many attempts may be made before the job fails.
    #[serde(default = "default_max_attempts")]
    #[schemars(range(min = 1, max = 10))]
    pub max_attempts: u16,
    /// Seconds from the first dispatch after which the job fails.
    #[serde(default = "default_deadline_seconds")]
    #[schemars(range(min = 60, max = 604_800))]
    pub deadline_seconds: u32,
    /// A job that was not dispatched by then is cancelled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// The client's own, given back as it came; at most 2 KiB of JSON.
    #[serde(default)]
    pub metadata: Map<String, Value>,
    /// What tells two requests under one `Idempotency-Key` apart: a hash that the api makes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub fingerprint: Option<String>,
    /// The job that this one repeats.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_of: Option<JobId>,
}

fn default_fps() -> u32 {
    30
}

fn default_max_attempts() -> u16 {
    3
}

fn default_deadline_seconds() -> u32 {
    86_400
}

/// Where the sound is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Audio {
    /// An object in the bucket.
    #[serde(rename_all = "camelCase")]
    Stored {
        /// Its key.
        key: AudioKey,
        /// SHA-256 of its bytes, in hexadecimal, where the api saw them.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schemars(regex(pattern = "^[0-9a-f]{64}$"))]
        sha256: Option<String>,
        /// Its length in bytes, where the api saw it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        size_bytes: Option<u64>,
    },
    /// A public address, fetched by the worker where the operator allows that.
    Remote {
        /// `http://` or `https://`.
        #[schemars(url, length(max = 2048), regex(pattern = r"^https?://[^\s]+$"))]
        url: String,
        /// A name for people; never part of a key.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schemars(length(max = 255))]
        filename: Option<String>,
    },
}

/// Shape and size of the video. `360-…` are equirectangular, `…-stereo-…` holds the left eye above the right.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum OutputFormat {
    /// 1920×1080
    #[default]
    #[serde(rename = "flat-1080p-landscape")]
    Flat1080pLandscape,
    /// 1080×1920
    #[serde(rename = "flat-1080p-portrait")]
    Flat1080pPortrait,
    /// 1080×1080
    #[serde(rename = "flat-1080p-square")]
    Flat1080pSquare,
    /// 3840×2160
    #[serde(rename = "flat-4k-landscape")]
    Flat4kLandscape,
    /// 2160×3840
    #[serde(rename = "flat-4k-portrait")]
    Flat4kPortrait,
    /// 4096×2048
    #[serde(rename = "360-mono-4k")]
    Mono360At4k,
    /// 6144×3072
    #[serde(rename = "360-mono-6k")]
    Mono360At6k,
    /// 8192×4096
    #[serde(rename = "360-mono-8k")]
    Mono360At8k,
    /// 8192×8192
    #[serde(rename = "360-stereo-8k")]
    Stereo360At8k,
}

impl OutputFormat {
    /// Every format.
    pub const ALL: [Self; 9] = [
        Self::Flat1080pLandscape,
        Self::Flat1080pPortrait,
        Self::Flat1080pSquare,
        Self::Flat4kLandscape,
        Self::Flat4kPortrait,
        Self::Mono360At4k,
        Self::Mono360At6k,
        Self::Mono360At8k,
        Self::Stereo360At8k,
    ];

    /// Width and height in pixels.
    pub fn size(self) -> (u32, u32) {
        match self {
            Self::Flat1080pLandscape => (1920, 1080),
            Self::Flat1080pPortrait => (1080, 1920),
            Self::Flat1080pSquare => (1080, 1080),
            Self::Flat4kLandscape => (3840, 2160),
            Self::Flat4kPortrait => (2160, 3840),
            Self::Mono360At4k => (4096, 2048),
            Self::Mono360At6k => (6144, 3072),
            Self::Mono360At8k => (8192, 4096),
            Self::Stereo360At8k => (8192, 8192),
        }
    }

    /// Whether the picture is an equirectangular projection of a whole sphere.
    pub fn is_spherical(self) -> bool {
        matches!(self, Self::Mono360At4k | Self::Mono360At6k | Self::Mono360At8k | Self::Stereo360At8k)
    }

    /// Whether the picture holds one view for each eye, the left one above.
    pub fn is_stereo(self) -> bool {
        self == Self::Stereo360At8k
    }

    /// Whether it is worth a GPU: everything larger than 1080p.
    pub fn needs_gpu(self) -> bool {
        let (width, height) = self.size();
        width.max(height) > 1920
    }
}

/// The look of the video.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Bright, rising, sharp.
    #[default]
    Flame,
    /// Soft, drifting, wide.
    Mist,
}

/// What the renderer is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RenderConfig {
    /// Version of this shape: 1.
    #[serde(default = "config_version")]
    pub version: u32,
    /// Shape and size of the video.
    #[serde(default)]
    pub output_format: OutputFormat,
    /// Frames per second: 30 or 60.
    #[serde(default = "default_fps")]
    pub fps: u32,
    /// The look.
    #[serde(default)]
    pub mode: Mode,
    /// The renderer's own settings.
    #[serde(default)]
    pub render_settings: Map<String, Value>,
}

fn config_version() -> u32 {
    1
}

/// A field that breaks a bound.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FieldError {
    /// JSON pointer to the field.
    pub pointer: String,
    /// What is wrong, and what would be right.
    pub detail: String,
}

impl Spec {
    /// A request with every default.
    pub fn new(audio: Audio) -> Self {
        Self {
            audio,
            output_format: OutputFormat::default(),
            fps: default_fps(),
            mode: Mode::default(),
            render_settings: Map::new(),
            max_attempts: default_max_attempts(),
            deadline_seconds: default_deadline_seconds(),
            expires_at: None,
            metadata: Map::new(),
            fingerprint: None,
            retry_of: None,
        }
    }

    /// What the renderer needs to know of it.
    pub fn config(&self) -> RenderConfig {
        RenderConfig {
            version: config_version(),
            output_format: self.output_format,
            fps: self.fps,
            mode: self.mode,
            render_settings: self.render_settings.clone(),
        }
    }

    /// Every bound that the types alone do not hold.
    pub fn errors(&self) -> Vec<FieldError> {
        let checks = [
            ("/fps", matches!(self.fps, 30 | 60), "must be 30 or 60"),
            ("/maxAttempts", (1..=10).contains(&self.max_attempts), "must be from 1 to 10"),
            (
                "/deadlineSeconds",
                (60..=604_800).contains(&self.deadline_seconds),
                "must be from 60 to 604800 (seven days)",
            ),
            ("/renderSettings", json_len(&self.render_settings) <= 64 * 1024, "must be at most 64 KiB of JSON"),
            ("/metadata", json_len(&self.metadata) <= 2 * 1024, "must be at most 2 KiB of JSON"),
            ("/audio/url", self.audio.has_valid_url(), "must be an http or https address of at most 2048 bytes"),
            ("/audio/sha256", self.audio.has_valid_sha256(), "must be 64 hexadecimal digits in lower case"),
            ("/audio/filename", self.audio.has_valid_filename(), "must be at most 255 characters"),
            (
                "/fingerprint",
                self.fingerprint.as_ref().is_none_or(|text| text.chars().count() <= 64),
                "must be at most 64 characters",
            ),
        ];
        checks
            .into_iter()
            .filter(|(_, is_right, _)| !is_right)
            .map(|(pointer, _, detail)| FieldError { pointer: pointer.into(), detail: detail.into() })
            .collect()
    }
}

impl Audio {
    fn has_valid_url(&self) -> bool {
        match self {
            Self::Stored { .. } => true,
            Self::Remote { url, .. } => {
                url.len() <= 2048
                    && (url.starts_with("https://") || url.starts_with("http://"))
                    && !url.contains(|c: char| c.is_control() || c.is_whitespace())
            }
        }
    }

    fn has_valid_sha256(&self) -> bool {
        match self {
            Self::Stored { sha256, .. } => sha256.as_deref().is_none_or(is_sha256),
            Self::Remote { .. } => true,
        }
    }

    fn has_valid_filename(&self) -> bool {
        match self {
            Self::Stored { .. } => true,
            Self::Remote { filename, .. } => filename.as_ref().is_none_or(|name| name.chars().count() <= 255),
        }
    }
}

fn json_len(map: &Map<String, Value>) -> usize {
    serde_json::to_string(map).map_or(usize::MAX, |text| text.len())
}
