//! One job, and everything around it that can happen to it: a log, two workers, a provider with its calls and their
//! containers, a bucket, a person who cancels. Time is a small number of ticks, one second each.

use std::rc::Rc;
use std::time::Duration;

use events::event::{Output, Requested};
use events::spec::Audio;
use events::{Attempt, AudioKey, Code, Event, Job, JobId, Policy, Recorded, Seen, Spec, Timestamp, key};

pub(crate) use crate::model::bounds::{Bounds, Fault, Rule};

/// A few ticks for everything, so that every deadline is reached soon.
pub(crate) fn policy() -> Policy {
    let tick = Duration::from_secs(1);
    Policy {
        start: 2 * tick,
        silence: 2 * tick,
        backoff: [tick; 3],
        repeat: tick,
        ask: tick,
        slowest: 2 * tick,
        asks_until_lost: 2,
    }
}

/// Limits of the one request.
pub(crate) const MAX_ATTEMPTS: u16 = 2;
const DEADLINE_SECONDS: u32 = 7;

pub(crate) fn job_id() -> JobId {
    JobId::from_idempotency_key("model", "job")
}

pub(crate) fn moment(tick: u8) -> Timestamp {
    Timestamp::from_unix_ms(i64::from(tick) * 1000)
}

pub(crate) fn output(n: Attempt) -> Output {
    Output::video(key::output(job_id(), n), 1)
}

pub(crate) fn request(bounds: &Bounds) -> Event {
    let key = AudioKey::of_job(job_id(), "wav").expect("`wav` is an extension");
    let mut spec = Spec::new(Audio::Stored { key, sha256: None, size_bytes: None });
    spec.max_attempts = MAX_ATTEMPTS;
    spec.deadline_seconds = DEADLINE_SECONDS;
    spec.expires_at = bounds.expires.then(|| moment(2));
    Event::Requested(Requested { spec })
}

/// Everything that is true at one moment.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct World {
    pub(crate) now: u8,
    pub(crate) faults_left: u8,
    pub(crate) log: Rc<Vec<Recorded>>,
    pub(crate) progress: Option<Rc<Recorded>>,
    /// What its sender gave up, and what arrives all the same.
    pub(crate) late: Option<Rc<Late>>,
    pub(crate) deliveries: u8,
    pub(crate) is_acked: bool,
    pub(crate) workers: [Option<Rc<Worker>>; 2],
    pub(crate) calls: Vec<Call>,
    /// The provider's memory of idempotency keys: attempt → call.
    pub(crate) keys: [Option<u8>; 4],
    /// Which attempts left a video in the bucket.
    pub(crate) videos: [bool; 4],
    /// A person's wish to cancel, on its way into the log.
    pub(crate) cancel: Option<Rc<Append>>,
}

#[derive(Clone, PartialEq, Eq, Hash)]
#[expect(clippy::large_enum_variant, reason = "there is at most one")]
pub(crate) enum Late {
    Append(Append),
    Submit(Attempt),
}

/// A fact on its way into the log, with the sequence that it was decided at.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Append {
    pub(crate) event: Event,
    pub(crate) expected: u64,
}

#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Worker {
    pub(crate) seen: Seen,
    /// What it decided and did not do yet; any time may pass before it does.
    pub(crate) plan: Option<Plan>,
    /// What it did since time went on or the log grew.
    pub(crate) done: Vec<Plan>,
}

#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) enum Plan {
    Dispatch(Attempt),
    Append(Append),
    Ask(Attempt, String),
    Look(Attempt),
    Stop(Attempt, Vec<String>),
    LetGo,
}

/// A call of the provider, with the container that works at it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Call {
    pub(crate) attempt: Attempt,
    pub(crate) phase: Phase,
    /// It got past the claim.
    pub(crate) is_granted: bool,
    /// The provider does not know it any more.
    pub(crate) is_forgotten: bool,
    /// Its spawner died before it could note the key.
    pub(crate) is_orphan: bool,
    /// A report that the webhook has decided about and not appended yet.
    pub(crate) request: Option<Rc<Append>>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Phase {
    Queued,
    Starting,
    Rendering,
    Uploaded,
    Failing,
    /// The render function returned: with a video, without one, or because the attempt was not its own.
    Returned(Verdict),
    Cancelled,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Verdict {
    Video,
    Failed,
    Superseded,
}

/// What the log's server says to an append.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Stored {
    Yes,
    Moved,
    Taken,
}

