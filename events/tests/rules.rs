//! The rules, pair by pair, written down by hand: what the code must say, whatever it says now.

use events::event::{Dispatched, Output, Progressed};
use events::seen::{CallReport, SubmitOutcome};
use events::{
    Code, Command, Event, Failure, Job, Policy, Recorded, Rejection, Seen, Step, Timestamp, WaitingFor, decide,
    next_step,
};

use crate::fixtures::{
    Table, attempt, attempt_failed, cancelled, completed, dispatched, job, job_id, moment, output, requested, spec,
    started, state_by_command, state_by_event,
};

/// Compares a table with a grid of letters, one row for each state.
#[track_caller]
fn check(table: &Table, letter: impl Fn(&str) -> char, expected: &str) {
    let grid: Vec<String> = table
        .rows
        .iter()
        .map(|(name, cells)| format!("{name}: {}", cells.iter().map(|cell| letter(cell)).collect::<String>()))
        .collect();
    let expected: Vec<&str> = expected.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    assert_eq!(grid, expected, "columns: {:?}", table.columns);
}

/// Columns: requested, dispatched.1, started.1, `attempt_failed.1`, dispatched.2, started.2, completed, cancelled, failed,
/// progressed; garbage in requested, started.1, failed; a kind of a newer release.
#[test]
fn every_event_in_every_state() {
    let letter = |cell: &str| match cell.split(' ').next() {
        Some("·") => '.',
        Some("pending") => 'P',
        Some("processing") => 'R',
        Some("complete") => 'C',
        Some("failed") => 'F',
        Some("cancelled") => 'X',
        _ => '?',
    };
    let expected = "
        nobody asked: PRRPRRCXFPP.F.
        invalid request: .RRPRRCXFP..F.
        waiting: .RRPRRCXFP..F.
        dispatched: ..RRRRCXFR..F.
        started: ...RRRCXFR..F.
        between attempts: ....RRCXFR..F.
        second attempt: .....RCXFR..F.
        attempts spent: ....RRCXFR..F.
        complete: ...CCC...C....
        failed: ...FFF...F....
        cancelled: ...XXX...X....
        end unreadable: ...FFF...F....";
    check(&state_by_event(), letter, expected);
}

/// Columns: request, request otherwise; dispatch, claim, claim by another, fail, complete attempt 1; dispatch, claim,
/// fail, complete attempt 2; cancel, fail.
#[test]
fn every_command_in_every_state() {
    let letter = |cell: &str| match cell.split('(').next() {
        Some("NoSuchJob") => 'N',
        Some("AlreadyKnown") => 'K',
        Some("RequestedOtherwise") => 'O',
        Some("Over") => 'v',
        Some("ClaimedElsewhere") => 'c',
        Some("Ended") => 'e',
        Some(event) if event.starts_with('`') => 'Y',
        _ => '?',
    };
    let expected = "
        nobody asked: YYNNNNNNNNNNN
        invalid request: OOvvvvYvvvYYY
        waiting: KOYYYYYvvvYYY
        dispatched: KOKYYYYvvvYYY
        started: KOKKcYYvvvYYY
        between attempts: KOvvvKYYYYYYY
        second attempt: KOvvvKYKYYYYY
        attempts spent: KOvvvKYvvKYYY
        complete: KOeeeeKeeeeee
        failed: KOeeeeeeeeeee
        cancelled: KOeeeeeeeeeee
        end unreadable: KOeeeeeeeeeee";
    check(&state_by_command(), letter, expected);
}

#[test]
fn a_command_gives_its_own_event() {
    for (name, cells) in state_by_command().rows {
        for (column, cell) in state_by_command().columns.iter().zip(cells) {
            let Some(event) = cell.strip_prefix('`') else { continue };
            let verb = column.split([' ', ',']).next().expect("it has a word");
            let expected = match verb {
                "request" => "requested",
                "dispatch" => "dispatched",
                "claim" => "started",
                "complete" => "completed",
                "cancel" => "cancelled",
                _ if *column == "fail" => "failed`",
                _ => "attempt_failed",
            };
            assert!(event.starts_with(expected), "{name}, {column}: {event}");
        }
    }
}

