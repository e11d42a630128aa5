//! What calls, their containers and the webhook do.

use std::rc::Rc;

use events::event::Started;
use events::{Command, Event, Rejection, decide};

use crate::model::action::{Action, Move, Successors};
use crate::model::world::{
    Append, Bounds, Call, Fault, Phase, Rule, Stored, Verdict, World, call_id, moment, output, render_failed,
};

impl Successors<'_> {
    pub(crate) fn call(&mut self, c: usize) {
        let call = &self.before.calls[c];
        let phase = call.phase;
        let may_forget = !call.is_forgotten;
        if call.request.is_some() {
            self.finish(c, phase);
        } else {
            self.advance(c, phase);
        }
        if may_forget {
            self.wrong(c, Fault::Forgotten, |call| call.is_forgotten = true);
        }
    }

    fn advance(&mut self, c: usize, phase: Phase) {
        let bounds = self.bounds;
        match phase {
            Phase::Queued => self.moved(c, Move::Start, |after| after.calls[c].phase = Phase::Starting),
            Phase::Starting => {
                self.moved(c, Move::Load, |after| after.load_claim(c, bounds));
                self.wrong(c, Fault::Dies, |call| call.phase = Phase::Returned(Verdict::Failed));
            }
            Phase::Rendering => self.render(c),
            Phase::Uploaded | Phase::Failing => {
                self.moved(c, Move::Load, |after| after.load_end(c));
                self.wrong(c, Fault::CallbackLost, |call| call.phase = call.verdict());
            }
            Phase::Returned(_) | Phase::Cancelled => {}
        }
    }

    fn render(&mut self, c: usize) {
        let call = &self.before.calls[c];
        let slot = usize::from(call.attempt.get());
        self.moved(c, Move::Render, |after| {
            after.videos[slot] = true;
            after.calls[c].phase = Phase::Uploaded;
        });
        let is_news = self.before.progress.as_ref().is_none_or(|progress| progress.time < moment(self.before.now));
        if is_news {
            self.moved(c, Move::Report, |after| after.progress_report(c));
        }
        self.wrong(c, Fault::RenderFails, |call| call.phase = Phase::Failing);
        self.wrong(c, Fault::Dies, |call| call.phase = Phase::Returned(Verdict::Failed));
        self.wrong(c, Fault::Lies, |call| call.phase = Phase::Returned(Verdict::Video));
        self.wrong(c, Fault::Preempt, |call| call.phase = Phase::Starting);
    }

    fn finish(&mut self, c: usize, phase: Phase) {
        let bounds = self.bounds;
        self.moved(c, Move::Finish, |after| after.finish(c, bounds, true));
        if phase == Phase::Starting {
            self.push_fault(Fault::AnswerLost, Action::Call(c, Move::FinishUnheard), |after| {
                after.finish(c, bounds, false);
                Ok(())
            });
        }
    }

    fn moved(&mut self, c: usize, what: Move, change: impl FnOnce(&mut World)) {
        self.push(Action::Call(c, what), |after| {
            change(after);
            Ok(())
        });
    }

    fn wrong(&mut self, c: usize, fault: Fault, change: impl FnOnce(&mut Call)) {
        self.push_fault(fault, Action::Call(c, Move::Wrong(fault)), |after| {
            change(&mut after.calls[c]);
            Ok(())
        });
    }
}

impl Call {
    fn verdict(&self) -> Phase {
        Phase::Returned(if self.phase == Phase::Failing { Verdict::Failed } else { Verdict::Video })
    }
}

impl World {
    /// The webhook decides about a claim.
    fn load_claim(&mut self, c: usize, bounds: &Bounds) {
        let id = call_id(u8::try_from(c).expect("few calls"));
        let started = Started { input_id: format!("in-{id}"), call_id: id };
        let decision = decide(&self.job(), Command::Claim(self.calls[c].attempt, started));
        let is_fenced = bounds.has(Rule::ClaimFence);
        match decision {
            Ok(event) => self.calls[c].request = Some(Rc::new(Append { event, expected: self.seq() })),
            Err(Rejection::AlreadyKnown) => self.grant(c),
            Err(Rejection::ClaimedElsewhere) if !is_fenced => self.grant(c),
            Err(_) => self.calls[c].phase = Phase::Returned(Verdict::Superseded),
        }
    }

    /// The webhook decides about a video, or about a failure that the container reports.
    fn load_end(&mut self, c: usize) {
        let call = &self.calls[c];
        let command = match call.phase {
            Phase::Failing => Command::FailAttempt(call.attempt, render_failed()),
            _ => Command::Complete(call.attempt, output(call.attempt)),
        };
        let verdict = call.verdict();
        match self.decided(command) {
            Some(append) => self.calls[c].request = Some(append),
            None => self.calls[c].phase = verdict,
        }
    }

    /// The webhook appends what it decided. A container that was stopped meanwhile hears nothing of it.
    fn finish(&mut self, c: usize, bounds: &Bounds, is_heard: bool) {
        let Some(append) = self.calls[c].request.take() else { return };
        let stored = self.append(bounds, &append);
        let is_unfenced = !bounds.has(Rule::ClaimFence) && matches!(append.event, Event::Started(..));
        let is_stored = stored == Stored::Yes || (stored == Stored::Taken && is_unfenced);
        if !is_heard || matches!(self.calls[c].phase, Phase::Cancelled | Phase::Returned(_)) {
            return;
        }
        let is_garbage = self.holds(&append.event).is_some_and(|held| matches!(held.event, Event::Corrupt(..)));
        match append.event {
            Event::Started(..) if is_stored => self.grant(c),
            Event::Started(..) if is_garbage => self.calls[c].phase = Phase::Returned(Verdict::Failed),
            _ if is_stored || is_garbage => self.calls[c].phase = self.calls[c].verdict(),
            // A conflict: it loads and decides again.
            _ => {}
        }
    }

    fn grant(&mut self, c: usize) {
        self.calls[c].is_granted = true;
        self.calls[c].phase = Phase::Rendering;
    }

    /// A report is a sign of life, and a question: the answer for an attempt that is over is to stop.
    fn progress_report(&mut self, c: usize) {
        let n = self.calls[c].attempt;
        let job = self.job();
        if job.ended.is_some() || job.current_attempt() != n {
            self.calls[c].phase = Phase::Returned(Verdict::Superseded);
        } else {
            self.note_progress(n);
        }
    }
}
