//! A job is the join of its recorded facts.
//!
//! Every part of [`Job`] is a register that only ever moves one way: a fact's slot keeps the recording with the
//! lowest sequence, a maximum keeps the greatest. So [`Job::absorb`] is commutative, associative, idempotent and total,
//! and any order, any repetition and any subset-then-rest of the same messages give the same job.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::event::{AttemptFailed, Cancelled, Completed, Dispatched, Failed, Progressed, Requested, Started};
use crate::subject::Kind;
use crate::{Attempt, Code, Event, Failure, Recorded, Spec, Timestamp};

/// Everything that is known of one job. `Job::default()` is the job that nobody asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Job {
    /// Highest sequence in the log that was absorbed: the job's version.
    pub seq: u64,
    /// Newest server time that was absorbed, progress included.
    pub updated_at: Timestamp,
    /// The request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requested: Option<Fact<Request>>,
    /// What happened in each attempt.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub attempts: BTreeMap<Attempt, AttemptFacts>,
    /// The end: the terminal event with the lowest sequence. Final is final.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended: Option<Fact<End>>,
    /// What was last reported.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
}

/// A recorded value. Of two recordings in one slot the one with the lower sequence stays.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Fact<T> {
    /// Its sequence in the log.
    pub seq: u64,
    /// When the server stored it.
    pub time: Timestamp,
    /// What it says.
    pub value: T,
}

/// What the request's slot holds.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Request {
    /// A request that can be obeyed.
    Valid(Spec),
    /// Something unreadable, with the reason; it ends as `failed`, `invalid_request`.
    Invalid(String),
}

/// The facts of one attempt.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct AttemptFacts {
    /// The provider accepted it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dispatched: Option<Fact<Dispatched>>,
    /// A container claimed it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started: Option<Fact<Started>>,
    /// It is over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed: Option<Fact<AttemptFailed>>,
}

/// How a job ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum End {
    /// With a video.
    Completed(Completed),
    /// By a person, or by its own expiry.
    Cancelled(Cancelled),
    /// Without a video.
    Failed(Failed),
    /// With something unreadable in the place of an end: for people `failed`, `log_corrupt`.
    Corrupt,
}

/// What was reported of the newest attempt that anything was reported of.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Progress {
    /// The highest percentage of this attempt.
    pub percent: u8,
    /// The newest report of this attempt.
    pub latest: Fact<Progressed>,
    /// The newest container task that reported in this attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<Fact<String>>,
}

impl Job {
    /// Joins one recorded event into the job.
    pub fn absorb(&mut self, recorded: &Recorded) {
        let Recorded { seq, time, event } = recorded;
        self.updated_at = self.updated_at.max(*time);
        if !matches!(event, Event::Progressed(_) | Event::Corrupt(Kind::Progressed, _)) {
            self.seq = self.seq.max(*seq);
        }
        match event {
            Event::Requested(Requested { spec }) => {
                keep_first(&mut self.requested, recorded, || Request::Valid(spec.clone()));
            }
            Event::Dispatched(n, fact) => {
                keep_first(&mut self.attempt(*n).dispatched, recorded, || fact.clone());
            }
            Event::Started(n, fact) => {
                keep_first(&mut self.attempt(*n).started, recorded, || fact.clone());
            }
            Event::AttemptFailed(n, fact) => {
                keep_first(&mut self.attempt(*n).failed, recorded, || fact.clone());
            }
            Event::Completed(fact) => {
                keep_first(&mut self.ended, recorded, || End::Completed(fact.clone()));
            }
            Event::Cancelled(fact) => {
                keep_first(&mut self.ended, recorded, || End::Cancelled(fact.clone()));
            }
            Event::Failed(fact) => {
                keep_first(&mut self.ended, recorded, || End::Failed(fact.clone()));
            }
            Event::Progressed(report) => self.report(&Fact { seq: *seq, time: *time, value: report.clone() }),
            Event::Corrupt(kind, reason) => self.absorb_corrupt(*kind, reason, recorded),
            Event::Unknown => {}
        }
    }

    /// Garbage has no effect, except in the two places where nothing else can ever be written.
    fn absorb_corrupt(&mut self, kind: Kind, reason: &str, recorded: &Recorded) {
        match kind {
            Kind::Requested => {
                keep_first(&mut self.requested, recorded, || Request::Invalid(reason.to_owned()));
            }
            Kind::Completed | Kind::Cancelled | Kind::Failed => {
                keep_first(&mut self.ended, recorded, || End::Corrupt);
            }
            Kind::Dispatched(_) | Kind::Started(_) | Kind::AttemptFailed(_) | Kind::Progressed => {}
        }
    }

    /// Joins everything that another view of the same job knows.
    pub fn join(&mut self, other: &Self) {
        self.seq = self.seq.max(other.seq);
        self.updated_at = self.updated_at.max(other.updated_at);
        keep_lower(&mut self.requested, other.requested.as_ref());
        keep_lower(&mut self.ended, other.ended.as_ref());
        for (n, facts) in &other.attempts {
            let mine = self.attempt(*n);
            keep_lower(&mut mine.dispatched, facts.dispatched.as_ref());
            keep_lower(&mut mine.started, facts.started.as_ref());
            keep_lower(&mut mine.failed, facts.failed.as_ref());
        }
        if let Some(progress) = &other.progress {
            self.join_progress(progress.clone());
        }
    }