#[test]
fn one_fingerprint_is_one_request() {
    let with = |fingerprint: &str, fps| {
        let mut spec = spec();
        (spec.fingerprint, spec.fps) = (Some(fingerprint.to_owned()), fps);
        spec
    };
    let job = job(&[events::Event::Requested(events::event::Requested { spec: with("a", 30) })]);
    assert_eq!(decide(&job, Command::Request(with("a", 60))), Err(Rejection::AlreadyKnown));
    assert_eq!(decide(&job, Command::Request(with("b", 30))), Err(Rejection::RequestedOtherwise));
}

/// A worker's memory, one note after another.
fn seen(is_first: bool, notes: impl FnOnce(&mut Seen)) -> Seen {
    let mut seen = Seen::new(job_id(), is_first);
    notes(&mut seen);
    seen
}

/// An answer about the first attempt's call.
fn answered(seen: &mut Seen, job: &Job, seconds: i64, report: CallReport) {
    seen.answered(job, attempt(1), "fc-1".into(), moment(seconds), report);
}

fn refusal() -> Failure {
    Code::DispatchRefused.into()
}

fn wait(seconds: i64, waiting_for: WaitingFor) -> Step {
    Step::Wait { until: moment(seconds), waiting_for }
}

fn fail_attempt(n: u16, code: Code) -> Step {
    Step::Record(Command::FailAttempt(attempt(n), code.into()))
}

fn fail(code: Code) -> Step {
    Step::Record(Command::Fail(code.into()))
}

#[track_caller]
fn step(job: &Job, seen: &Seen, seconds: i64, expected: impl Into<Option<Step>>) {
    let step = next_step(job, seen, moment(seconds), &Policy::default());
    if let Step::Wait { until, waiting_for } = step {
        is_told(job.clone(), until, waiting_for);
    }
    assert_eq!(Some(step), expected.into());
}

/// What the worker says that it waits for is what people are told.
#[track_caller]
fn is_told(mut job: Job, until: Timestamp, waiting_for: WaitingFor) {
    let report =
        Progressed { waiting_for: Some(waiting_for), until: Some(until), ..Progressed::new(job.current_attempt(), 0) };
    let (seq, time) = (job.seq + 1, until);
    job.absorb(&Recorded { seq, time, event: Event::Progressed(report) });
    let told = Some((waiting_for, until)).filter(|_| job.ended.is_none());
    assert_eq!(job.waiting_for().zip(job.until()), told, "{job:?}");
}

