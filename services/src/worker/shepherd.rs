//! The loop that takes a job to its end.

use std::time::Duration;

use events::event::Progressed;
use events::seen::CallReport;
use events::{Attempt, Command, Job, JobId, Recorded, Rejection, Seen, Step, WaitingFor, key, next_step};
use nats::Verdict;

use super::Worker;
use crate::bucket::Object;
use crate::clock;
use crate::output::{self, Found};

/// News may get lost: this often a job is looked at without any.
const TICK: Duration = Duration::from_secs(5);
/// News are heard before the log has them: so long after some a job is looked at, and then again, ever later.
const ECHO: Duration = Duration::from_millis(5);

impl Worker {
    /// Holds a job until it has ended and nothing of it runs. It may die after each line: the next one carries on.
    /// `is_first`: nobody can have held it before. `requested`: what its message says.
    pub(super) async fn shepherd(self, id: JobId, is_first: bool, requested: &Recorded) -> Verdict {
        let mut hint = self.hints.subscribe(id);
        let mut seen = Seen::new(id, is_first);
        let (mut told, mut next_look) = (None, TICK);
        // Where nothing was heard since the request, its message is all that there is. If it is not, the log tells.
        let mut known = (self.hints.take_untouched(id) && is_first).then(|| {
            let mut job = Job::default();
            job.absorb(requested);
            job
        });
        let mut held = self.counted.hold(is_first);
        loop {
            // While the log is not the one that was written before, what it says of the job cannot be trusted.
            self.log.bus().writable().await;
            let Some(job) = self.current(id, known.take()).await else { continue };
            seen.circuit_until = self.circuit.open_until();
            seen.heard = hint.heard();
            match next_step(&job, &seen, clock::now(), &self.policy) {
                Step::Dispatch(n) => {
                    let outcome = self.dispatch(id, &job, n, is_first).await;
                    seen.submitted(n, clock::now(), outcome);
                    known = Some(job).filter(|_| !hint.has_changed() && hint.heard() == seen.heard);
                }
                Step::Record(command) => known = self.record(id, job, command, &mut seen).await,
                Step::Ask(n, call) => {
                    let report = self.modal.status(&call).await.unwrap_or(CallReport::Unreachable);
                    self.counted.reconciled(&report);
                    tracing::info!(job.id = %id, job.attempt = %n, ?report, "a silent render was asked about");
                    seen.answered(&job, n, call, clock::now(), report);
                }
                Step::Look(n) => {
                    let found = self.look(id, &job, n).await;
                    seen.looked(n, clock::now(), found);
                }
                Step::Stop(n, calls) => {
                    let stopped = self.modal.cancel(id, n, calls.clone()).await;
                    if stopped.is_ok() {
                        self.counted.stopped();
                    }
                    tracing::info!(job.id = %id, job.attempt = %n, confirmed = stopped.is_ok(), "an attempt is stopped");
                    seen.stopped(n, clock::now(), calls, stopped.is_ok());
                }
                Step::Wait { until, waiting_for } => {
                    held.waits_for(Some(waiting_for));
                    self.tell(id, &job, &seen, (waiting_for, until), &mut told).await;
                    let pause = until.since(clock::now()).max(Duration::from_millis(1));
                    tokio::select! {
                        () = hint.changed() => {
                            tokio::time::sleep(ECHO).await;
                            next_look = 2 * ECHO;
                        }
                        () = tokio::time::sleep(pause.min(next_look)) => next_look = TICK.min(next_look * 2),
                    }
                    held.waits_for(None);
                }
                Step::Done => return Verdict::Done,
            }
        }
    }

    /// The job as the log has it, unless it is known. None if the log does not answer, after a pause.
    async fn current(&self, id: JobId, known: Option<Job>) -> Option<Job> {
        if known.is_some() {
            return known;
        }
        // A replica that does not know the job yet must not end it.
        match self.log.load_at_least(id, 1).await {
            Ok(job) => Some(job),
            Err(error) => {
                tracing::warn!(job.id = %id, error = crate::chain(&error), "the log did not tell of the job");
                tokio::time::sleep(self.policy.repeat).await;
                None
            }
        }
    }

