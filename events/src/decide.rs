//! Whether a wish becomes a fact.

use crate::event::{AttemptFailed, Cancelled, Completed, Dispatched, Failed, Output, Requested, Started};
use crate::{Attempt, Event, Failure, Job, Spec, Status};

/// What a role wants to be true.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Command {
    /// A render is wanted.
    Request(Spec),
    /// The provider accepted an attempt.
    Dispatch(Attempt, Dispatched),
    /// A container wants an attempt.
    Claim(Attempt, Started),
    /// An attempt is over.
    FailAttempt(Attempt, Failure),
    /// An attempt left a video.
    Complete(Attempt, Output),
    /// Nobody wants it any more.
    Cancel(String),
    /// The job is given up.
    Fail(Failure),
}

/// The domain refuses. Each says what the asker should believe instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Rejection {
    /// Nobody asked for this job, or its request has aged out.
    #[error("there is no such job")]
    NoSuchJob,
    /// Exactly this is already known: the asker may take it for done.
    #[error("this is already known")]
    AlreadyKnown,
    /// A job of this id was requested before, with another request.
    #[error("this job was requested before, otherwise")]
    RequestedOtherwise,
    /// The job has ended, in another way than the asker says.
    #[error("the job has ended: `{0}`")]
    Ended(Status),
    /// The attempt is over, or another one is current: whoever works at it must stop.
    #[error("this attempt is over")]
    Over,
    /// Another container has the attempt.
    #[error("another container has this attempt")]
    ClaimedElsewhere,
}

/// The event to append, or why there is none. Never an event after a job's end.
pub fn decide(job: &Job, command: Command) -> Result<Event, Rejection> {
    match command {
        Command::Request(spec) => request(job, spec),
        _ if job.requested.is_none() => Err(Rejection::NoSuchJob),
        Command::Complete(n, output) => complete(job, n, output),
        Command::Cancel(reason) => cancel(job, reason),
        Command::Fail(failure) => live(job).map(|()| Event::Failed(Failed { failure })),
        Command::Dispatch(n, dispatched) => dispatch(job, n, dispatched),
        Command::Claim(n, started) => claim(job, n, started),
        Command::FailAttempt(n, failure) => fail_attempt(job, n, failure),
    }
}

fn request(job: &Job, spec: Spec) -> Result<Event, Rejection> {
    match (&job.requested, job.spec()) {
        (None, _) => Ok(Event::Requested(Requested { spec })),
        (Some(_), Some(known)) if is_same_request(known, &spec) => Err(Rejection::AlreadyKnown),
        (Some(_), _) => Err(Rejection::RequestedOtherwise),
    }
}

/// Two requests are one if their fingerprints are; without fingerprints, if nothing differs.
fn is_same_request(known: &Spec, wanted: &Spec) -> bool {
    match (&known.fingerprint, &wanted.fingerprint) {
        (Some(known), Some(wanted)) => known == wanted,
        _ => known == wanted,
    }
}

fn live(job: &Job) -> Result<(), Rejection> {
    match job.ended {
        Some(_) => Err(Rejection::Ended(job.status())),
        None => Ok(()),
    }
}

/// What only the current attempt of a request that can be obeyed may do: it is not over, and no later one has begun.
fn current(job: &Job, n: Attempt) -> Result<(), Rejection> {
    live(job)?;
    let is_over = job.facts(n).is_some_and(|facts| facts.failed.is_some());
    if n == job.current_attempt() && !is_over && job.spec().is_some() { Ok(()) } else { Err(Rejection::Over) }
}

/// A `dispatched` that comes after its own attempt's claim tells nothing that is needed, and is not written.
fn dispatch(job: &Job, n: Attempt, dispatched: Dispatched) -> Result<Event, Rejection> {
    current(job, n)?;
    match job.facts(n) {
        Some(facts) if facts.dispatched.is_some() || facts.started.is_some() => Err(Rejection::AlreadyKnown),
        _ => Ok(Event::Dispatched(n, dispatched)),
    }
}

fn claim(job: &Job, n: Attempt, started: Started) -> Result<Event, Rejection> {
    current(job, n)?;
    match job.facts(n).and_then(|facts| facts.started.as_ref()) {
        None => Ok(Event::Started(n, started)),
        Some(fact) if fact.value == started => Err(Rejection::AlreadyKnown),
        Some(_) => Err(Rejection::ClaimedElsewhere),
    }
}

fn fail_attempt(job: &Job, n: Attempt, failure: Failure) -> Result<Event, Rejection> {
    if job.facts(n).is_some_and(|facts| facts.failed.is_some()) {
        return Err(Rejection::AlreadyKnown);
    }
    current(job, n)?;
    Ok(Event::AttemptFailed(n, AttemptFailed { failure }))
}

/// Any attempt may complete a live job, also one that was given up.
fn complete(job: &Job, n: Attempt, output: Output) -> Result<Event, Rejection> {
    match job.completed() {
        Some(known) if known.attempt == n => Err(Rejection::AlreadyKnown),
        _ => live(job).map(|()| Event::Completed(Completed { attempt: n, output })),
    }
}

fn cancel(job: &Job, reason: String) -> Result<Event, Rejection> {
    live(job).map(|()| Event::Cancelled(Cancelled { reason }))
}
