//! How fast the core is: `cargo bench -p events`.

use divan::{Bencher, black_box};
use events::spec::Audio;
use events::{AudioKey, Event, Job, JobId, Policy, Recorded, Seen, Spec, Timestamp, next_step};

fn main() {
    divan::main();
}

fn id() -> JobId {
    JobId::new(1_795_348_800_000, [7; 10])
}

fn spec() -> Spec {
    let key = AudioKey::of_job(id(), "flac").expect("it is an extension");
    Spec::new(Audio::Stored { key, sha256: Some("e".repeat(64)), size_bytes: Some(1_000_000) })
}

/// Subjects and payloads of a job on its second attempt.
fn messages() -> Vec<(String, Vec<u8>)> {
    let request = serde_json::json!({ "spec": spec() }).to_string();
    let failure =
        r#"{"failure":{"code":"container_crashed","message":"the render's container died","retryable":true}}"#;
    [
        ("requested", request.as_str()),
        ("dispatched.1", r#"{"callId":"fc-1","gpu":true}"#),
        ("started.1", r#"{"callId":"fc-1","inputId":"in-1"}"#),
        ("attempt_failed.1", failure),
        ("dispatched.2", r#"{"callId":"fc-2","gpu":true}"#),
    ]
    .map(|(kind, payload)| (format!("render.{}.{kind}", id()), payload.as_bytes().to_vec()))
    .into()
}

fn history() -> Vec<Recorded> {
    let read = |(subject, payload): &(String, Vec<u8>)| Event::read(subject, payload).expect("it is a job's").1;
    let time = Timestamp::from_unix_ms(1_795_348_800_000);
    messages().iter().zip(1..).map(|(message, seq)| Recorded { seq, time, event: read(message) }).collect()
}

fn job() -> Job {
    history().iter().fold(Job::default(), |mut job, recorded| {
        job.absorb(recorded);
        job
    })
}

/// One fact that the job does not know yet, and (`false`) one that it does.
#[divan::bench(args = [true, false])]
fn absorb_one(bencher: Bencher<'_, '_>, is_new: bool) {
    let history = history();
    let before = history[..4].iter().fold(Job::default(), |mut job, recorded| {
        job.absorb(recorded);
        job
    });
    let recorded = &history[if is_new { 4 } else { 0 }];
    bencher.with_inputs(|| before.clone()).bench_local_refs(|job| job.absorb(black_box(recorded)));
}

#[divan::bench]
fn absorb_a_history_of_five(bencher: Bencher<'_, '_>) {
    let history = history();
    bencher.bench_local(|| {
        let mut job = Job::default();
        for recorded in black_box(&history) {
            job.absorb(recorded);
        }
        job
    });
}

/// Seconds after the last fact: waiting, and asking.
#[divan::bench(args = [1, 3600])]
fn decide_the_next_step(bencher: Bencher<'_, '_>, seconds: u64) {
    let (job, seen, policy) = (job(), Seen::new(id(), true), Policy::default());
    let now = job.updated_at + std::time::Duration::from_secs(seconds);
    bencher.bench_local(|| next_step(black_box(&job), &seen, now, &policy));
}

#[divan::bench(args = ["requested", "dispatched.2"])]
fn read_an_event(bencher: Bencher<'_, '_>, kind: &str) {
    let (subject, payload) = messages().into_iter().find(|(subject, _)| subject.ends_with(kind)).expect("it is there");
    bencher.bench_local(|| Event::read(black_box(&subject), black_box(&payload)));
}

#[divan::bench]
fn write_a_request(bencher: Bencher<'_, '_>) {
    let event = history().swap_remove(0).event;
    bencher.bench_local(|| black_box(&event).payload().to_string());
}

#[divan::bench]
fn write_and_read_a_job_entry(bencher: Bencher<'_, '_>) {
    let entry = events::Entry::from(job());
    bencher.bench_local(|| {
        let text = serde_json::to_vec(black_box(&entry)).expect("it is JSON");
        serde_json::from_slice::<events::Entry>(&text).expect("it is an entry")
    });
}
