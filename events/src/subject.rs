//! Subjects: spelled here and nowhere else.
//!
//! `render.{job}.{kind}` and, for what belongs to one attempt, `render.{job}.{kind}.{attempt}`.
//! Nothing from a client ever becomes part of one except a parsed [`JobId`].

use std::fmt;

use crate::{Attempt, JobId};

/// Every job's every event: the wake-up hint.
pub const ALL: &str = "render.>";
/// Every request: what workers consume.
pub const ALL_REQUESTED: &str = "render.*.requested";
/// Every progress report.
pub const ALL_PROGRESSED: &str = "render.*.progressed";
/// What the stream `RENDER` holds, one by one.
pub const LOG: [&str; 7] = [
    ALL_REQUESTED,
    "render.*.dispatched.*",
    "render.*.started.*",
    "render.*.attempt_failed.*",
    "render.*.completed",
    "render.*.cancelled",
    "render.*.failed",
];
/// Every dead letter.
pub const ALL_DEAD: &str = "dead.render.>";

/// What an event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A render is wanted.
    Requested,
    /// The provider accepted an attempt.
    Dispatched(Attempt),
    /// A container took an attempt.
    Started(Attempt),
    /// An attempt is over.
    AttemptFailed(Attempt),
    /// The video is there.
    Completed,
    /// Nobody wants it any more.
    Cancelled,
    /// The job is given up.
    Failed,
    /// How far it is.
    Progressed,
}

impl Kind {
    /// The kind's word, without the attempt.
    pub fn name(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Dispatched(_) => "dispatched",
            Self::Started(_) => "started",
            Self::AttemptFailed(_) => "attempt_failed",
            Self::Completed => "completed",
            Self::Cancelled => "cancelled",
            Self::Failed => "failed",
            Self::Progressed => "progressed",
        }
    }

    /// The attempt that is part of the subject.
    pub fn attempt(self) -> Option<Attempt> {
        match self {
            Self::Dispatched(attempt) | Self::Started(attempt) | Self::AttemptFailed(attempt) => Some(attempt),
            Self::Requested | Self::Completed | Self::Cancelled | Self::Failed | Self::Progressed => None,
        }
    }

    fn parse(name: &str, attempt: Option<&str>) -> Option<Self> {
        if let Some(attempt) = attempt {
            let attempt = Attempt::parse(attempt).ok()?;
            return match name {
                "dispatched" => Some(Self::Dispatched(attempt)),
                "started" => Some(Self::Started(attempt)),
                "attempt_failed" => Some(Self::AttemptFailed(attempt)),
                _ => None,
            };
        }
        match name {
            "requested" => Some(Self::Requested),
            "completed" => Some(Self::Completed),
            "cancelled" => Some(Self::Cancelled),
            "failed" => Some(Self::Failed),
            "progressed" => Some(Self::Progressed),
            _ => None,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        self.attempt().map_or(Ok(()), |attempt| write!(f, ".{attempt}"))
    }
}

/// The subject of one fact.
pub fn of(job: JobId, kind: Kind) -> String {
    format!("render.{job}.{kind}")
}

/// All of a job's facts.
pub fn of_job(job: JobId) -> String {
    format!("render.{job}.>")
}

/// Where a message that cannot be obeyed is kept: its own subject below `dead.`.
pub fn dead(subject: &str) -> String {
    format!("dead.{subject}")
}

/// Reads a subject: the job, and the kind if this release knows it. `None` for a subject that is no job's.
pub fn parse(subject: &str) -> Option<(JobId, Option<Kind>)> {
    let mut tokens = subject.split('.');
    if tokens.next() != Some("render") {
        return None;
    }
    let job = JobId::parse(tokens.next()?).ok()?;
    let name = tokens.next()?;
    let attempt = tokens.next();
    let kind = if tokens.next().is_some() { None } else { Kind::parse(name, attempt) };
    Some((job, kind))
}
