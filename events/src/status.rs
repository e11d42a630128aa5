//! A job as people see it. Nothing here is stored: it is all derived from the facts.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::job::{End, Job};
use crate::{Attempt, Timestamp, WaitingFor};

/// Where a job stands. Each says who moves it on, and what happens if that one dies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// In the queue. A worker dispatches it; another one takes over if that one dies.
    #[default]
    Pending,
    /// With the GPU provider. A container completes it; if it falls silent, the worker finds out and tries again.
    Processing,
    /// The video is there. Final.
    Complete,
    /// There will be no video. Final.
    Failed,
    /// Nobody wants it any more. Final.
    Cancelled,
}

impl Status {
    /// Every status.
    pub const ALL: [Self; 5] = [Self::Pending, Self::Processing, Self::Complete, Self::Failed, Self::Cancelled];

    /// Whether nothing can change it any more.
    pub fn is_final(self) -> bool {
        match self {
            Self::Pending | Self::Processing => false,
            Self::Complete | Self::Failed | Self::Cancelled => true,
        }
    }

    /// Its word on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Processing => "processing",
            Self::Complete => "complete",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What the worker does before the provider has the job, in order, with the progress that each stands for.
pub mod stage {
    /// The audio is looked for.
    pub const RESOLVING_AUDIO: (&str, u8) = ("resolving-audio", 5);
    /// The audio is stored in the bucket.
    pub const UPLOADING_AUDIO: (&str, u8) = ("uploading-audio", 10);
    /// The audio's address is signed.
    pub const GENERATING_URL: (&str, u8) = ("generating-url", 15);
    /// The provider is asked to take the job.
    pub const DISPATCHING: (&str, u8) = ("dispatching", 20);
    /// The provider has the job.
    pub const DISPATCHED: (&str, u8) = ("dispatched-to-modal", 30);
    /// A container has claimed the attempt.
    pub const STARTING: (&str, u8) = ("starting", 30);

    /// Whether a stage belongs to the time before the provider had the job.
    pub(super) fn is_before_dispatch(stage: &str) -> bool {
        [RESOLVING_AUDIO, UPLOADING_AUDIO, GENERATING_URL, DISPATCHING].iter().any(|(name, _)| *name == stage)
    }
}

/// How far the current attempt is with the provider.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Waiting,
    Dispatched,
    Started,
}

impl Job {
    /// Where the job stands.
    pub fn status(&self) -> Status {
        match self.ended.as_ref().map(|end| &end.value) {
            Some(End::Completed(_)) => Status::Complete,
            Some(End::Cancelled(_)) => Status::Cancelled,
            Some(End::Failed(_) | End::Corrupt) => Status::Failed,
            None if self.first_dispatch().is_some() => Status::Processing,
            None => Status::Pending,
        }
    }

    /// The attempt that people are told of: the one that completed, else the newest one that is not over, else the last.
    /// A report of a newer attempt may be known before the facts that led to it; it counts here, and decides nothing.
    pub fn shown_attempt(&self) -> Attempt {
        match (self.completed(), &self.ended) {
            (Some(completed), _) => completed.attempt,
            (None, Some(_)) => self.attempts.keys().next_back().copied().unwrap_or(Attempt::FIRST),
            (None, None) => {
                let reported = self.progress.as_ref().map(|progress| progress.latest.value.attempt);
                self.current_attempt().max(reported.unwrap_or(Attempt::FIRST))
            }
        }
    }

    /// From 0 to 100. It never falls within an attempt; 100 means complete.
    pub fn percent(&self) -> u8 {
        if self.status() == Status::Complete {
            return 100;
        }
        let n = self.shown_attempt();
        let reported = self.progress_of(n).map_or(0, |progress| progress.percent.min(99));
        let floor = if self.phase(n) == Phase::Waiting { 0 } else { stage::DISPATCHED.1 };
        reported.max(floor)
    }

