//! What the two workers do: they drive the real `next_step` and `decide`.

use std::rc::Rc;

use events::event::Dispatched;
use events::seen::{CallReport, SubmitOutcome};
use events::{Attempt, Code, Command, Event, Failure, Job, Seen, Step, decide, next_step};

use crate::model::action::{Action, Outcome, Successors};
use crate::model::world::{
    Append, Bounds, Fault, Late, Phase, Plan, Rule, Stored, Verdict, Worker, World, call_id, job_id, moment, policy,
};

impl Successors<'_> {
    pub(crate) fn worker(&mut self, w: usize) {
        let Some(worker) = self.before.workers[w].clone() else {
            return self.deliver(w);
        };
        self.push_fault(Fault::Crash, Action::Crash(w), |after| {
            after.workers[w] = None;
            Ok(())
        });
        let bounds = self.bounds;
        match &worker.plan {
            Some(plan) => self.perform(w, plan),
            None => match self.before.plan(&worker.seen, bounds) {
                Ok(None) => {}
                plan => self.push(Action::Decide(w), |after| after.intend(w, plan?)),
            },
        }
    }

    /// The log hands the job out again when nobody holds it, and to a second worker when the first one is too slow.
    fn deliver(&mut self, w: usize) {
        let other = &self.before.workers[1 - w];
        if self.before.is_acked || (w == 1 && other.is_none()) {
            return;
        }
        let change = |after: &mut World| {
            let seen = Seen::new(job_id(), after.deliveries == 0);
            after.deliveries = after.deliveries.saturating_add(1).min(2);
            after.workers[w] = Some(Rc::new(Worker { seen, plan: None, done: Vec::new() }));
            Ok(())
        };
        match other {
            None => self.push(Action::Deliver(w), change),
            Some(_) => self.push_fault(Fault::Takeover, Action::Deliver(w), change),
        }
    }

    fn perform(&mut self, w: usize, plan: &Plan) {
        let bounds = self.bounds;
        self.push(Action::Perform(w, Outcome::Well), |after| {
            after.perform(w, plan, bounds);
            Ok(())
        });
        let faults: &[Fault] = match plan {
            Plan::Dispatch(_) => &[
                Fault::AnswerLost,
                Fault::RequestLost,
                Fault::Late,
                Fault::SpawnerDies,
                Fault::Busy,
                Fault::Refused,
                Fault::Misconfigured,
            ],
            Plan::Append(_) => &[Fault::Late],
            Plan::Ask(..) | Plan::Look(_) | Plan::Stop(..) => &[Fault::NoAnswer],
            Plan::LetGo => &[],
        };
        for fault in faults {
            if *fault == Fault::Late && self.before.late.is_some() {
                continue;
            }
            self.push_fault(*fault, Action::Perform(w, Outcome::But(*fault)), |after| {
                after.stumble(w, plan, *fault, bounds);
                Ok(())
            });
        }
    }
}

impl World {
    /// What a worker decides now: `None` to wait. An error is a defect of the rules.
    fn plan(&self, seen: &Seen, bounds: &Bounds) -> Result<Option<Plan>, String> {
        let job = self.job();
        let mut step = next_step(&job, seen, moment(self.now), &policy());
        if !bounds.has(Rule::Reconciliation)
            && let Step::Ask(n, _) | Step::Look(n) = step
        {
            step = Step::Record(Command::FailAttempt(n, Code::CallLost.into()));
        }
        Ok(Some(match step {
            Step::Dispatch(n) => Plan::Dispatch(n),
            Step::Ask(n, call) => Plan::Ask(n, call),
            Step::Look(n) => Plan::Look(n),
            Step::Stop(n, calls) => Plan::Stop(n, calls),
            Step::Done if job.ended.is_none() => return Err("a job that has not ended was let go: it is lost".into()),
            Step::Done => Plan::LetGo,
            Step::Wait { until, .. } if until <= moment(self.now) => {
                return Err("a worker waits for a moment that is past: a hot loop".into());
            }
            Step::Wait { .. } => return Ok(None),
            Step::Record(command) => Plan::Append(self.to_append(&job, command)?),
        }))
    }

    fn to_append(&self, job: &Job, command: Command) -> Result<Append, String> {
        let text = format!("{command:?}");
        let event = decide(job, command).map_err(|rejection| format!("a worker wants {text}, but {rejection}"))?;
        Ok(Append { event, expected: self.seq() })
    }

    fn intend(&mut self, w: usize, plan: Option<Plan>) -> Result<(), String> {
        let worker = Rc::make_mut(self.workers[w].as_mut().expect("it decides"));
        if let Some(plan) = &plan
            && worker.done.contains(plan)
        {
            return Err("a worker does again what it just did, though there is no news and no time passed".into());
        }
        worker.done.extend(plan.clone());
        worker.plan = plan;
        Ok(())
    }

