//! Every state that a job can be in, told.

use ::events::wire::client::{HistoryEvent, Poll};
use ::events::{Code, Timestamp};
use serde_json::{Value, json};

use super::story::Story;

const JOB: &str = "0193a5c0-7c1e-7b3a-9d52-1f0c8a7be001";

fn time(ms: i64) -> Timestamp {
    Timestamp::from_unix_ms(ms)
}

/// A poll with these fields, 60 s after the request.
fn poll(changes: &Value) -> Poll {
    let mut body = json!({
        "jobId": JOB, "type": "render", "status": "pending", "progress": 0, "stage": null, "attempt": 1,
        "queuePosition": null, "waitingFor": null, "until": null, "result": null, "error": null, "downloadUrl": null,
        "downloadUrlExpiresAt": null, "metadata": {}, "createdAt": time(0), "updatedAt": time(50_000),
    });
    body.as_object_mut().expect("an object").extend(changes.as_object().expect("an object").clone());
    serde_json::from_value(body).expect("a poll")
}

fn event(ms: i64, name: &str, data: &Value) -> HistoryEvent {
    let (kind, attempt) = name.split_once('.').map_or((name, None), |(kind, n)| (kind, n.parse::<u16>().ok()));
    let event = json!({"seq": 1, "time": time(ms), "event": kind, "attempt": attempt, "data": data});
    serde_json::from_value(event).expect("an event")
}

fn requested(more: &Value) -> HistoryEvent {
    let mut spec = json!({"audio": {"key": format!("renders/{JOB}/audio.wav"), "sizeBytes": 4300}});
    spec.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    event(0, "requested", &json!({"spec": spec}))
}

fn story(changes: &Value, events: &[HistoryEvent]) -> (String, Value) {
    let story = Story::of(&poll(changes), events, None, time(60_000));
    (story.text(Some(1000)).replace(JOB, "JOB"), serde_json::to_value(story).expect("JSON"))
}

/// Whether each part says what it should.
fn check(changes: &Value, events: &[HistoryEvent], parts: [&str; 3]) {
    let (text, story) = story(changes, events);
    for (name, part) in ["happened", "now", "next"].into_iter().zip(parts) {
        let told = match &story[name] {
            Value::Array(sentences) => sentences.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" "),
            other => other.as_str().unwrap_or_default().replace(JOB, "JOB"),
        };
        assert!(told.contains(part), "`{part}` is not in {name}:\n{text}");
    }
}

fn dispatched(ms: i64, n: u16) -> HistoryEvent {
    event(ms, &format!("dispatched.{n}"), &json!({"callId": "fc-1", "gpu": true}))
}

fn started(ms: i64, n: u16) -> HistoryEvent {
    event(ms, &format!("started.{n}"), &json!({"callId": "fc-1", "inputId": "in-1"}))
}

fn broken(ms: i64, n: u16, retryable: bool) -> HistoryEvent {
    let failure = json!({"code": "container_crashed", "message": "the container died", "retryable": retryable});
    event(ms, &format!("attempt_failed.{n}"), &json!({"failure": failure}))
}

#[test]
fn a_whole_life_is_a_story_in_lines_of_a_hundred_characters() {
    let completed = json!({"attempt": 2, "output": {"videoKey": "v", "durationSeconds": 20.0, "sizeBytes": 5_347_738}});
    let events = [
        requested(&json!({"mode": "mist", "retryOf": JOB})),
        dispatched(1200, 1),
        started(1300, 1),
        broken(9300, 1, true),
        dispatched(14_300, 2),
        started(15_300, 2),
        event(40_300, "completed", &completed),
    ];
    let changes = json!({"status": "complete", "attempt": 2, "downloadUrlExpiresAt": time(600_000)});
    let expected = "\
What happened
  A render was asked for 60 s ago, the same again as job JOB:
  flat-1080p-landscape, mist, 30 fps, from 4.2 KiB of audio.
  After 1.2 s in the queue the GPU provider took it.
  100 ms later a container began to render it.
  8.0 s later attempt 1 ended: the container died (`container_crashed`); another attempt may go
  better.
  5.0 s later the GPU provider took it for attempt 2.
  1.0 s later a container began attempt 2.
  25 s later the video was there, made by attempt 2, 40 s after the request: 20 s of video, 5.1 MiB.
Now
  It was complete 10 s ago.
Next
  `kiln download JOB` fetches the video (the address in a poll
  lasts until 1970-01-01T00:10:00.000Z).
";
    assert_eq!(story(&changes, &events).0, expected);
}