#[test]
fn what_follows_a_submit() {
    let waiting = job(&[requested()]);
    let n = attempt(1);
    let after = |is_first, outcomes: &[SubmitOutcome]| {
        seen(is_first, |seen| outcomes.iter().for_each(|outcome| seen.submitted(n, moment(10), outcome.clone())))
    };
    let call = Dispatched { call_id: "fc-1".into(), gpu: true };
    let accepted = SubmitOutcome::Accepted(call.clone());
    let (unknown, refused) = (SubmitOutcome::Unknown, SubmitOutcome::Refused(refusal()));
    step(&waiting, &after(true, &[accepted]), 10, Step::Record(Command::Dispatch(n, call)));
    // Refused at once is final. After a doubt the container has until the start deadline; then: look, stop, fail.
    step(&waiting, &after(true, std::slice::from_ref(&refused)), 10, fail(Code::DispatchRefused));
    let doubtful = after(true, &[unknown.clone(), refused.clone()]);
    step(&waiting, &doubtful, 609, wait(610, WaitingFor::Reconcile));
    step(&waiting, &doubtful, 610, Step::Look(n));
    step(&waiting, &after(false, std::slice::from_ref(&refused)), 10, wait(610, WaitingFor::Reconcile));
    let mut looked = doubtful.clone();
    looked.looked(n, moment(610), Some(None));
    step(&waiting, &looked, 610, Step::Stop(n, vec![]));
    looked.stopped(n, moment(610), vec![], true);
    step(&waiting, &looked, 610, fail(Code::DispatchRefused));
    looked.looked(n, moment(611), Some(Some(output(1))));
    step(&waiting, &looked, 611, Step::Record(Command::Complete(n, output(1))));
    // Unknown: again under the same key, after a pause that doubles up to a minute.
    step(&waiting, &after(true, std::slice::from_ref(&unknown)), 10, wait(11, WaitingFor::Modal));
    step(&waiting, &after(true, std::slice::from_ref(&unknown)), 11, Step::Dispatch(n));
    step(&waiting, &after(true, &[unknown.clone(), unknown.clone()]), 11, wait(12, WaitingFor::Modal));
    step(&waiting, &after(true, &vec![unknown; 40]), 69, wait(70, WaitingFor::Modal));
    // Told to come back: then, and never at once.
    let later = |seconds| after(true, &[SubmitOutcome::RetryAfter(moment(seconds))]);
    step(&waiting, &later(30), 29, wait(30, WaitingFor::Modal));
    step(&waiting, &later(30), 30, Step::Dispatch(n));
    step(&waiting, &later(10), 10, wait(11, WaitingFor::Modal));
    // Set up wrongly: not before the circuit closes.
    let mut open = after(true, &[SubmitOutcome::Misconfigured]);
    step(&waiting, &open, 11, Step::Dispatch(n));
    open.circuit_until = Some(moment(40));
    step(&waiting, &open, 11, wait(40, WaitingFor::Modal));
    step(&waiting, &open, 40, Step::Dispatch(n));
}

#[test]
fn what_follows_an_answer() {
    use CallReport::{Cancelled, Completed, Failed, Lost, Running, Superseded, Unreachable};
    let running = job(&[requested(), dispatched(1), started(1)]);
    let n = attempt(1);
    let after = |reports: &[CallReport]| {
        seen(true, |seen| reports.iter().for_each(|report| answered(seen, &running, 303, report.clone())))
    };
    let with_look = |reports: &[CallReport], found: Option<Option<Output>>| {
        let mut seen = after(reports);
        seen.looked(n, moment(303), found);
        seen
    };
    step(&running, &after(&[]), 302, wait(303, WaitingFor::Render));
    step(&running, &after(&[]), 303, Step::Ask(n, "fc-1".into()));
    // It runs: ask again, ever more slowly, up to ten minutes.
    step(&running, &after(&[Running]), 332, wait(333, WaitingFor::Render));
    step(&running, &after(&[Running]), 333, Step::Ask(n, "fc-1".into()));
    step(&running, &after(&[Running, Running]), 333, wait(363, WaitingFor::Render));
    step(&running, &after(&vec![Running; 50]), 333, wait(903, WaitingFor::Render));
    step(&running, &after(&[Unreachable]), 303, wait(333, WaitingFor::Reconcile));
    // It ended: the video decides.
    for (report, code) in [
        (Completed, Code::OutputMissing),
        (Cancelled, Code::CallCancelled),
        (Failed(Code::DiskFull.into()), Code::DiskFull),
    ] {
        step(&running, &after(std::slice::from_ref(&report)), 303, Step::Look(n));
        step(&running, &with_look(std::slice::from_ref(&report), None), 303, wait(304, WaitingFor::Reconcile));
        step(&running, &with_look(std::slice::from_ref(&report), None), 304, Step::Look(n));
        step(&running, &with_look(std::slice::from_ref(&report), Some(None)), 303, fail_attempt(1, code));
        let found = with_look(&[report], Some(Some(output(1))));
        step(&running, &found, 303, Step::Record(Command::Complete(n, output(1))));
    }
    // It is unknown: only three times in a row mean lost, and then it is stopped first.
    for report in [Lost, Superseded] {
        let some = |times| with_look(&vec![report.clone(); times], Some(None));
        step(&running, &after(std::slice::from_ref(&report)), 303, Step::Look(n));
        step(&running, &some(1), 303, wait(333, WaitingFor::Reconcile));
        step(&running, &some(2), 363, Step::Ask(n, "fc-1".into()));
        step(&running, &some(3), 303, Step::Stop(n, vec!["fc-1".into()]));
        let interrupted = with_look(&[Running, Running, Running, report.clone()], Some(None));
        step(&running, &interrupted, 303, wait(333, WaitingFor::Reconcile));
        let mut stopped = some(3);
        stopped.stopped(n, moment(303), vec!["fc-1".into()], false);
        step(&running, &stopped, 303, wait(304, WaitingFor::Modal));
        step(&running, &stopped, 304, Step::Stop(n, vec!["fc-1".into()]));
        stopped.stopped(n, moment(303), vec![], true);
        step(&running, &stopped, 303, Step::Stop(n, vec!["fc-1".into()]));
        stopped.stopped(n, moment(303), vec!["fc-1".into()], true);
        step(&running, &stopped, 303, fail_attempt(1, Code::CallLost));
    }
    // A sign of life ends the questions, and their count.
    let mut heard = after(&[Running, Running, Running]);
    heard.heard = Some((n, moment(400)));
    step(&running, &heard, 699, wait(700, WaitingFor::Render));
    step(&running, &heard, 700, Step::Ask(n, "fc-1".into()));
    answered(&mut heard, &running, 700, Running);
    assert_eq!(heard.answer.as_ref().map(|answer| answer.asks), Some(1));
    let mut reported = running.clone();
    let report = events::Event::Progressed(events::event::Progressed::new(n, 50));
    reported.absorb(&events::Recorded { seq: 1, time: moment(400), event: report });
    let mut seen = after(&[Running, Running, Running]);
    answered(&mut seen, &reported, 700, Running);
    assert_eq!(seen.answer.map(|answer| answer.asks), Some(1));
}

