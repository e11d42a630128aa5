//! What a worker does next for a job. All judgement is here; the worker only performs.

use std::time::Duration;

use crate::event::Dispatched;
use crate::job::{AttemptFacts, Request};
use crate::policy::Policy;
use crate::seen::{Answer, CallReport, Seen, Submit, SubmitOutcome};
use crate::{Attempt, Code, Command, Failure, Job, Spec, Timestamp, WaitingFor};

/// One thing to do. After each, the worker loads what is new and asks again.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// Ask the provider to take this attempt.
    Dispatch(Attempt),
    /// Append what follows from the facts, if nothing newer speaks against it.
    Record(Command),
    /// Ask the provider what became of this attempt's call.
    Ask(Attempt, String),
    /// Look whether this attempt's video is in the bucket.
    Look(Attempt),
    /// Stop every call of this attempt that the provider holds, and these in any case.
    Stop(Attempt, Vec<String>),
    /// Nothing to do until then, or until there is news.
    Wait {
        /// When to ask again at the latest.
        until: Timestamp,
        /// What to tell people.
        waiting_for: WaitingFor,
    },
    /// The job has ended and nothing of it runs: let go of it.
    Done,
}

/// The next step for a job, from its facts, the worker's short memory, and the time.
pub fn next_step(job: &Job, seen: &Seen, now: Timestamp, policy: &Policy) -> Step {
    let Some(request) = &job.requested else {
        return Step::Done;
    };
    let spec = match &request.value {
        _ if job.ended.is_some() => return after_end(job, seen, now, policy),
        Request::Invalid(reason) => {
            return Step::Record(Command::Fail(Failure::new(Code::InvalidRequest, reason)));
        }
        Request::Valid(spec) => spec,
    };
    Situation { job, spec, seen, now, policy, n: job.current_attempt() }.next()
}

/// Nothing of an ended job may go on running, except the attempt that delivered.
fn after_end(job: &Job, seen: &Seen, now: Timestamp, policy: &Policy) -> Step {
    let known = job.attempts.keys().copied().chain(seen.submits.keys().copied());
    known
        .chain([job.current_attempt()])
        .filter(|n| may_run(job, seen, *n))
        .find_map(|n| stop(job, seen, n, now, policy))
        .unwrap_or(Step::Done)
}

/// Whether a call of this attempt may still be alive. An attempt that is recorded as failed is not: its container said so,
/// or it was stopped first. A worker that is not a job's first one cannot know what the one before it had just submitted.
fn may_run(job: &Job, seen: &Seen, n: Attempt) -> bool {
    if job.spec().is_none() || job.completed().is_some_and(|completed| completed.attempt == n) {
        return false;
    }
    match job.facts(n) {
        Some(facts) if facts.failed.is_some() => false,
        Some(facts) if facts.began_at().is_some() => true,
        _ => seen.may_have_submitted(n),
    }
}

/// The step that stops an attempt; `None` once the provider has confirmed it for every call that is known by now. A call
/// of a spawner that died is known only when it claims, and that may be after the attempt was stopped.
fn stop(job: &Job, seen: &Seen, n: Attempt, now: Timestamp, policy: &Policy) -> Option<Step> {
    let calls = seen.calls(job, n);
    let Some(tried) = seen.stops.get(&n).filter(|tried| calls.iter().all(|call| tried.calls.contains(call))) else {
        return Some(Step::Stop(n, calls));
    };
    if tried.is_confirmed {
        return None;
    }
    let until = tried.at + policy.pause(tried.tries);
    Some(if now < until { Step::Wait { until, waiting_for: WaitingFor::Modal } } else { Step::Stop(n, calls) })
}

/// A live job with a readable request, seen at one moment.
struct Situation<'a> {
    job: &'a Job,
    spec: &'a Spec,
    seen: &'a Seen,
    now: Timestamp,
    policy: &'a Policy,
    n: Attempt,
}