impl World {
    pub(crate) fn new(bounds: &Bounds) -> Self {
        let first = Recorded { seq: 1, time: moment(0), event: request(bounds) };
        Self {
            now: 0,
            faults_left: bounds.faults,
            log: Rc::new(vec![first]),
            progress: None,
            late: None,
            deliveries: 0,
            is_acked: false,
            workers: [None, None],
            calls: Vec::new(),
            keys: [None; 4],
            videos: [false; 4],
            cancel: None,
        }
    }

    /// What a role that loads the job now knows.
    pub(crate) fn job(&self) -> Job {
        let mut job = Job::default();
        self.log.iter().chain(self.progress.as_deref()).for_each(|recorded| job.absorb(recorded));
        job
    }

    pub(crate) fn seq(&self) -> u64 {
        self.log.last().map_or(0, |recorded| recorded.seq)
    }

    pub(crate) fn holds(&self, event: &Event) -> Option<&Recorded> {
        self.log.iter().find(|recorded| recorded.event.kind() == event.kind())
    }

    /// The log's server: it refuses what was decided at another sequence, and what comes second on a subject.
    pub(crate) fn append(&mut self, bounds: &Bounds, append: &Append) -> Stored {
        if bounds.has(Rule::ExpectedSequence) && append.expected != self.seq() {
            return Stored::Moved;
        }
        self.publish(bounds, &append.event)
    }

    pub(crate) fn publish(&mut self, bounds: &Bounds, event: &Event) -> Stored {
        let is_taken = self.holds(event).is_some();
        if is_taken && bounds.has(Rule::WriteOnce) {
            return Stored::Taken;
        }
        let recorded = Recorded { seq: self.seq() + 1, time: moment(self.now), event: event.clone() };
        let log = Rc::make_mut(&mut self.log);
        log.retain(|kept| kept.event.kind() != recorded.event.kind());
        log.push(recorded);
        self.note_news();
        Stored::Yes
    }

    /// Whoever did many things in a row may go on: something is different now.
    pub(crate) fn note_news(&mut self) {
        for worker in self.workers.iter_mut().flatten() {
            Rc::make_mut(worker).done.clear();
        }
    }

    /// The provider's app: one call for one key.
    pub(crate) fn submit(&mut self, bounds: &Bounds, n: Attempt, spawner_dies: bool) -> u8 {
        let slot = usize::from(n.get());
        if let Some(call) = self.keys[slot]
            && bounds.has(Rule::IdempotentSubmit)
        {
            return call;
        }
        let call = u8::try_from(self.calls.len()).expect("few calls");
        self.calls.push(Call {
            attempt: n,
            phase: Phase::Queued,
            is_granted: false,
            is_forgotten: false,
            is_orphan: spawner_dies,
            request: None,
        });
        if !spawner_dies {
            self.keys[slot] = Some(call);
        }
        call
    }

    /// The provider stops what it holds for the attempt, and the calls that are named.
    pub(crate) fn stop(&mut self, n: Attempt, named: &[String]) {
        let held = self.keys[usize::from(n.get())];
        for (call, index) in self.calls.iter_mut().zip(0_u8..) {
            let is_meant = held == Some(index) || named.contains(&call_id(index));
            if is_meant && !call.is_forgotten && !matches!(call.phase, Phase::Returned(_)) {
                call.phase = Phase::Cancelled;
            }
        }
    }
}

pub(crate) fn call_id(index: u8) -> String {
    format!("fc-{index}")
}

pub(crate) fn corrupt(kind: events::Kind) -> Event {
    Event::Corrupt(kind, "garbage".into())
}

pub(crate) fn render_failed() -> events::Failure {
    Code::RenderFailed.into()
}