#[test]
fn whoever_takes_a_job_over_asks_once_what_became_of_it() {
    use CallReport::{Completed, Lost, Running, Superseded, Unreachable};
    let running = job(&[requested(), dispatched(1), started(1)]);
    let n = attempt(1);
    step(&running, &seen(false, |_| ()), 4, Step::Ask(n, "fc-1".into()));
    step(&running, &seen(false, |seen| seen.heard = Some((n, moment(3)))), 4, wait(303, WaitingFor::Render));
    // Only an end is acted upon before the render has been silent for long.
    for report in [Running, Lost, Superseded, Unreachable] {
        step(&running, &seen(false, |seen| answered(seen, &running, 4, report)), 4, wait(303, WaitingFor::Render));
    }
    let ended = seen(false, |seen| answered(seen, &running, 4, Completed));
    step(&running, &ended, 4, Step::Look(n));
    // Nor is the end of a call that another one of the attempt was faster than.
    let overtaken = seen(false, |seen| seen.answered(&running, n, "fc-0".into(), moment(4), Completed));
    step(&running, &overtaken, 4, wait(303, WaitingFor::Render));
}

#[test]
fn what_follows_a_deadline() {
    let running = job(&[requested(), dispatched(1), started(1)]);
    let n = attempt(1);
    let day = 86_400 + 2;
    step(&running, &seen(true, |_| ()), day, Step::Look(n));
    let mut last = seen(true, |seen| seen.looked(n, moment(day), None));
    step(&running, &last, day, wait(day + 1, WaitingFor::Reconcile));
    last.looked(n, moment(day), Some(None));
    step(&running, &last, day, Step::Stop(n, vec!["fc-1".into()]));
    last.stopped(n, moment(day), vec!["fc-1".into()], true);
    step(&running, &last, day, fail(Code::DeadlineExceeded));
    // A wait never goes beyond it.
    let asked = seen(true, |seen| answered(seen, &running, day - 10, CallReport::Running));
    step(&running, &asked, day - 5, wait(day, WaitingFor::Render));
    // A request that was not dispatched in time is cancelled, and one that was, is not.
    let mut hasty = spec();
    hasty.expires_at = Some(moment(60));
    let request = events::Event::Requested(events::event::Requested { spec: hasty });
    let refused = seen(true, |seen| seen.submitted(n, moment(10), SubmitOutcome::RetryAfter(moment(100))));
    step(&job(std::slice::from_ref(&request)), &refused, 20, wait(60, WaitingFor::Modal));
    let late = next_step(&job(std::slice::from_ref(&request)), &refused, moment(60), &Policy::default());
    assert!(matches!(late, Step::Record(Command::Cancel(_))), "{late:?}");
    step(&job(&[request.clone(), dispatched(1)]), &seen(true, |_| ()), 60, wait(602, WaitingFor::Container));
    let again = job(&[request, dispatched(1), attempt_failed(1)]);
    let busy = seen(true, |seen| seen.submitted(attempt(2), moment(10), SubmitOutcome::RetryAfter(moment(100))));
    step(&again, &busy, 20, wait(100, WaitingFor::Modal));
}

