//! Keys of objects in the bucket: spelled here and nowhere else.
//!
//! | key | written by | holds |
//! |---|---|---|
//! | `uploads/{uuid}/audio.{ext}` | a client, with a signed PUT | audio before its job exists |
//! | `renders/{job}/audio.{ext}` | the api, or the worker from an address | the job's audio |
//! | `renders/{job}/audio.url` | the api | nothing: the job's audio is at an address, to be fetched |
//! | `renders/{job}/expired` | the sweeper | nothing: the job has aged out of the log, and its audio is gone |
//! | `renders/{job}/output.mp4` | the container of attempt 1 | the video |
//! | `renders/{job}/output-{n}.mp4` | the container of attempt n > 1 | the video |

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Attempt, JobId};

/// What an audio file's key may end with: one to eight characters of `a–z` and `0–9`.
pub fn is_extension(text: &str) -> bool {
    (1..=8).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
}

/// Where a job's video goes. Every attempt has a place of its own, so that no straggler replaces a delivered video.
pub fn output(job: JobId, attempt: Attempt) -> String {
    if attempt == Attempt::FIRST {
        format!("renders/{job}/output.mp4")
    } else {
        format!("renders/{job}/output-{attempt}.mp4")
    }
}

/// Everything that a job has in the bucket lies in here.
pub fn folder(job: JobId) -> String {
    format!("renders/{job}/")
}

/// Says that the job existed, when the log has forgotten it.
pub fn expired(job: JobId) -> String {
    format!("renders/{job}/expired")
}

/// Stands where the audio will be, if that is still to be fetched: so the bucket knows of the job.
pub fn awaited_audio(job: JobId) -> String {
    format!("renders/{job}/audio.url")
}

/// Whether `key` is a plain path below `renders/{job}/`, the only place where a job's results may lie.
pub fn belongs_to(key: &str, job: JobId) -> bool {
    let Some(name) = key.strip_prefix(&folder(job)) else {
        return false;
    };
    (1..=200).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
        && !name.starts_with('.')
}

/// Where audio lies: `uploads/{uuid}/audio.{ext}` or `renders/{uuid}/audio.{ext}`, nothing else.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(
    with = "String",
    extend("pattern" = r"^(uploads|renders)/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/audio\.[a-z0-9]{1,8}$", "examples" = ["renders/0193a5c0-7c1e-7b3a-9d52-1f0c8a7be001/audio.flac"])
)]
pub struct AudioKey {
    folder: Folder,
    owner: JobId,
    extension: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Folder {
    Uploads,
    Renders,
}

/// A text that is no key of audio.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an audio key is `uploads/{{uuid}}/audio.{{ext}}` or `renders/{{uuid}}/audio.{{ext}}`")]
pub struct BadAudioKey;

impl AudioKey {
    /// The key of a job's own audio.
    pub fn of_job(job: JobId, extension: &str) -> Result<Self, BadAudioKey> {
        Self::new(Folder::Renders, job, extension)
    }

    /// The key of an upload whose job does not exist yet.
    pub fn of_upload(upload: JobId, extension: &str) -> Result<Self, BadAudioKey> {
        Self::new(Folder::Uploads, upload, extension)
    }

    fn new(folder: Folder, owner: JobId, extension: &str) -> Result<Self, BadAudioKey> {
        if !is_extension(extension) {
            return Err(BadAudioKey);
        }
        Ok(Self { folder, owner, extension: extension.to_owned() })
    }

    /// Reads a key.
    pub fn parse(text: &str) -> Result<Self, BadAudioKey> {
        let mut parts = text.splitn(3, '/');
        let (folder, owner, name) = (parts.next(), parts.next(), parts.next());
        let folder = match folder {
            Some("uploads") => Folder::Uploads,
            Some("renders") => Folder::Renders,
            _ => return Err(BadAudioKey),
        };
        let owner = owner.and_then(|text| JobId::parse(text).ok()).ok_or(BadAudioKey)?;
        let extension = name.and_then(|name| name.strip_prefix("audio.")).ok_or(BadAudioKey)?;
        Self::new(folder, owner, extension)
    }

    /// The part after the last dot.
    pub fn extension(&self) -> &str {
        &self.extension
    }

    /// Whose it is: a job, or an upload.
    pub fn owner(&self) -> JobId {
        self.owner
    }

    /// Whether this is an upload, whose job may not exist yet.
    pub fn is_upload(&self) -> bool {
        matches!(self.folder, Folder::Uploads)
    }

    /// Whether this is the audio of exactly this job, rather than an upload's or another job's.
    pub fn is_of(&self, job: JobId) -> bool {
        matches!(self.folder, Folder::Renders) && self.owner == job
    }
}

impl fmt::Display for AudioKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let folder = match self.folder {
            Folder::Uploads => "uploads",
            Folder::Renders => "renders",
        };
        write!(f, "{folder}/{}/audio.{}", self.owner, self.extension)
    }
}

impl fmt::Debug for AudioKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl TryFrom<String> for AudioKey {
    type Error = BadAudioKey;
    fn try_from(text: String) -> Result<Self, BadAudioKey> {
        Self::parse(&text)
    }
}

impl From<AudioKey> for String {
    fn from(key: AudioKey) -> Self {
        key.to_string()
    }
}
