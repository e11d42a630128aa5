//! A worker's short memory of one job. It may be lost at any time; that costs one repeated, harmless request.

use std::collections::BTreeMap;

use crate::event::{Dispatched, Output};
use crate::{Attempt, Failure, Job, JobId, Timestamp};

/// What this worker did and heard, beyond what the log says.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Seen {
    /// Whether no other worker can have had this job before.
    pub is_first: bool,
    /// Spreads the retries of different jobs; from the job's id, so that it is the same for every worker.
    pub jitter: u64,
    /// What came of the submits, by attempt.
    pub submits: BTreeMap<Attempt, Submit>,
    /// The provider's last answer about a call.
    pub answer: Option<Answer>,
    /// The last look at the output.
    pub look: Option<Look>,
    /// What came of stopping, by attempt.
    pub stops: BTreeMap<Attempt, Stop>,
    /// The last sign of life that this worker heard itself.
    pub heard: Option<(Attempt, Timestamp)>,
    /// While the provider is set up wrongly: when to try again.
    pub circuit_until: Option<Timestamp>,
    /// The log refused a fact that it does not hold: something unreadable stands in its place.
    pub is_unwritable: bool,
}

/// What came of submitting an attempt.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Submit {
    /// When it was first sent.
    pub first_at: Timestamp,
    /// When the last answer came, or was given up.
    pub at: Timestamp,
    /// How often it was sent.
    pub tries: u32,
    /// Whether one of them may have been accepted without our hearing of it.
    pub is_doubtful: bool,
    /// The last answer.
    pub outcome: SubmitOutcome,
}

/// The five outcomes of a submit.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum SubmitOutcome {
    /// The provider has it.
    Accepted(Dispatched),
    /// It will never take it.
    Refused(Failure),
    /// It will take it later; no attempt is spent.
    RetryAfter(Timestamp),
    /// Our own address or keys are wrong; no job is to blame.
    Misconfigured,
    /// It may or may not have it: to be sent again under the same key.
    Unknown,
}

/// What the provider said of a call.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Answer {
    /// The attempt whose call it was.
    pub attempt: Attempt,
    /// The call. Another one of the attempt may turn out to be the one that counts.
    pub call: String,
    /// When it answered.
    pub at: Timestamp,
    /// How often in a row it said so, since the last sign of life.
    pub asks: u32,
    /// What it said.
    pub report: CallReport,
}

/// A call's state, as the provider tells it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum CallReport {
    /// Queued or running; the provider cannot tell which.
    Running,
    /// It says that it left a video.
    Completed,
    /// It ended without one.
    Failed(Failure),
    /// It left the attempt to another call, or found it over. No failure.
    Superseded,
    /// Somebody stopped it.
    Cancelled,
    /// The provider does not know it (any more).
    Lost,
    /// The provider did not answer.
    Unreachable,
}

impl SubmitOutcome {
    /// In a word, for counting.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Accepted(_) => "accepted",
            Self::Refused(_) => "refused",
            Self::RetryAfter(_) => "retry_after",
            Self::Misconfigured => "misconfigured",
            Self::Unknown => "unknown",
        }
    }
}

impl CallReport {
    /// In a word, for counting.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Failed(_) => "failed",
            Self::Superseded => "superseded",
            Self::Cancelled => "cancelled",
            Self::Lost => "lost",
            Self::Unreachable => "unreachable",
        }
    }

    /// Whether the call is over for good, whatever is heard of it later.
    pub fn is_final(&self) -> bool {
        match self {
            Self::Completed | Self::Failed(_) | Self::Cancelled => true,
            Self::Running | Self::Superseded | Self::Lost | Self::Unreachable => false,
        }
    }
}

/// A look at the bucket.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Look {
    /// Whose output was looked for.
    pub attempt: Attempt,
    /// When.
    pub at: Timestamp,
    /// How often in a row the bucket did not answer.
    pub tries: u32,
    /// The video; nothing; or no answer.
    pub found: Option<Option<Output>>,
}

/// An attempt to stop an attempt.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Stop {
    /// When it was last tried.
    pub at: Timestamp,
    /// How often.
    pub tries: u32,
    /// The calls that were named. A call that became known later was not stopped.
    pub calls: Vec<String>,
    /// Whether the provider confirmed that none of them runs.
    pub is_confirmed: bool,
}