    /// What is being done, in a word; `None` while the job only waits in the queue, and after its end.
    pub fn stage(&self) -> Option<&str> {
        if self.ended.is_some() {
            return None;
        }
        let n = self.shown_attempt();
        let reported = self.progress_of(n).and_then(|progress| progress.latest.value.stage.as_deref());
        if self.phase(n) == Phase::Waiting {
            return reported;
        }
        reported.filter(|name| !stage::is_before_dispatch(name)).or(Some(stage::DISPATCHED.0))
    }

    /// What the job waits for; `None` after its end, and while a worker does something about it that takes a while. A
    /// report counts only where it still can be true.
    pub fn waiting_for(&self) -> Option<WaitingFor> {
        use WaitingFor::{Container, Modal, Reconcile, Render, Retry, Slot};
        if self.ended.is_some() {
            return None;
        }
        let n = self.shown_attempt();
        let latest = self.progress_of(n).map(|progress| &progress.latest);
        let (reported, doing) =
            latest.map_or((None, None), |latest| (latest.value.waiting_for, latest.value.stage.as_deref()));
        let is_newest = latest.is_some_and(|latest| self.last_fact(n).is_none_or(|fact| fact <= latest.time));
        Some(match (self.phase(n), reported, doing) {
            (Phase::Waiting, Some(reported @ (Slot | Modal | Retry | Reconcile)), _) => reported,
            (Phase::Waiting, None, Some(name)) if name == stage::DISPATCHING.0 => Modal,
            (Phase::Waiting, None, Some(name)) if stage::is_before_dispatch(name) => return None,
            (Phase::Waiting, ..) if n == Attempt::FIRST => Slot,
            (Phase::Waiting, ..) => Retry,
            (Phase::Dispatched | Phase::Started, Some(reported @ (Modal | Reconcile)), _) if is_newest => reported,
            (Phase::Dispatched, ..) => Container,
            (Phase::Started, ..) => Render,
        })
    }

    /// When the worker looks again at the latest, where it said so and still waits for the same.
    pub fn until(&self) -> Option<Timestamp> {
        let report = &self.progress_of(self.shown_attempt())?.latest.value;
        report.until.filter(|_| report.waiting_for.is_some() && report.waiting_for == self.waiting_for())
    }

    /// When the last thing that is known for sure of an attempt happened.
    fn last_fact(&self, n: Attempt) -> Option<Timestamp> {
        let facts = self.facts(n)?;
        let accepted = facts.dispatched.as_ref().map(|fact| fact.time);
        accepted.max(facts.started.as_ref().map(|fact| fact.time))
    }

    fn phase(&self, n: Attempt) -> Phase {
        match self.facts(n) {
            Some(facts) if facts.started.is_some() => Phase::Started,
            Some(facts) if facts.dispatched.is_some() => Phase::Dispatched,
            _ => Phase::Waiting,
        }
    }

    /// What was reported of exactly this attempt.
    pub fn progress_of(&self, n: Attempt) -> Option<&crate::job::Progress> {
        self.progress.as_ref().filter(|progress| progress.latest.value.attempt == n)
    }
}

/// What the KV bucket holds for a job: its facts, with what people look for in front. It can be thrown away and made again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// Where the job stands.
    #[serde(default)]
    pub status: Status,
    /// From 0 to 100.
    #[serde(default)]
    pub progress: u8,
    /// What is being done.
    #[serde(default)]
    pub stage: Option<String>,
    /// Which attempt.
    #[serde(default = "first")]
    pub attempt: Attempt,
    /// What it waits for.
    #[serde(default)]
    pub waiting_for: Option<WaitingFor>,
    /// When the worker looks again.
    #[serde(default)]
    pub until: Option<Timestamp>,
    /// The facts; everything above is derived from them.
    pub job: Job,
}

fn first() -> Attempt {
    Attempt::FIRST
}

impl From<Job> for Entry {
    fn from(job: Job) -> Self {
        Self {
            status: job.status(),
            progress: job.percent(),
            stage: job.stage().map(str::to_owned),
            attempt: job.shown_attempt(),
            waiting_for: job.waiting_for(),
            until: job.until(),
            job,
        }
    }
}
