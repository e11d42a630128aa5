//! What holds for every history, in any order. `PROPTEST_CASES=10000` for the full number of cases.

use std::ops::RangeInclusive;

use events::capability::{Grant, Roots};
use events::event::{AttemptFailed, Dispatched, Progressed};
use events::seen::{CallReport, SubmitOutcome};
use events::{
    Attempt, AudioKey, Code, Command, Event, Failure, Job, JobId, Kind, Policy, Recorded, Seen, Step, Timestamp,
    decide, next_step, subject,
};
use proptest::prelude::*;
use proptest::sample::subsequence;

use crate::fixtures::{
    attempt, cancelled, claim, completed, dispatched, failed, job_id, moment, output, requested, spec, started,
};

fn attempts() -> RangeInclusive<u16> {
    1..=4
}

fn codes() -> impl Strategy<Value = Code> {
    proptest::sample::select(&Code::ALL)
}

fn kinds() -> impl Strategy<Value = Kind> {
    let n = (1..=Attempt::MAX).prop_map(attempt);
    prop_oneof![
        Just(Kind::Requested),
        n.clone().prop_map(Kind::Dispatched),
        n.clone().prop_map(Kind::Started),
        n.prop_map(Kind::AttemptFailed),
        Just(Kind::Completed),
        Just(Kind::Cancelled),
        Just(Kind::Failed),
        Just(Kind::Progressed),
    ]
}

fn reports() -> impl Strategy<Value = Event> {
    (attempts(), 0..=99_u8, proptest::option::of("[a-z]{1,3}")).prop_map(|(n, progress, task_id)| {
        Event::Progressed(Progressed { task_id, ..Progressed::new(attempt(n), progress) })
    })
}

fn facts() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => Just(requested()),
        4 => attempts().prop_map(dispatched),
        4 => attempts().prop_map(started),
        4 => (attempts(), codes()).prop_map(|(n, code)| {
            Event::AttemptFailed(attempt(n), AttemptFailed { failure: code.into() })
        }),
        1 => attempts().prop_map(completed),
        1 => Just(cancelled()),
        1 => Just(failed()),
        1 => kinds().prop_map(|kind| Event::Corrupt(kind, "garbage".into())),
        1 => Just(Event::Unknown),
        4 => reports(),
    ]
}

/// A history as two streams hold it: in each, every message has a sequence of its own.
fn histories() -> impl Strategy<Value = Vec<Recorded>> {
    proptest::collection::vec((facts(), 0..5_i64), 0..16).prop_map(|facts| {
        let mut now = 0;
        let numbered = facts.into_iter().zip(1..);
        numbered
            .map(|((event, pause), seq)| {
                now += pause;
                Recorded { seq, time: moment(now), event }
            })
            .collect()
    })
}

fn jobs() -> impl Strategy<Value = Job> {
    histories().prop_map(|history| fold(&history))
}

fn fold<'a>(history: impl IntoIterator<Item = &'a Recorded>) -> Job {
    let mut job = Job::default();
    history.into_iter().for_each(|recorded| job.absorb(recorded));
    job
}

fn commands() -> impl Strategy<Value = Command> {
    let failures = || codes().prop_map(Failure::from);
    prop_oneof![
        Just(Command::Request(spec())),
        attempts().prop_map(|n| Command::Dispatch(attempt(n), Dispatched { call_id: "fc-9".into(), gpu: true })),
        (attempts(), "in-[12]").prop_map(|(n, input)| Command::Claim(attempt(n), claim(n, &input))),
        (attempts(), failures()).prop_map(|(n, failure)| Command::FailAttempt(attempt(n), failure)),
        attempts().prop_map(|n| Command::Complete(attempt(n), output(n))),
        Just(Command::Cancel("a person".into())),
        failures().prop_map(Command::Fail),
    ]
}

fn outcomes() -> impl Strategy<Value = SubmitOutcome> {
    prop_oneof![
        Just(SubmitOutcome::Accepted(Dispatched { call_id: "fc-9".into(), gpu: true })),
        codes().prop_map(|code| SubmitOutcome::Refused(code.into())),
        (0..100_i64).prop_map(|seconds| SubmitOutcome::RetryAfter(moment(seconds))),
        Just(SubmitOutcome::Misconfigured),
        Just(SubmitOutcome::Unknown),
    ]
}

fn call_reports() -> impl Strategy<Value = CallReport> {
    prop_oneof![
        Just(CallReport::Running),
        Just(CallReport::Completed),
        codes().prop_map(|code| CallReport::Failed(code.into())),
        Just(CallReport::Superseded),
        Just(CallReport::Cancelled),
        Just(CallReport::Lost),
        Just(CallReport::Unreachable),
    ]
}

