//! Jobs in every state, and what may happen to them.

use std::time::Duration;

use events::event::{AttemptFailed, Cancelled, Completed, Dispatched, Failed, Output, Progressed, Requested, Started};
use events::spec::Audio;
use events::{
    Attempt, AudioKey, Code, Command, Event, Failure, Job, JobId, Kind, Policy, Recorded, Seen, Spec, Step, Timestamp,
    decide, key, next_step,
};

pub(crate) fn job_id() -> JobId {
    JobId::parse("0193a5c0-7c1e-7b3a-9d52-1f0c8a7be001").expect("it is canonical")
}

pub(crate) fn attempt(number: u16) -> Attempt {
    Attempt::new(number).expect("it is an attempt")
}

pub(crate) fn spec() -> Spec {
    let key = AudioKey::of_job(job_id(), "flac").expect("it is an extension");
    Spec::new(Audio::Stored { key, sha256: None, size_bytes: None })
}

pub(crate) fn output(n: u16) -> Output {
    Output::video(key::output(job_id(), attempt(n)), 1)
}

pub(crate) fn requested() -> Event {
    Event::Requested(Requested { spec: spec() })
}

pub(crate) fn dispatched(n: u16) -> Event {
    Event::Dispatched(attempt(n), Dispatched { call_id: format!("fc-{n}"), gpu: false })
}

pub(crate) fn started(n: u16) -> Event {
    Event::Started(attempt(n), claim(n, "in-1"))
}

pub(crate) fn claim(n: u16, input: &str) -> Started {
    Started { call_id: format!("fc-{n}"), input_id: input.into() }
}

pub(crate) fn attempt_failed(n: u16) -> Event {
    Event::AttemptFailed(attempt(n), AttemptFailed { failure: Code::RenderFailed.into() })
}

pub(crate) fn completed(n: u16) -> Event {
    Event::Completed(Completed { attempt: attempt(n), output: output(n) })
}

pub(crate) fn cancelled() -> Event {
    Event::Cancelled(Cancelled { reason: "a person".into() })
}

pub(crate) fn failed() -> Event {
    Event::Failed(Failed { failure: Code::AudioMissing.into() })
}

fn corrupt(kind: Kind) -> Event {
    Event::Corrupt(kind, "garbage".into())
}

pub(crate) fn moment(seconds: i64) -> Timestamp {
    Timestamp::from_unix_ms(1_000_000_000_000 + seconds * 1000)
}

/// The job that these facts make, one a second.
pub(crate) fn job(facts: &[Event]) -> Job {
    facts.iter().zip(1..).fold(Job::default(), |mut job, (event, seq)| {
        job.absorb(&Recorded { seq, time: moment(i64::try_from(seq).expect("few facts")), event: event.clone() });
        job
    })
}

/// Every state that a job can be in, by the facts that lead there.
pub(crate) fn states() -> Vec<(&'static str, Job)> {
    let past = [requested(), dispatched(1), started(1)];
    let with = |more: &[Event]| job(&[&past, more].concat());
    vec![
        ("nobody asked", job(&[])),
        ("invalid request", job(&[corrupt(Kind::Requested)])),
        ("waiting", job(&past[..1])),
        ("dispatched", job(&past[..2])),
        ("started", job(&past)),
        ("between attempts", with(&[attempt_failed(1)])),
        ("second attempt", with(&[attempt_failed(1), dispatched(2)])),
        ("attempts spent", with(&[attempt_failed(1), attempt_failed(2), attempt_failed(3)])),
        ("complete", with(&[completed(1)])),
        ("failed", with(&[failed()])),
        ("cancelled", with(&[cancelled()])),
        ("end unreadable", with(&[corrupt(Kind::Completed)])),
    ]
}

