//! Everything that can happen next in a world.

use std::rc::Rc;

use crate::model::world::{
    Append, Bounds, Call, Fault, Late, MAX_ATTEMPTS, Phase, Stored, World, corrupt, moment, output,
};
use events::{Attempt, Command, Event, Kind, Recorded, decide};

/// One thing that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Action {
    Tick,
    Deliver(usize),
    Decide(usize),
    Perform(usize, Outcome),
    Crash(usize),
    Call(usize, Move),
    Cancel,
    CancelArrives,
    Arrive,
    Garbage(Kind),
    Republish,
}

/// How a worker's request goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Outcome {
    Well,
    But(Fault),
}

/// What a call and its container do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Move {
    Start,
    /// The webhook loads the job for this container's report, and decides.
    Load,
    /// The webhook appends what it decided, and answers.
    Finish,
    FinishUnheard,
    Report,
    Render,
    Wrong(Fault),
}

/// A successor, or the promise that it breaks.
pub(crate) type Next = Result<World, String>;

pub(crate) struct Successors<'a> {
    pub(crate) bounds: &'a Bounds,
    pub(crate) before: &'a World,
    pub(crate) list: Vec<(Action, Next)>,
}

pub(crate) fn successors(world: &World, bounds: &Bounds) -> Vec<(Action, Next)> {
    let mut next = Successors { bounds, before: world, list: Vec::new() };
    next.time();
    (0..2).for_each(|worker| next.worker(worker));
    (0..world.calls.len()).for_each(|call| next.call(call));
    next.people();
    next.strangers();
    next.list
}

impl Successors<'_> {
    pub(crate) fn push(&mut self, action: Action, change: impl FnOnce(&mut World) -> Result<(), String>) {
        let mut after = self.before.clone();
        let next = change(&mut after).map(|()| after);
        self.list.push((action, next));
    }

    /// The same at the price of a fault.
    pub(crate) fn push_fault(
        &mut self,
        fault: Fault,
        action: Action,
        change: impl FnOnce(&mut World) -> Result<(), String>,
    ) {
        if self.before.faults_left > 0 && self.bounds.menu.contains(&fault) {
            self.push(action, |after| {
                after.faults_left -= 1;
                change(after)
            });
        }
    }

    fn time(&mut self) {
        if self.before.now < self.bounds.ticks && !self.before.is_quiet() {
            let pass = |after: &mut World| {
                after.now += 1;
                after.note_news();
                Ok(())
            };
            if self.is_somebody_at_it() {
                self.push_fault(Fault::Slow, Action::Tick, pass);
            } else {
                self.push(Action::Tick, pass);
            }
        }
        if let Some(late) = self.before.late.clone() {
            let bounds = self.bounds;
            self.push(Action::Arrive, |after| {
                after.late = None;
                match &*late {
                    Late::Append(append) => _ = after.append(bounds, append),
                    Late::Submit(n) => _ = after.submit(bounds, *n, false),
                }
                Ok(())
            });
        }
    }

    /// Time passes by itself only while everybody waits: for a container, a deadline, a pause.
    fn is_somebody_at_it(&self) -> bool {
        let world = self.before;
        let is_free = |(action, _): &(Action, Next)| {
            matches!(action, Action::Decide(_) | Action::Perform(_, Outcome::Well) | Action::Deliver(_))
        };
        let mut probe =
            Successors { bounds: &Bounds { menu: Vec::new(), ..self.bounds.clone() }, before: world, list: Vec::new() };
        (0..2).for_each(|worker| probe.worker(worker));
        probe.list.iter().any(is_free)
            || world.late.is_some()
            || world.cancel.is_some()
            || world.calls.iter().any(|call| call.request.is_some())
    }

    fn people(&mut self) {
        let bounds = self.bounds;
        let wish = decide(&self.before.job(), Command::Cancel("a person".into()));
        if let (Ok(event), None) = (wish, &self.before.cancel) {
            let expected = self.before.seq();
            self.push_fault(Fault::Cancel, Action::Cancel, |after| {
                after.cancel = Some(Rc::new(Append { event, expected }));
                Ok(())
            });
        }
        if let Some(cancel) = self.before.cancel.clone() {
            self.push(Action::CancelArrives, |after| {
                after.cancel = None;
                if after.append(bounds, &cancel) == Stored::Moved {
                    after.cancel = after.decided(Command::Cancel("a person".into()));
                }
                Ok(())
            });
        }
    }

    /// Whoever may write to the log by other ways than ours: garbage on any subject, the same request once more.
    fn strangers(&mut self) {
        let bounds = self.bounds;
        let first = Attempt::FIRST;
        let kinds = [Kind::Dispatched(first), Kind::Started(first), Kind::AttemptFailed(first), Kind::Completed];
        for kind in kinds {
            self.push_fault(Fault::Garbage, Action::Garbage(kind), |after| {
                _ = after.publish(bounds, &corrupt(kind));
                Ok(())
            });
        }
        let mut again = self.before.log.iter().find_map(|recorded| match &recorded.event {
            Event::Requested(requested) => Some(requested.clone()),
            _ => None,
        });
        if let Some(requested) = &mut again {
            requested.spec.fps = 60;
        }
        if let Some(requested) = again {
            self.push_fault(Fault::Republish, Action::Republish, |after| {
                _ = after.publish(bounds, &Event::Requested(requested));
                Ok(())
            });
        }
    }
}