/// One note in a worker's memory: which, about which attempt, when.
fn memories() -> impl Strategy<Value = Vec<(u8, u16, i64, SubmitOutcome, CallReport)>> {
    proptest::collection::vec((0..6_u8, attempts(), 0..100_000_i64, outcomes(), call_reports()), 0..8)
}

fn remember(job: &Job, is_first: bool, notes: &[(u8, u16, i64, SubmitOutcome, CallReport)]) -> Seen {
    let mut seen = Seen::new(job_id(), is_first);
    for (which, n, seconds, outcome, report) in notes {
        let (n, at) = (attempt(*n), moment(*seconds));
        match which {
            0 => seen.submitted(n, at, outcome.clone()),
            1 => seen.answered(job, n, format!("fc-{n}"), at, report.clone()),
            2 => seen.looked(n, at, (seconds % 3 != 0).then(|| (seconds % 3 == 1).then(|| output(n.get())))),
            3 => seen.stopped(n, at, job.calls(n), seconds % 2 == 0),
            4 => seen.heard = Some((n, at)),
            _ => seen.circuit_until = Some(at),
        }
    }
    seen
}

/// 256 by default, which takes seconds; continuous integration asks for 10 000.
fn config() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn any_order_gives_the_same_job(
        (history, shuffled) in histories().prop_flat_map(|all| (Just(all.clone()), Just(all).prop_shuffle())),
    ) {
        prop_assert_eq!(fold(&history), fold(&shuffled));
    }

    #[test]
    fn redelivery_changes_nothing(history in histories(), again in any::<proptest::sample::Index>()) {
        let once = fold(&history);
        prop_assert_eq!(&once, &fold(history.iter().chain(&history)));
        if !history.is_empty() {
            prop_assert_eq!(&once, &fold(history.iter().chain([again.get(&history)])));
        }
    }

    #[test]
    fn a_part_and_then_all_gives_the_same_job(
        (history, part) in histories().prop_flat_map(|all| (Just(all.clone()), subsequence(all.clone(), 0..=all.len()))),
    ) {
        prop_assert_eq!(fold(&history), fold(part.iter().chain(&history)));
    }

    #[test]
    fn joining_two_views_is_absorbing_both(
        (history, part, other) in histories().prop_flat_map(|all| {
            let parts = || subsequence(all.clone(), 0..=all.len());
            (Just(all.clone()), parts(), parts())
        }),
    ) {
        let (mine, yours) = (fold(&part), fold(&other));
        let mut joined = mine.clone();
        joined.join(&yours);
        prop_assert_eq!(&joined, &fold(part.iter().chain(&other)));
        let mut turned = yours;
        turned.join(&mine);
        prop_assert_eq!(&joined, &turned);
        joined.join(&joined.clone());
        prop_assert_eq!(&joined, &turned);
        joined.join(&fold(&history));
        prop_assert_eq!(joined, fold(&history));
    }

    #[test]
    fn a_final_status_is_final(history in histories()) {
        let mut job = Job::default();
        for recorded in &history {
            let before = job.clone();
            job.absorb(recorded);
            if before.status().is_final() {
                prop_assert_eq!(&before.ended, &job.ended);
                prop_assert_eq!(before.status(), job.status());
            } else {
                prop_assert!(before.status() <= job.status());
            }
        }
    }

    #[test]
    fn progress_never_falls_within_an_attempt(history in histories()) {
        let mut job = Job::default();
        for recorded in &history {
            let (attempt, percent) = (job.shown_attempt(), job.percent());
            job.absorb(recorded);
            prop_assert!(job.percent() <= 100);
            prop_assert!(job.shown_attempt() != attempt || job.percent() >= percent || job.ended.is_some());
        }
    }

    #[test]
    fn a_decision_takes_effect_and_is_not_taken_twice(job in jobs(), command in commands()) {
        let Ok(event) = decide(&job, command.clone()) else { return Ok(()) };
        prop_assert!(job.ended.is_none() || matches!(event, Event::Requested(_)), "an event after the end");
        let mut after = job.clone();
        after.absorb(&Recorded { seq: job.seq + 1, time: job.updated_at, event: event.clone() });
        let is_fact_of_attempt = after.attempts != job.attempts || after.requested != job.requested;
        prop_assert_ne!(is_fact_of_attempt, after.ended != job.ended, "exactly one thing changes");
        prop_assert!(decide(&after, command).is_err(), "{:?} twice", event);
    }

    #[test]
    fn what_a_worker_wants_may_be(
        job in jobs(), is_first: bool, is_unwritable: bool, notes in memories(), now in 0..200_000_i64,
    ) {
        let mut seen = remember(&job, is_first, &notes);
        seen.is_unwritable = is_unwritable;
        let now = moment(now);
        match next_step(&job, &seen, now, &Policy::default()) {
            Step::Record(command) => {
                let decision = decide(&job, command.clone());
                prop_assert!(decision.is_ok(), "{command:?} gives {decision:?}");
            }
            Step::Wait { until, .. } => prop_assert!(now < until, "a wait for a moment that is past"),
            Step::Done => prop_assert!(job.ended.is_some() || job.requested.is_none(), "a live job is let go"),
            Step::Dispatch(n) => prop_assert!(n == job.current_attempt() && job.ended.is_none()),
            Step::Ask(n, call) => prop_assert!(job.calls(n).contains(&call)),
            Step::Look(n) => prop_assert_eq!(n, job.current_attempt()),
            Step::Stop(n, calls) => prop_assert!(job.calls(n).iter().all(|call| calls.contains(call))),
        }
    }

    #[test]
    fn garbage_is_read_without_panic(
        subject in ".{0,80}", payload in proptest::collection::vec(any::<u8>(), 0..200), kind in kinds(), text in "\\PC{0,60}",
    ) {
        _ = Event::read(&subject, &payload);
        let known = subject::of(job_id(), kind);
        for payload in [payload, format!("{{\"{text}\":{text}}}").into_bytes()] {
            let (job, event) = Event::read(&known, &payload).expect("the subject is a job's");
            prop_assert_eq!(job, job_id());
            prop_assert_eq!(event.kind(), Some(kind));
            fold([&Recorded { seq: 1, time: moment(1), event }]);
        }
    }

    #[test]
    fn a_fact_survives_the_wire(event in facts()) {
        let Some(kind) = event.kind().filter(|_| !matches!(event, Event::Corrupt(..))) else { return Ok(()) };
        let read = Event::read(&subject::of(job_id(), kind), event.payload().to_string().as_bytes());
        prop_assert_eq!(read, Some((job_id(), event)));
    }

    #[test]
    fn a_job_survives_the_bucket(job in jobs()) {
        let text = serde_json::to_string(&events::Entry::from(job.clone())).expect("it is JSON");
        let entry: events::Entry = serde_json::from_str(&text).expect("it is an entry");
        prop_assert_eq!(entry.job, job);
    }

    #[test]
    fn subjects_keys_and_moments_are_read_as_they_are_written(
        kind in kinds(), bytes: [u8; 10], ms in 0..200_000_000_000_000_i64, extension in "[a-z0-9]{1,8}",
    ) {
        let job = JobId::new(u64::try_from(ms).expect("it is not negative") & 0xffff_ffff_ffff, bytes);
        prop_assert_eq!(subject::parse(&subject::of(job, kind)), Some((job, Some(kind))));
        prop_assert_eq!(JobId::parse(&job.to_string()), Ok(job));
        prop_assert!(JobId::parse(&job.to_string().to_uppercase()).is_err() || !job.to_string().contains(|c: char| c.is_alphabetic()));
        let moment = Timestamp::from_unix_ms(ms);
        prop_assert_eq!(Timestamp::parse(&moment.to_string()), Ok(moment));
        for key in [AudioKey::of_job(job, &extension), AudioKey::of_upload(job, &extension)] {
            let key = key.expect("the extension is right");
            prop_assert_eq!(AudioKey::parse(&key.to_string()), Ok(key));
        }
    }

    #[test]
    fn a_capability_holds_and_nothing_else_does(
        n in 1..=Attempt::MAX, seconds in 1..3_000_000_000_i64, at in any::<proptest::sample::Index>(), byte in 32..127_u8,
    ) {
        let roots = Roots::parse("new:0123456789abcdef0123456789abcdef,old:fedcba9876543210fedcba9876543210").expect("they are roots");
        let grant = Grant { job: job_id(), attempt: attempt(n), expires: Timestamp::from_unix_ms(seconds * 1000) };
        let secret = roots.mint(&grant);
        let now = Timestamp::from_unix_ms(seconds * 1000 - 1);
        prop_assert_eq!(roots.verify(secret.expose(), now), Ok(grant));
        prop_assert!(roots.verify(secret.expose(), grant.expires).is_err(), "it has ended");
        let mut forged = secret.expose().as_bytes().to_vec();
        let place = at.index(forged.len());
        let is_same = std::mem::replace(&mut forged[place], byte) == byte;
        let forged = String::from_utf8(forged).expect("it is ASCII");
        prop_assert_eq!(roots.verify(&forged, now).is_ok(), is_same);
        prop_assert!(roots.verify(&secret.expose()[..place], now).is_err());
        let longer = secret.expose().to_owned() + "0";
        prop_assert!(roots.verify(&longer, now).is_err());
    }
}