/// Rows, and one text for each column.
pub(crate) struct Table {
    pub(crate) columns: Vec<&'static str>,
    pub(crate) rows: Vec<(&'static str, Vec<String>)>,
}

fn table<T>(columns: Vec<(&'static str, T)>, cell: impl Fn(&Job, &T) -> String) -> Table {
    let row = |job: &Job| columns.iter().map(|(_, column)| cell(job, column)).collect();
    let rows = states().into_iter().map(|(name, job)| (name, row(&job))).collect();
    Table { rows, columns: columns.into_iter().map(|(name, _)| name).collect() }
}

/// What each event makes of each state; `·` where it changes nothing that people see or a rule asks for.
pub(crate) fn state_by_event() -> Table {
    let events = vec![
        ("requested", requested()),
        ("dispatched.1", dispatched(1)),
        ("started.1", started(1)),
        ("attempt_failed.1", attempt_failed(1)),
        ("dispatched.2", dispatched(2)),
        ("started.2", started(2)),
        ("completed", completed(1)),
        ("cancelled", cancelled()),
        ("failed", failed()),
        ("progressed", Event::Progressed(Progressed::new(attempt(1), 42))),
        ("garbage: requested", corrupt(Kind::Requested)),
        ("garbage: started.1", corrupt(Kind::Started(attempt(1)))),
        ("garbage: failed", corrupt(Kind::Failed)),
        ("of a newer release", Event::Unknown),
    ];
    table(events, |before, event| {
        let mut after = before.clone();
        after.absorb(&Recorded { seq: 99, time: moment(99), event: event.clone() });
        let unchanged = Job { seq: before.seq, updated_at: before.updated_at, ..after.clone() } == *before;
        let error = after.failure().map_or(String::new(), |failure| format!(" {}", failure.code));
        match (unchanged, after.ended.is_some()) {
            (true, _) => "·".into(),
            (false, true) => format!("{}{error}", after.status()),
            (false, false) => format!("{} {}: {}", after.status(), after.shown_attempt(), after.percent()),
        }
    })
}

/// What each command gives in each state: the event to append, or why none.
pub(crate) fn state_by_command() -> Table {
    let other = Spec { fps: 60, ..spec() };
    let lost: Failure = Code::CallLost.into();
    let commands = vec![
        ("request", Command::Request(spec())),
        ("request, otherwise", Command::Request(other)),
        ("dispatch 1", Command::Dispatch(attempt(1), Dispatched { call_id: "fc-1".into(), gpu: false })),
        ("claim 1", Command::Claim(attempt(1), claim(1, "in-1"))),
        ("claim 1, another", Command::Claim(attempt(1), claim(1, "in-2"))),
        ("fail attempt 1", Command::FailAttempt(attempt(1), lost.clone())),
        ("complete 1", Command::Complete(attempt(1), output(1))),
        ("dispatch 2", Command::Dispatch(attempt(2), Dispatched { call_id: "fc-2".into(), gpu: false })),
        ("claim 2", Command::Claim(attempt(2), claim(2, "in-1"))),
        ("fail attempt 2", Command::FailAttempt(attempt(2), lost.clone())),
        ("complete 2", Command::Complete(attempt(2), output(2))),
        ("cancel", Command::Cancel("a person".into())),
        ("fail", Command::Fail(lost)),
    ];
    table(commands, |job, command| match decide(job, command.clone()) {
        Ok(event) => format!("`{}`", event.kind().expect("it is ours")),
        Err(rejection) => format!("{rejection:?}"),
    })
}

/// What a worker does in each state, at a few moments, with an empty memory.
pub(crate) fn state_by_step() -> Table {
    let moments = vec![
        ("at once", (5, true)),
        ("after a pause", (40, true)),
        ("after a silence", (20 * 60, true)),
        ("after the deadline", (25 * 3600, true)),
        ("at once, second worker", (5, false)),
    ];
    table(moments, |job, (seconds, is_first)| {
        let seen = Seen::new(job_id(), *is_first);
        let now = moment(*seconds);
        match next_step(job, &seen, now, &Policy::default()) {
            Step::Dispatch(n) => format!("dispatch {n}"),
            Step::Record(command) => {
                format!(
                    "append `{}`",
                    decide(job, command).expect("a worker wants nothing else").kind().expect("it is ours")
                )
            }
            Step::Ask(_, call) => format!("ask about {call}"),
            Step::Look(n) => format!("look {n}"),
            Step::Stop(n, calls) => format!("stop {n} ({})", calls.join(", ")),
            Step::Wait { until, waiting_for } => {
                format!("wait {} s for {waiting_for:?}", until.since(now).max(Duration::from_secs(1)).as_secs())
            }
            Step::Done => "done".into(),
        }
    })
}