    fn perform(&mut self, w: usize, plan: &Plan, bounds: &Bounds) {
        let at = moment(self.now);
        match plan {
            Plan::Dispatch(n) => {
                let call = self.submit(bounds, *n, false);
                let dispatched = Dispatched { call_id: call_id(call), gpu: false };
                self.learn(w, |seen| seen.submitted(*n, at, SubmitOutcome::Accepted(dispatched)));
            }
            Plan::Append(append) => {
                let stored = self.append(bounds, append);
                let is_garbage = self.holds(&append.event).is_some_and(|held| matches!(held.event, Event::Corrupt(..)));
                self.learn(w, |seen| seen.is_unwritable |= stored == Stored::Taken && is_garbage);
            }
            Plan::Ask(n, call) => {
                let (job, report) = (self.job(), self.report(call));
                self.learn(w, |seen| seen.answered(&job, *n, call.clone(), at, report));
            }
            Plan::Look(n) => {
                let found = self.video(*n);
                self.learn(w, |seen| seen.looked(*n, at, Some(found)));
            }
            Plan::Stop(n, calls) => {
                self.stop(*n, calls);
                self.learn(w, |seen| seen.stopped(*n, at, calls.clone(), true));
            }
            Plan::LetGo => {
                self.is_acked = true;
                self.workers[w] = None;
            }
        }
    }

    fn stumble(&mut self, w: usize, plan: &Plan, fault: Fault, bounds: &Bounds) {
        let at = moment(self.now);
        match plan {
            Plan::Dispatch(n) => {
                let outcome = self.stumble_at_submit(*n, fault, bounds);
                self.learn(w, |seen| {
                    if outcome == SubmitOutcome::Misconfigured {
                        seen.circuit_until = Some(moment(u8::try_from(at.unix_ms() / 1000).unwrap_or(0) + 1));
                    }
                    seen.submitted(*n, at, outcome);
                });
            }
            Plan::Append(append) => {
                self.late = Some(Rc::new(Late::Append(append.clone())));
                // Hearing nothing takes time.
                self.note_news();
                self.learn(w, |_| ());
            }
            Plan::Ask(n, call) => {
                let job = self.job();
                self.learn(w, |seen| seen.answered(&job, *n, call.clone(), at, CallReport::Unreachable));
            }
            Plan::Look(n) => self.learn(w, |seen| seen.looked(*n, at, None)),
            Plan::Stop(n, calls) => self.learn(w, |seen| seen.stopped(*n, at, calls.clone(), false)),
            Plan::LetGo => {}
        }
    }

    fn stumble_at_submit(&mut self, n: Attempt, fault: Fault, bounds: &Bounds) -> SubmitOutcome {
        match fault {
            // `Retry-After: 0`.
            Fault::Busy => return SubmitOutcome::RetryAfter(moment(self.now)),
            Fault::Refused => return SubmitOutcome::Refused(Failure::from(Code::DispatchRefused)),
            Fault::Misconfigured => return SubmitOutcome::Misconfigured,
            Fault::AnswerLost => _ = self.submit(bounds, n, false),
            Fault::SpawnerDies => _ = self.submit(bounds, n, true),
            Fault::Late => self.late = Some(Rc::new(Late::Submit(n))),
            _ => {}
        }
        SubmitOutcome::Unknown
    }

    fn learn(&mut self, w: usize, note: impl FnOnce(&mut Seen)) {
        let worker = Rc::make_mut(self.workers[w].as_mut().expect("it acts"));
        worker.plan = None;
        note(&mut worker.seen);
    }

    /// What the provider says of a call. It cannot tell queued from running.
    fn report(&self, id: &str) -> CallReport {
        let call = self.calls.iter().zip(0_u8..).find(|(_, index)| call_id(*index) == id).map(|(call, _)| call);
        match call.filter(|call| !call.is_forgotten).map(|call| call.phase) {
            None => CallReport::Lost,
            Some(Phase::Queued | Phase::Starting | Phase::Rendering | Phase::Uploaded | Phase::Failing) => {
                CallReport::Running
            }
            Some(Phase::Returned(Verdict::Video)) => CallReport::Completed,
            Some(Phase::Returned(Verdict::Failed)) => CallReport::Failed(Code::RenderFailed.into()),
            Some(Phase::Returned(Verdict::Superseded)) => CallReport::Superseded,
            Some(Phase::Cancelled) => CallReport::Cancelled,
        }
    }
}
