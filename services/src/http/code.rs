//! What clients branch on: stable words, each with the one status that it comes with.

use axum::http::StatusCode;

/// The kind of a problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "`Code::facts` says what each one means, to clients too")]
pub enum Code {
    BadRequest,
    Unauthorized,
    Forbidden,
    NotFound,
    MethodNotAllowed,
    Timeout,
    Conflict,
    Ended,
    NotEnded,
    AudioGone,
    NotRedrivable,
    ExpiredKey,
    ClaimedElsewhere,
    OutputMissing,
    Over,
    TooLarge,
    UnsupportedMediaType,
    InvalidRequest,
    IdempotencyKeyReused,
    RateLimited,
    HeadTooLarge,
    Internal,
    Overloaded,
    Unavailable,
    Unknown,
    LogUnavailable,
    LogFenced,
    QueueFull,
    Stopping,
    NotReady,
    TryAgain,
}

impl Code {
    /// The word.
    pub fn word(self) -> &'static str {
        self.facts().0
    }

    /// The status that it always comes with.
    pub fn status(self) -> StatusCode {
        StatusCode::from_u16(self.facts().1).expect("these are statuses")
    }

    /// What it means, for the document.
    pub fn meaning(self) -> &'static str {
        self.facts().2
    }

    /// The code for a refusal that the framework made by itself.
    pub(super) fn of_status(status: StatusCode) -> Self {
        match status.as_u16() {
            401 => Self::Unauthorized,
            403 => Self::Forbidden,
            404 => Self::NotFound,
            405 => Self::MethodNotAllowed,
            408 => Self::Timeout,
            413 => Self::TooLarge,
            415 => Self::UnsupportedMediaType,
            429 => Self::RateLimited,
            431 => Self::HeadTooLarge,
            503 => Self::Unavailable,
            500..=599 => Self::Internal,
            _ => Self::BadRequest,
        }
    }

    fn facts(self) -> (&'static str, u16, &'static str) {
        match self {
            Self::BadRequest => ("bad_request", 400, "The request cannot be read."),
            Self::Unauthorized => ("unauthorized", 401, "The Authorization header is missing or holds no valid key."),
            Self::Forbidden => ("forbidden", 403, "The key is valid, but lacks the scope for this."),
            Self::NotFound => ("not_found", 404, "There is no such job or letter, or nothing at this address."),
            Self::MethodNotAllowed => ("method_not_allowed", 405, "The address does not take this method."),
            Self::Timeout => ("timeout", 408, "The body came too slowly."),
            Self::Conflict => ("conflict", 409, "The job is not in a state that allows this."),
            Self::Ended => ("ended", 409, "The job has ended already; `jobStatus` says how."),
            Self::NotEnded => ("not_ended", 409, "The job is still alive; wait for its end, or cancel it."),
            Self::AudioGone => ("audio_gone", 409, "The job's audio is no longer kept; submit it anew."),
            Self::NotRedrivable => {
                ("not_redrivable", 409, "Reading the letter's message again would do nothing; `detail` says why.")
            }
            Self::ExpiredKey => {
                ("expired_key", 409, "The Idempotency-Key is of a job that is no longer kept; use a new key.")
            }
            Self::ClaimedElsewhere => ("claimed_elsewhere", 409, "Another container has this attempt."),
            Self::OutputMissing => ("output_missing", 409, "The video is not in the bucket; upload it again."),
            Self::Over => ("over", 410, "The attempt is over; stop."),
            Self::TooLarge => ("too_large", 413, "The body is longer than allowed."),
            Self::UnsupportedMediaType => {
                ("unsupported_media_type", 415, "The body, or the audio in it, is of no known kind.")
            }
            Self::InvalidRequest => ("invalid_request", 422, "A field breaks its bounds; `errors` names each one."),
            Self::IdempotencyKeyReused => {
                ("idempotency_key_reused", 422, "The Idempotency-Key was used before for another request.")
            }
            Self::RateLimited => ("rate_limited", 429, "Too many requests; wait as long as `Retry-After` says."),
            Self::HeadTooLarge => ("head_too_large", 431, "The headers are longer than allowed."),
            Self::Internal => ("internal", 500, "A defect of kiln; its log says more under the request's id."),
            Self::Overloaded => {
                ("overloaded", 503, "Too many requests of this kind at once; nothing was taken; try again.")
            }
            Self::Unavailable => ("unavailable", 503, "The log or the store does not answer; try again."),
            Self::Unknown => {
                ("unknown", 503, "The request may have been taken; send it again with the same Idempotency-Key.")
            }
            Self::LogUnavailable => {
                ("log_unavailable", 503, "The log cannot be reached; nothing was taken; try again.")
            }
            Self::LogFenced => (
                "log_fenced",
                503,
                "The log is not the one that was written before; nothing was taken; try again later.",
            ),
            Self::QueueFull => {
                ("queue_full", 503, "The log is nearly full; jobs that were accepted go on; try again later.")
            }
            Self::Stopping => ("stopping", 503, "The server is about to stop; nothing was taken; try again."),
            Self::NotReady => ("not_ready", 503, "The role cannot do its work now; `detail` says why."),
            Self::TryAgain => ("try_again", 503, "The callback was not taken; send it again."),
        }
    }
}