#[test]
fn what_follows_an_end() {
    let n = attempt(1);
    let ended = job(&[requested(), cancelled()]);
    step(&ended, &seen(true, |_| ()), 5, Step::Done);
    // A worker that is not the first one cannot know what the one before it had just submitted.
    step(&ended, &seen(false, |_| ()), 5, Step::Stop(n, vec![]));
    let accepted = SubmitOutcome::Accepted(Dispatched { call_id: "fc-1".into(), gpu: false });
    let known = seen(true, |seen| seen.submitted(n, moment(3), accepted));
    step(&ended, &known, 5, Step::Stop(n, vec!["fc-1".into()]));
    step(&ended, &seen(true, |seen| seen.submitted(n, moment(3), SubmitOutcome::Unknown)), 5, Step::Stop(n, vec![]));
    step(&ended, &seen(true, |seen| seen.submitted(n, moment(3), SubmitOutcome::Misconfigured)), 5, Step::Done);
    // A late success of attempt 1 stops attempt 2, and not itself.
    let late = job(&[requested(), dispatched(1), attempt_failed(1), dispatched(2), completed(1)]);
    step(&late, &seen(true, |_| ()), 9, Step::Stop(attempt(2), vec!["fc-2".into()]));
    step(&job(&[requested(), dispatched(1), completed(1)]), &seen(false, |_| ()), 9, Step::Done);
    // Something unreadable in a fact's place: stop, then end.
    let mut unwritable = seen(true, |seen| seen.is_unwritable = true);
    let running = job(&[requested(), dispatched(1)]);
    step(&running, &unwritable, 5, Step::Stop(n, vec!["fc-1".into()]));
    unwritable.stopped(n, moment(5), vec!["fc-1".into()], true);
    step(&running, &unwritable, 5, fail(Code::LogCorrupt));
}

#[test]
fn attempts_end_when_they_are_spent_or_hopeless() {
    let with = |code: Code| {
        let failed = events::event::AttemptFailed { failure: code.into() };
        job(&[requested(), dispatched(1), events::Event::AttemptFailed(attempt(1), failed)])
    };
    step(&with(Code::AudioUnreadable), &seen(true, |_| ()), 60, fail(Code::AudioUnreadable));
    step(&with(Code::DiskFull), &seen(true, |_| ()), 60, Step::Dispatch(attempt(2)));
    let all = [requested(), dispatched(1), attempt_failed(1), dispatched(2), attempt_failed(2), dispatched(3)];
    step(&job(&all), &seen(true, |_| ()), 60, wait(606, WaitingFor::Container));
    step(&job(&[&all[..], &[attempt_failed(3)]].concat()), &seen(true, |_| ()), 60, fail(Code::RenderFailed));
    // The very last number ends too, though it has no next one.
    let mut patient = spec();
    patient.max_attempts = 200;
    let request = events::Event::Requested(events::event::Requested { spec: patient });
    let last = job(&[request, dispatched(99), attempt_failed(99)]);
    step(&last, &seen(true, |_| ()), 60, fail(Code::RenderFailed));
    assert_eq!(decide(&last, Command::Claim(attempt(99), crate::fixtures::claim(99, "in-1"))), Err(Rejection::Over));
}