    /// Appends what was decided upon the job. Whatever comes of it, everything is decided again: upon the job as it is
    /// then, if that is known.
    async fn record(&self, id: JobId, job: Job, command: Command, seen: &mut Seen) -> Option<Job> {
        let event = name(&command);
        match self.log.record_upon(id, job, command, clock::now()).await {
            Ok(recorded) => {
                match recorded.refused {
                    None => {
                        let seq = recorded.job.seq;
                        tracing::info!(job.id = %id, event.name = event, message.seq = seq, "a fact is in the log");
                    }
                    Some(Rejection::AlreadyKnown) => {}
                    Some(rejection) => {
                        tracing::info!(job.id = %id, event.name = event, %rejection, "a fact came too late");
                    }
                }
                return Some(recorded.job);
            }
            Err(nats::Error::Occupied(_)) => seen.is_unwritable = true,
            Err(error) => {
                tracing::warn!(job.id = %id, error = crate::chain(&error), "the log did not take the fact");
                tokio::time::sleep(self.policy.repeat).await;
            }
        }
        None
    }

    /// Whether the attempt's video is in the bucket, and younger than the attempt: a bad file of an old one does not count,
    /// nor does anything but an mp4.
    async fn look(&self, id: JobId, job: &Job, n: Attempt) -> Option<Option<events::event::Output>> {
        let key = key::output(id, n);
        let began = job.facts(n).and_then(events::job::AttemptFacts::began_at);
        // Stores tell whole seconds.
        let is_its_own = |object: &Object| began.is_none_or(|began| object.modified.unix_ms() + 1000 > began.unix_ms());
        match output::look(&self.bucket, &key).await {
            Ok(Found::Video(object)) if is_its_own(&object) => {
                Some(Some(events::event::Output::video(key, object.size_bytes)))
            }
            Ok(_) => Some(None),
            Err(error) => {
                tracing::warn!(job.id = %id, job.attempt = %n, error = crate::chain(&error), "the bucket did not tell of the video");
                None
            }
        }
    }

    /// Publishes what the job waits for and until when, once for each, so that a poll can say it; but not what the facts
    /// say by themselves, unless the provider had to be asked.
    async fn tell(
        &self,
        id: JobId,
        job: &Job,
        seen: &Seen,
        (waiting_for, until): (WaitingFor, events::Timestamp),
        told: &mut Option<(Attempt, WaitingFor, events::Timestamp)>,
    ) {
        let n = job.current_attempt();
        let was_asked = seen.answer.as_ref().is_some_and(|answer| answer.attempt == n);
        let is_evident = job.waiting_for() == Some(waiting_for) && waiting_for != WaitingFor::Retry && !was_asked;
        let is_told = told.is_some_and(|(of, what, until)| (of, what) == (n, waiting_for) && clock::now() < until);
        if job.ended.is_some() || is_evident && told.is_none() || is_told {
            return;
        }
        // The last report is replaced: what the container said in it must not be lost, its task above all.
        let Ok(last) = self.log.last_report(id).await else { return };
        let last = last.filter(|last| last.attempt == n).unwrap_or(Progressed::new(n, 0));
        *told = Some((n, waiting_for, until));
        self.log.report(id, Progressed { waiting_for: Some(waiting_for), until: Some(until), ..last }).await;
    }
}

/// The event that a command becomes.
fn name(command: &Command) -> &'static str {
    match command {
        Command::Request(_) => "requested",
        Command::Dispatch(..) => "dispatched",
        Command::Claim(..) => "started",
        Command::FailAttempt(..) => "attempt_failed",
        Command::Complete(..) => "completed",
        Command::Cancel(_) => "cancelled",
        Command::Fail(_) => "failed",
    }
}