impl World {
    /// The event that a command gives now, on its way into the log.
    pub(crate) fn decided(&self, command: Command) -> Option<Rc<Append>> {
        let event = decide(&self.job(), command).ok()?;
        Some(Rc::new(Append { event, expected: self.seq() }))
    }

    /// Nothing will ever happen again by itself.
    pub(crate) fn is_quiet(&self) -> bool {
        self.is_acked && self.workers.iter().all(Option::is_none) && self.late.is_none() && self.cancel.is_none()
    }

    /// The facts of the end, checked after every action: the promises that hold at every moment.
    pub(crate) fn check(&self, before: &Self) -> Result<(), String> {
        if self.log != before.log {
            self.check_log(before)?;
        }
        if self.calls != before.calls {
            self.check_calls()?;
        }
        if self.is_quiet() {
            self.check_rest()?;
        }
        Ok(())
    }

    fn check_log(&self, before: &Self) -> Result<(), String> {
        let (was, is) = (before.job(), self.job());
        if was.status().is_final() && was.ended != is.ended {
            return Err(format!("a final status changed: it was `{}` and is `{}`", was.status(), is.status()));
        }
        if !was.status().is_final() && is.status() < was.status() {
            return Err(format!("the status went back from `{}` to `{}`", was.status(), is.status()));
        }
        if was.requested != is.requested {
            return Err("the request under way was replaced by another one".into());
        }
        let mut joined = was.clone();
        joined.join(&is);
        if joined != is {
            return Err("a fact is gone from the log".into());
        }
        if is.attempts.keys().any(|n| n.get() > MAX_ATTEMPTS) {
            return Err("one attempt more than the request allows was made".into());
        }
        match is.completed() {
            Some(completed) if self.video(completed.attempt).is_none() => {
                Err("the job is complete without a video".into())
            }
            _ => Ok(()),
        }
    }

    fn check_calls(&self) -> Result<(), String> {
        for (index, call) in self.calls.iter().enumerate() {
            for other in &self.calls[index + 1..] {
                let is_same = call.attempt == other.attempt;
                if is_same && call.is_granted && other.is_granted {
                    return Err(format!("two renders of attempt {} got past the claim", call.attempt));
                }
                if is_same && !call.is_orphan && !other.is_orphan {
                    return Err(format!("attempt {} was paid for twice, and no spawner had died", call.attempt));
                }
                let render = |call: &Call| call.phase == Phase::Rendering && !call.is_forgotten;
                if !is_same && render(call) && render(other) {
                    return Err(format!("attempts {} and {} render at once", call.attempt, other.attempt));
                }
            }
        }
        Ok(())
    }

    /// When every worker has let go, nothing renders but the attempt that delivered, and what the provider forgot.
    fn check_rest(&self) -> Result<(), String> {
        let job = self.job();
        let delivered = job.completed().map(|completed| completed.attempt);
        let runs_on = self
            .calls
            .iter()
            .any(|call| call.phase == Phase::Rendering && !call.is_forgotten && Some(call.attempt) != delivered);
        if runs_on { Err("a render goes on, though the job has ended and nobody watches it".into()) } else { Ok(()) }
    }

    pub(crate) fn note_progress(&mut self, n: Attempt) {
        let seq = self.progress.as_ref().map_or(0, |progress| progress.seq) + 1;
        let event = Event::Progressed(events::event::Progressed::new(n, 40));
        self.progress = Some(Rc::new(Recorded { seq, time: moment(self.now), event }));
    }

    pub(crate) fn video(&self, n: Attempt) -> Option<events::event::Output> {
        self.videos[usize::from(n.get())].then(|| output(n))
    }
}