#[test]
fn whoever_waits_is_told_for_whom_and_until_when() {
    let first = [requested(&json!({}))];
    let waiting = |reason: &str| json!({"waitingFor": reason});
    check(
        &json!({"waitingFor": "slot", "queuePosition": 1}),
        &first,
        ["asked for", "the next in the queue", "gets it"],
    );
    check(
        &json!({"waitingFor": "slot", "queuePosition": 2}),
        &first,
        ["", "one job is before it", "2 more attempts are left"],
    );
    check(&json!({"waitingFor": "slot", "queuePosition": 9}), &first, ["", "8 jobs are before it", ""]);
    check(&waiting("slot"), &first, ["", "waits in the queue. A worker takes it", ""]);
    let expiring = [requested(&json!({"expiresAt": time(120_000), "maxAttempts": 1}))];
    check(
        &waiting("slot"),
        &expiring,
        ["", "", "This is the last attempt. It is cancelled if it is not dispatched in 60 s"],
    );
    check(&waiting("modal"), &first, ["", "is asked to take it, and has not answered yet (10 s ago", "gets it"]);
    let refused = json!({"waitingFor": "modal", "until": time(70_000)});
    check(&refused, &first, ["", "next in 10 s; that costs no attempt", "The GPU provider gets it"]);
    let doubtful = json!({"waitingFor": "reconcile", "until": time(70_000)});
    check(
        &doubtful,
        &first,
        ["", "may have taken it before, without an answer", "else it fails, as the provider said"],
    );
    let processing = |more: &Value| {
        let mut changes = json!({"status": "processing", "progress": 42});
        changes.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        changes
    };
    let sent = [requested(&json!({"maxAttempts": 2})), dispatched(1000, 1)];
    let deadline = "If it fails, one more attempt is left. It fails if it has not ended in 23 h.";
    check(&processing(&waiting("container")), &sent, ["in the queue", "no container has begun attempt 1", deadline]);
    let at_work = json!({"waitingFor": "render", "stage": "downloading-audio"});
    let running = [requested(&json!({})), started(900, 1)];
    check(
        &processing(&at_work),
        &running,
        ["900 ms a container began", "downloading audio, 42 %; it was last heard of 10 s ago", "silent"],
    );
    let (stuck, silent) = (
        json!({"waitingFor": "container", "until": time(70_000)}),
        json!({"waitingFor": "render", "until": time(70_000)}),
    );
    check(&processing(&stuck), &sent, ["", "attempt 1 yet. The worker asks the provider about it, next in 10 s", ""]);
    check(
        &processing(&silent),
        &running,
        ["", "42 %. If nothing is heard of it the worker asks the GPU provider, next in 10 s", ""],
    );
    check(
        &processing(&waiting("reconcile")),
        &running,
        ["", "asks the GPU provider, and looks", "the next attempt follows"],
    );
    let again = [requested(&json!({})), started(900, 1), broken(9000, 1, true)];
    let retry = json!({"waitingFor": "retry", "attempt": 2});
    check(
        &processing(&retry),
        &again,
        ["8.1 s later attempt 1 ended", "pauses before it dispatches attempt 2", "one more"],
    );
}

#[test]
fn every_end_says_why_and_what_to_do() {
    for code in Code::ALL {
        let failure = json!({"code": code, "message": code.sentence(), "retryable": false});
        let events = [requested(&json!({})), event(5000, "failed", &json!({"failure": failure}))];
        let changes = json!({"status": "failed", "error": failure});
        let way_out = if matches!(
            code,
            Code::InvalidRequest
                | Code::AudioMissing
                | Code::AudioUnreadable
                | Code::AudioTooLarge
                | Code::AudioUrlRefused
        ) {
            "Nothing more happens by itself."
        } else {
            "`kiln retry JOB` asks again"
        };
        check(&changes, &events, ["5.0 s after the request it was given up", code.sentence(), way_out]);
    }
    let events = [requested(&json!({})), event(5000, "cancelled", &json!({"reason": "a client asked for it"}))];
    check(
        &json!({"status": "cancelled"}),
        &events,
        ["cancelled: a client asked for it", "nothing runs", "kiln retry JOB"],
    );
    let unexplained = [requested(&json!({})), event(5000, "failed", &Value::Null)];
    check(
        &json!({"status": "failed"}),
        &unexplained,
        ["cannot be read; it is not obeyed", "no reason is known", "retry"],
    );
}

#[test]
fn what_is_not_well_around_a_job_that_waits_is_told() {
    let told = |in_flight: u64, status: &str| {
        let waits = json!({"slot": 1, "modal": 0, "container": 0, "render": 0, "retry": 0, "reconcile": 0});
        let part = json!({"name": "workers", "status": status, "detail": "No worker asks for jobs."});
        let queue = json!({"waiting": 1, "oldestWaitingSeconds": 9, "inFlight": in_flight, "waitingFor": waits});
        let counts = json!({"pending": 1, "processing": 0, "complete": 0, "failed": 0, "cancelled": 0});
        let health = json!({"status": status, "parts": [part], "queue": queue, "counts": counts});
        let health = serde_json::from_value(health).expect("health");
        let waiting = poll(&json!({"waitingFor": "slot", "queuePosition": 1}));
        let story = serde_json::to_value(Story::of(&waiting, &[], Some(&health), time(60_000))).expect("JSON");
        story["now"].as_str().expect("text").to_owned()
    };
    assert!(told(1, "ok").ends_with("that run. One render runs now."), "{}", told(1, "ok"));
    assert!(told(3, "unknown").ends_with("3 renders run now."));
    assert!(
        told(0, "down").ends_with("No render runs now. Kiln is not well, which may be why: No worker asks for jobs.")
    );
}

#[test]
fn strange_facts_are_told_and_hurt_nobody() {
    let strange = event(100, "polished.3", &json!({"by": "nobody"}));
    check(&json!({}), &[requested(&json!({})), strange], ["newer release of kiln wrote `polished`", "", ""]);
    check(&json!({}), &[], ["", "The worker has it: at work", "The GPU provider gets it"]);
    check(&json!({"stage": "resolving-audio"}), &[], ["", "The worker has it: resolving audio", ""]);
    let hostile = json!({"failure": {"code": "x", "message": "\u{1b}[31mred\u{7}", "retryable": true}});
    let (text, _) = story(&json!({}), &[requested(&json!({})), event(100, "attempt_failed.1", &hostile)]);
    assert!(!text.contains('\u{1b}') && !text.contains('\u{7}') && text.contains("[31mred"), "{text:?}");
}