impl Seen {
    /// The memory of a worker that just took the job. `is_first`: it is the message's first delivery.
    pub fn new(job: JobId, is_first: bool) -> Self {
        let [.., a, b, c, d] = *job.as_bytes();
        Self {
            is_first,
            jitter: u32::from_be_bytes([a, b, c, d]).into(),
            submits: BTreeMap::new(),
            answer: None,
            look: None,
            stops: BTreeMap::new(),
            heard: None,
            circuit_until: None,
            is_unwritable: false,
        }
    }

    /// Notes the outcome of a submit.
    pub fn submitted(&mut self, n: Attempt, at: Timestamp, outcome: SubmitOutcome) {
        let before = self.submits.remove(&n);
        let was_unknown = before.as_ref().is_some_and(|submit| submit.is_doubtful);
        self.submits.insert(
            n,
            Submit {
                first_at: before.as_ref().map_or(at, |submit| submit.first_at),
                at,
                tries: before.map_or(0, |submit| submit.tries).saturating_add(1),
                is_doubtful: was_unknown || outcome == SubmitOutcome::Unknown,
                outcome,
            },
        );
    }

    /// Notes the provider's answer about a call. Only equal answers since the attempt's last sign of life are counted
    /// together: a call that was seen running and is unknown once is not lost yet.
    pub fn answered(&mut self, job: &Job, n: Attempt, call: String, at: Timestamp, report: CallReport) {
        let sign = self.last_sign(job, n);
        let is_again = |before: &&Answer| {
            before.attempt == n
                && sign.is_none_or(|sign| sign <= before.at)
                && std::mem::discriminant(&before.report) == std::mem::discriminant(&report)
        };
        let asks = self.answer.as_ref().filter(is_again).map_or(0, |answer| answer.asks).saturating_add(1);
        self.answer = Some(Answer { attempt: n, call, at, asks, report });
    }

    /// The newest sign of life of an attempt. What a worker reports has a `waitingFor` and is none.
    pub fn last_sign(&self, job: &Job, n: Attempt) -> Option<Timestamp> {
        let facts = job.facts(n);
        let accepted = facts.and_then(|facts| facts.dispatched.as_ref()).map(|fact| fact.time);
        let claimed = facts.and_then(|facts| facts.started.as_ref()).map(|fact| fact.time);
        let reported = job.progress_of(n).map(|progress| &progress.latest);
        let reported = reported.filter(|latest| latest.value.waiting_for.is_none()).map(|latest| latest.time);
        let heard = self.heard.filter(|(of, _)| *of == n).map(|(_, at)| at);
        [accepted, claimed, reported, heard].into_iter().flatten().max()
    }

    /// Notes a look at the output; `None` means that the bucket did not answer.
    pub fn looked(&mut self, n: Attempt, at: Timestamp, found: Option<Option<Output>>) {
        let before = self.look.as_ref().filter(|look| look.attempt == n && look.found.is_none());
        let tries = before.map_or(0, |look| look.tries).saturating_add(1);
        self.look = Some(Look { attempt: n, at, tries, found });
    }

    /// Notes an attempt to stop these calls, as [`crate::Step::Stop`] named them.
    pub fn stopped(&mut self, n: Attempt, at: Timestamp, calls: Vec<String>, is_confirmed: bool) {
        let tries = self.stops.get(&n).map_or(0, |stop| stop.tries).saturating_add(1);
        self.stops.insert(n, Stop { at, tries, calls, is_confirmed });
    }

    /// Every call of an attempt that is known: to the log, or to this worker alone.
    pub fn calls(&self, job: &Job, n: Attempt) -> Vec<String> {
        let mut calls = job.calls(n);
        if let Some(SubmitOutcome::Accepted(Dispatched { call_id, .. })) =
            self.submits.get(&n).map(|submit| &submit.outcome)
            && !calls.contains(call_id)
        {
            calls.push(call_id.clone());
        }
        calls
    }

    /// Whether an earlier submit of this attempt may have been accepted without our hearing of it.
    pub fn is_doubtful(&self, n: Attempt) -> bool {
        !self.is_first || self.submits.get(&n).is_some_and(|submit| submit.is_doubtful)
    }

    /// Whether the provider may have a call of this attempt that the log does not know.
    pub fn may_have_submitted(&self, n: Attempt) -> bool {
        self.is_doubtful(n)
            || self.submits.get(&n).is_some_and(|submit| matches!(submit.outcome, SubmitOutcome::Accepted(_)))
    }
}
