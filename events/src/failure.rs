//! Why a render failed, in words that stay the same.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The closed list of reasons. The strings are stable: clients branch on them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// The request in the log cannot be read or breaks a bound.
    InvalidRequest,
    /// The audio is not in the bucket.
    AudioMissing,
    /// The audio cannot be read as sound.
    AudioUnreadable,
    /// The audio is larger than the limit.
    AudioTooLarge,
    /// The audio's address is not allowed or gave no audio.
    AudioUrlRefused,
    /// The GPU provider refused the job for good.
    DispatchRefused,
    /// The renderer ended with an error.
    RenderFailed,
    /// The container died, ran out of memory, or was killed.
    ContainerCrashed,
    /// The machine that ran the render was restarted.
    ExecutorRestarted,
    /// The GPU provider lost the call: it neither runs nor left a video.
    CallLost,
    /// The call was stopped by someone else than us.
    CallCancelled,
    /// The render was said to be complete, but the video is missing or has another size.
    OutputMissing,
    /// The video could not be stored.
    UploadFailed,
    /// The container's disk is full.
    DiskFull,
    /// The job was not finished within its deadline.
    DeadlineExceeded,
    /// The log holds something unreadable where this job's end should stand.
    LogCorrupt,
    /// A defect of kiln itself.
    Internal,
    /// A reason that only a newer release knows.
    #[serde(other)]
    Other,
}

impl Code {
    /// Every code, in the order of the list.
    pub const ALL: [Self; 18] = [
        Self::InvalidRequest,
        Self::AudioMissing,
        Self::AudioUnreadable,
        Self::AudioTooLarge,
        Self::AudioUrlRefused,
        Self::DispatchRefused,
        Self::RenderFailed,
        Self::ContainerCrashed,
        Self::ExecutorRestarted,
        Self::CallLost,
        Self::CallCancelled,
        Self::OutputMissing,
        Self::UploadFailed,
        Self::DiskFull,
        Self::DeadlineExceeded,
        Self::LogCorrupt,
        Self::Internal,
        Self::Other,
    ];

    /// The code that is spelled so, if it is on the list.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|code| code.to_string() == text)
    }

    /// Whether another attempt may succeed.
    pub fn is_retryable(self) -> bool {
        match self {
            Self::InvalidRequest
            | Self::AudioMissing
            | Self::AudioUnreadable
            | Self::AudioTooLarge
            | Self::AudioUrlRefused
            | Self::DispatchRefused
            | Self::DeadlineExceeded
            | Self::LogCorrupt
            | Self::Internal
            | Self::Other => false,
            Self::RenderFailed
            | Self::ContainerCrashed
            | Self::ExecutorRestarted
            | Self::CallLost
            | Self::CallCancelled
            | Self::OutputMissing
            | Self::UploadFailed
            | Self::DiskFull => true,
        }
    }

    /// One sentence for people.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::InvalidRequest => "the request cannot be read",
            Self::AudioMissing => "the audio is not in the bucket",
            Self::AudioUnreadable => "the audio cannot be read as sound",
            Self::AudioTooLarge => "the audio is too large",
            Self::AudioUrlRefused => "the audio's address cannot be used",
            Self::DispatchRefused => "the GPU provider refused the job",
            Self::RenderFailed => "the renderer ended with an error",
            Self::ContainerCrashed => "the render's container died",
            Self::ExecutorRestarted => "the machine that rendered was restarted",
            Self::CallLost => "the GPU provider lost the render",
            Self::CallCancelled => "the render was stopped from outside",
            Self::OutputMissing => "the video is missing or incomplete",
            Self::UploadFailed => "the video could not be stored",
            Self::DiskFull => "the container's disk is full",
            Self::DeadlineExceeded => "the job was not finished within its deadline",
            Self::LogCorrupt => "the log holds something unreadable about this job",
            Self::Internal => "kiln itself failed at this job",
            Self::Other => "the job failed for a reason that this release does not know",
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// A render failed: what users see.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Failure {
    /// The stable reason.
    pub code: Code,
    /// A sentence for people: at most [`Failure::MAX_MESSAGE`] bytes, without control characters.
    #[schemars(length(max = 2048))]
    pub message: String,
    /// Whether another attempt may succeed.
    pub retryable: bool,
}

impl Failure {
    /// Longest message, in bytes.
    pub const MAX_MESSAGE: usize = 2048;

    /// A failure with a message of its own; the message is cut and cleaned.
    pub fn new(code: Code, message: &str) -> Self {
        Self { code, message: clean(message, Self::MAX_MESSAGE), retryable: code.is_retryable() }
    }

    /// A failure whose retryability its reporter knows better than the list.
    pub fn reported(code: Code, message: &str, retryable: bool) -> Self {
        Self { retryable, ..Self::new(code, message) }
    }

    /// A failure as a container or the provider tells it, each part of which may be missing: a reason that is not on the
    /// list counts as [`Code::RenderFailed`].
    pub fn from_report(code: Option<&str>, message: Option<&str>, retryable: Option<bool>) -> Self {
        let code = code.and_then(Code::parse).unwrap_or(Code::RenderFailed);
        let message = message.filter(|message| !message.is_empty()).unwrap_or(code.sentence());
        Self::reported(code, message, retryable.unwrap_or(code.is_retryable()))
    }

    /// Whether the message keeps its bounds.
    pub fn is_valid(&self) -> bool {
        self.message.len() <= Self::MAX_MESSAGE && !self.message.contains(char::is_control)
    }
}

impl From<Code> for Failure {
    fn from(code: Code) -> Self {
        Self::new(code, code.sentence())
    }
}

/// `text` as one line of at most `limit` bytes: runs of control characters become a space, the end is cut at a character.
pub fn clean(text: &str, limit: usize) -> String {
    let mut line = String::with_capacity(text.len().min(limit));
    for word in text.split(char::is_control).filter(|word| !word.is_empty()) {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
        if line.len() > limit {
            break;
        }
    }
    line.truncate(line.floor_char_boundary(limit));
    line
}