    fn attempt(&mut self, n: Attempt) -> &mut AttemptFacts {
        self.attempts.entry(n).or_default()
    }

    fn report(&mut self, report: &Fact<Progressed>) {
        let task = report.value.task_id.clone();
        self.join_progress(Progress {
            percent: report.value.progress,
            task: task.map(|value| Fact { seq: report.seq, time: report.time, value }),
            latest: report.clone(),
        });
    }

    /// Reports of a newer attempt replace those of an older one; within an attempt the percentage only grows and the
    /// newest report counts. Newest by time first: the stream of reports may be made anew, with sequences from 1.
    fn join_progress(&mut self, other: Progress) {
        let Some(mine) = &mut self.progress else {
            self.progress = Some(other);
            return;
        };
        match mine.latest.value.attempt.cmp(&other.latest.value.attempt) {
            std::cmp::Ordering::Less => *mine = other,
            std::cmp::Ordering::Greater => {}
            std::cmp::Ordering::Equal => {
                mine.percent = mine.percent.max(other.percent);
                keep_newest(&mut mine.latest, other.latest);
                match (&mut mine.task, other.task) {
                    (Some(mine), Some(other)) => keep_newest(mine, other),
                    (mine @ None, other) => *mine = other,
                    (Some(_), None) => {}
                }
            }
        }
    }
}

/// What the rest of the crate, and people, ask of a job.
impl Job {
    /// The request, if it is in the log and can be obeyed.
    pub fn spec(&self) -> Option<&Spec> {
        match &self.requested.as_ref()?.value {
            Request::Valid(spec) => Some(spec),
            Request::Invalid(_) => None,
        }
    }

    /// The attempt that is under way or comes next: one more than the last one that failed, never below one that began.
    pub fn current_attempt(&self) -> Attempt {
        self.attempts.iter().fold(Attempt::FIRST, |current, (n, facts)| {
            let reached = if facts.failed.is_some() { n.next() } else { *n };
            if facts.is_empty() { current } else { current.max(reached) }
        })
    }

    /// The facts of one attempt, if there are any.
    pub fn facts(&self, n: Attempt) -> Option<&AttemptFacts> {
        self.attempts.get(&n)
    }

    /// When the provider first accepted this job, or a container first claimed it: the total deadline counts from here.
    pub fn first_dispatch(&self) -> Option<Timestamp> {
        self.attempts.values().filter_map(AttemptFacts::began_at).min()
    }

    /// The failure of the newest failed attempt.
    pub fn last_failure(&self) -> Option<&Fact<AttemptFailed>> {
        self.attempts.values().rev().find_map(|facts| facts.failed.as_ref())
    }

    /// Why the job failed, if it did.
    pub fn failure(&self) -> Option<Failure> {
        match &self.ended.as_ref()?.value {
            End::Failed(failed) => Some(failed.failure.clone()),
            End::Corrupt => Some(Code::LogCorrupt.into()),
            End::Completed(_) | End::Cancelled(_) => None,
        }
    }

    /// The video, if there is one.
    pub fn completed(&self) -> Option<&Completed> {
        match &self.ended.as_ref()?.value {
            End::Completed(completed) => Some(completed),
            End::Cancelled(_) | End::Failed(_) | End::Corrupt => None,
        }
    }

    /// The calls that the provider is known to have made for an attempt, the one that claimed first.
    pub fn calls(&self, n: Attempt) -> Vec<String> {
        let Some(facts) = self.facts(n) else { return Vec::new() };
        let claimed = facts.started.as_ref().map(|fact| &fact.value.call_id);
        let accepted = facts.dispatched.as_ref().map(|fact| &fact.value.call_id);
        let mut calls: Vec<String> = claimed.into_iter().chain(accepted).cloned().collect();
        calls.dedup();
        calls
    }
}

impl AttemptFacts {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// When it was first known to be with the provider.
    pub fn began_at(&self) -> Option<Timestamp> {
        let accepted = self.dispatched.as_ref().map(|fact| fact.time);
        let claimed = self.started.as_ref().map(|fact| fact.time);
        accepted.into_iter().chain(claimed).min()
    }
}

fn keep_first<T>(slot: &mut Option<Fact<T>>, recorded: &Recorded, value: impl FnOnce() -> T) {
    if slot.as_ref().is_none_or(|kept| recorded.seq < kept.seq) {
        *slot = Some(Fact { seq: recorded.seq, time: recorded.time, value: value() });
    }
}

fn keep_lower<T: Clone>(slot: &mut Option<Fact<T>>, other: Option<&Fact<T>>) {
    if let Some(other) = other
        && slot.as_ref().is_none_or(|kept| other.seq < kept.seq)
    {
        *slot = Some(other.clone());
    }
}

fn keep_newest<T>(mine: &mut Fact<T>, other: Fact<T>) {
    if (mine.time, mine.seq) < (other.time, other.seq) {
        *mine = other;
    }
}
