//! What containers send, bent in every way: it is read without panic, and what is taken over keeps every bound.
//!
//! `PROPTEST_CASES=1000000 cargo test -p events hostile` for millions of cases. What once was trouble is a line of the corpus.

use events::capability::{Grant, Roots};
use events::event::Completed;
use events::wire::callback::{CallbackBody, ClaimBody, ProgressBody, ReportedOutput};
use events::{Event, Failure, JobId, Kind, Timestamp, subject};
use proptest::prelude::*;
use proptest::sample::Index;

use crate::fixtures::{attempt, job_id};

const CORPUS: &str = include_str!("corpus/bodies.jsonl");
const ROOTS: &str = "new:0123456789abcdef0123456789abcdef,old:fedcba9876543210fedcba9876543210";

/// The job that the corpus speaks of.
fn job() -> JobId {
    JobId::parse("0193a5c0-7c1e-7b3a-9d52-1f0c8a7be001").expect("a job")
}

/// A bend in a text.
#[derive(Clone, Debug)]
enum Bend {
    Set(Index, u8),
    Insert(Index, u8),
    Remove(Index, Index),
    Repeat(Index, Index),
    Splice(Index, Index),
}

fn bends() -> impl Strategy<Value = Vec<Bend>> {
    let (at, byte) =
        (any::<Index>, prop_oneof![any::<u8>(), proptest::sample::select(b"\"\\{}[],:.-0u\0\n/".to_vec())]);
    let bend = prop_oneof![
        (at(), byte.clone()).prop_map(|(at, byte)| Bend::Set(at, byte)),
        (at(), byte).prop_map(|(at, byte)| Bend::Insert(at, byte)),
        (at(), at()).prop_map(|(from, to)| Bend::Remove(from, to)),
        (at(), at()).prop_map(|(from, to)| Bend::Repeat(from, to)),
        (at(), at()).prop_map(|(at, line)| Bend::Splice(at, line)),
    ];
    proptest::collection::vec(bend, 0..8)
}

fn range(bytes: &[u8], from: Index, to: Index) -> std::ops::Range<usize> {
    let (from, to) = (from.index(bytes.len()), to.index(bytes.len()));
    from.min(to)..from.max(to)
}

fn bent(mut bytes: Vec<u8>, bends: &[Bend]) -> Vec<u8> {
    let lines: Vec<&str> = CORPUS.lines().collect();
    for bend in bends {
        if bytes.is_empty() || bytes.len() > 4096 {
            break;
        }
        match *bend {
            Bend::Set(at, byte) => *at.get_mut(&mut bytes) = byte,
            Bend::Insert(at, byte) => bytes.insert(at.index(bytes.len()), byte),
            Bend::Remove(from, to) => drop(bytes.drain(range(&bytes, from, to))),
            Bend::Repeat(from, to) => bytes.extend_from_within(range(&bytes, from, to)),
            Bend::Splice(at, line) => {
                let at = at.index(bytes.len());
                bytes.splice(at.., line.get(&lines).bytes());
            }
        }
    }
    bytes
}

/// Reads bytes as every body that a container sends. Whatever becomes a fact must be one that can be read back.
fn read(bytes: &[u8]) {
    _ = serde_json::from_slice::<ClaimBody>(bytes);
    _ = serde_json::from_slice::<ProgressBody>(bytes);
    let Ok(body) = serde_json::from_slice::<CallbackBody>(bytes) else { return };
    let failure = Failure::from_report(body.code.as_deref(), body.error.as_deref(), body.retryable);
    assert!(failure.is_valid(), "{failure:?}");
    if let Some(told) = &body.result {
        take(told);
    }
}

fn take(told: &ReportedOutput) {
    let Ok(output) = told.output(job()) else { return };
    let keys = [&output.video_key, &output.preview_key, &output.prepared_key];
    for key in keys.into_iter().flatten() {
        let name = key.strip_prefix(&format!("renders/{}/", job())).expect("it lies in the job's folder");
        assert!(!name.contains('/') && !name.starts_with("audio."), "{key}");
    }
    let event = Event::Completed(Completed { attempt: attempt(1), output });
    let payload = event.payload().to_string();
    let read = Event::read(&subject::of(job(), Kind::Completed), payload.as_bytes());
    assert_eq!(read, Some((job(), event)), "{payload}");
}

#[test]
fn every_line_of_the_corpus_is_read_without_panic() {
    let taken = CORPUS.lines().filter(|line| {
        read(line.as_bytes());
        let body = serde_json::from_str::<CallbackBody>(line).ok();
        body.and_then(|body| body.result).is_some_and(|told| told.output(job()).is_ok())
    });
    assert_eq!(taken.count(), 3, "the outputs in it that are right");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn bent_bodies_are_read_without_panic_and_keep_every_bound(line in any::<Index>(), bends in bends()) {
        let lines: Vec<&str> = CORPUS.lines().collect();
        read(&bent(line.get(&lines).as_bytes().to_vec(), &bends));
    }

    #[test]
    fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        read(&bytes);
    }

    #[test]
    fn a_bent_capability_opens_nothing(bends in bends(), n in 1..=4_u16) {
        let roots = Roots::parse(ROOTS).expect("roots");
        let grant = Grant { job: job_id(), attempt: attempt(n), expires: Timestamp::from_unix_ms(4_000_000_000_000) };
        let right = roots.mint(&grant);
        let text = bent(right.expose().as_bytes().to_vec(), &bends);
        if let Ok(text) = String::from_utf8(text) {
            let verified = roots.verify(&text, Timestamp::from_unix_ms(1));
            prop_assert_eq!(verified.is_ok(), text == right.expose(), "{}", text);
        }
    }

    #[test]
    fn any_text_opens_nothing(text in "\\PC{0,200}", dotted in "kiln1\\.[a-z0-9]{0,3}\\.[0-9a-f-]{0,36}\\.[0-9]{0,6}\\.[0-9]{0,14}\\.[0-9a-f]{60,66}") {
        let roots = Roots::parse(ROOTS).expect("roots");
        for text in [text, dotted] {
            prop_assert!(roots.verify(&text, Timestamp::from_unix_ms(1)).is_err());
        }
    }
}