impl Situation<'_> {
    fn next(&self) -> Step {
        if self.seen.is_unwritable {
            return self.give_up(Code::LogCorrupt.into());
        }
        if let Some(failure) = self.spent() {
            return Step::Record(Command::Fail(failure));
        }
        if self.deadline().is_some_and(|deadline| deadline <= self.now) {
            return self.past_deadline();
        }
        match self.job.facts(self.n) {
            Some(facts) if facts.began_at().is_some() => self.watch(facts),
            _ => self.before_dispatch(),
        }
    }

    /// The failure to end with, if there is no further attempt to be had.
    fn spent(&self) -> Option<Failure> {
        let failure = &self.job.last_failure()?.value.failure;
        let is_over = self.job.facts(self.n).is_none_or(|facts| facts.began_at().is_none() || facts.failed.is_some());
        let is_last = self.n.get() > self.spec.max_attempts || !failure.retryable || self.n.get() == Attempt::MAX;
        (is_over && is_last).then(|| failure.clone())
    }

    /// The total deadline counts from the first dispatch.
    fn deadline(&self) -> Option<Timestamp> {
        let total = Duration::from_secs(self.spec.deadline_seconds.into());
        self.job.first_dispatch().map(|first| first + total)
    }

    /// The last word: a video that is there counts, whatever runs is stopped, and the job fails.
    fn past_deadline(&self) -> Step {
        let deadline = self.deadline().unwrap_or(self.now);
        self.look_since(deadline, |situation| situation.give_up(Code::DeadlineExceeded.into()))
    }

    /// Stops what may run, then fails the job.
    fn give_up(&self, failure: Failure) -> Step {
        self.stopped_then(Command::Fail(failure))
    }

    fn stopped_then(&self, command: Command) -> Step {
        let running = if may_run(self.job, self.seen, self.n) {
            stop(self.job, self.seen, self.n, self.now, self.policy)
        } else {
            None
        };
        running.unwrap_or(Step::Record(command))
    }

    /// Waiting, at most until the deadline; one that is past cuts nothing short any more.
    fn wait(&self, until: Timestamp, waiting_for: WaitingFor) -> Step {
        let deadline = self.deadline().filter(|deadline| self.now < *deadline);
        Step::Wait { until: deadline.map_or(until, |deadline| until.min(deadline)), waiting_for }
    }

    /// `step` once `until` has come, and waiting before.
    fn at(&self, until: Timestamp, waiting_for: WaitingFor, step: Step) -> Step {
        if self.now < until { self.wait(until, waiting_for) } else { step }
    }

    fn before_dispatch(&self) -> Step {
        let is_untouched = self.job.first_dispatch().is_none();
        if is_untouched && self.spec.expires_at.is_some_and(|expiry| expiry <= self.now) {
            return Step::Record(Command::Cancel("the request expired before it was dispatched".into()));
        }
        if let Some(failed) = self.job.last_failure() {
            let until = failed.time + self.policy.backoff(self.seen.jitter, self.n);
            if self.now < until {
                return self.wait(until, WaitingFor::Retry);
            }
        }
        match self.seen.submits.get(&self.n) {
            None => self.dispatch_at(self.now),
            Some(submit) => self.after_submit(submit),
        }
    }

    /// Dispatches then, unless the circuit is open.
    fn dispatch_at(&self, moment: Timestamp) -> Step {
        let until = self.seen.circuit_until.map_or(moment, |open| open.max(moment));
        let step = self.at(until, WaitingFor::Modal, Step::Dispatch(self.n));
        match (step, self.spec.expires_at, self.job.first_dispatch()) {
            (Step::Wait { until, waiting_for }, Some(expiry), None) => {
                Step::Wait { until: until.min(expiry), waiting_for }
            }
            (step, _, _) => step,
        }
    }

    fn after_submit(&self, submit: &Submit) -> Step {
        let pause = submit.at + self.policy.pause(submit.tries);
        match &submit.outcome {
            SubmitOutcome::Accepted(dispatched) => {
                Step::Record(Command::Dispatch(self.n, Dispatched::clone(dispatched)))
            }
            SubmitOutcome::RetryAfter(moment) => self.dispatch_at(pause.max(*moment)),
            SubmitOutcome::Misconfigured | SubmitOutcome::Unknown => self.dispatch_at(pause),
            SubmitOutcome::Refused(failure) => self.after_refusal(submit, failure),
        }
    }

    /// A refusal is final, unless an earlier submit of this attempt may have been accepted: then its container has until
    /// the start deadline to claim, and only when it did not, and left no video, and is stopped, the job fails.
    fn after_refusal(&self, submit: &Submit, failure: &Failure) -> Step {
        if !self.seen.is_doubtful(self.n) {
            return Step::Record(Command::Fail(failure.clone()));
        }
        let until = submit.first_at + self.policy.start;
        if self.now < until {
            return self.wait(until, WaitingFor::Reconcile);
        }
        self.look_since(until, |situation| situation.give_up(failure.clone()))
    }

    /// The provider has the attempt. While there are signs of life, wait; after a silence, find out.
    fn watch(&self, facts: &AttemptFacts) -> Step {
        let sign = self.seen.last_sign(self.job, self.n).unwrap_or(self.now);
        let (deadline, waiting_for) = if facts.started.is_some() {
            (self.policy.silence, WaitingFor::Render)
        } else {
            (self.policy.start, WaitingFor::Container)
        };
        let silent_at = sign + deadline;
        let answer = self.seen.answer.as_ref().filter(|answer| answer.attempt == self.n && answer.at >= sign);
        if self.now < silent_at {
            return match answer {
                Some(answer) if self.is_last_word(answer) => self.after_answer(answer, waiting_for),
                None if self.is_taken_over() => self.ask(),
                _ => self.wait(silent_at, waiting_for),
            };
        }
        match answer.filter(|answer| answer.at >= silent_at) {
            None => self.ask(),
            Some(answer) => self.after_answer(answer, waiting_for),
        }
    }

    /// Whether the call that counts has ended. What was said of another one, before that one claimed, tells nothing.
    fn is_last_word(&self, answer: &Answer) -> bool {
        answer.report.is_final() && self.job.calls(self.n).first() == Some(&answer.call)
    }

    /// Whether another worker had the job before, and this one has neither asked nor heard anything since: the end may
    /// have been told to nobody in between.
    fn is_taken_over(&self) -> bool {
        !self.seen.is_first && self.seen.answer.is_none() && self.seen.heard.is_none_or(|(of, _)| of != self.n)
    }

    /// The call that claimed is asked about if there is one, else the one that was accepted.
    fn ask(&self) -> Step {
        match self.job.calls(self.n).into_iter().next() {
            Some(call) => Step::Ask(self.n, call),
            None => self.give_up(Code::Internal.into()),
        }
    }

    fn ask_again(&self, answer: &Answer, waiting_for: WaitingFor) -> Step {
        let until = answer.at + self.policy.patience(answer.asks);
        if self.now < until { self.wait(until, waiting_for) } else { self.ask() }
    }

    fn after_answer(&self, answer: &Answer, waiting_for: WaitingFor) -> Step {
        use CallReport::{Cancelled, Completed, Failed, Lost, Running, Superseded, Unreachable};
        match &answer.report {
            Running => self.ask_again(answer, waiting_for),
            Unreachable => self.ask_again(answer, WaitingFor::Reconcile),
            Completed => self.ended_as(answer, Code::OutputMissing.into()),
            Cancelled => self.ended_as(answer, Code::CallCancelled.into()),
            Failed(failure) => self.ended_as(answer, failure.clone()),
            Lost | Superseded => self.look_since(answer.at, |situation| situation.lost(answer)),
        }
    }

    /// The call is over: with a video if there is one in the bucket, else with this failure.
    fn ended_as(&self, answer: &Answer, failure: Failure) -> Step {
        self.look_since(answer.at, |situation| Step::Record(Command::FailAttempt(situation.n, failure)))
    }

    /// Unknown is not dead: only an attempt that stays lost, leaves no video and is stopped counts as failed.
    fn lost(&self, answer: &Answer) -> Step {
        if answer.asks < self.policy.asks_until_lost {
            return self.ask_again(answer, WaitingFor::Reconcile);
        }
        self.stopped_then(Command::FailAttempt(self.n, Code::CallLost.into()))
    }

    /// The video counts if it is there; what else to do is known only after a look that is not older than `since`.
    fn look_since(&self, since: Timestamp, otherwise: impl FnOnce(&Self) -> Step) -> Step {
        let looked = self.seen.look.as_ref().filter(|look| look.attempt == self.n && look.at >= since);
        match looked {
            None => Step::Look(self.n),
            Some(look) => match &look.found {
                Some(Some(output)) => Step::Record(Command::Complete(self.n, output.clone())),
                Some(None) => otherwise(self),
                None => {
                    let until = look.at + self.policy.pause(look.tries);
                    self.at(until, WaitingFor::Reconcile, Step::Look(self.n))
                }
            },
        }
    }
}
