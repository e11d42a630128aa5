//! Dead letters as they are read, and what reading one again does.

use async_nats::HeaderMap;
use events::{Kind, subject};
use nats::topology::RENDER_DEAD;
use nats::{Jobs, Letters, Place, Redriven, project};
use tokio_util::sync::CancellationToken;

use crate::{World, job_id, requested, wait_for};

/// Keeps a letter with this number as the projector would; a second one of the same number takes its place.
async fn keep(world: &World, n: u64, stream: &str, sequence: u64) {
    let mut headers = HeaderMap::new();
    headers.insert(nats::dead::REASON, "because");
    headers.insert(nats::dead::STREAM, stream);
    headers.insert(nats::dead::SEQUENCE, sequence.to_string());
    let to = subject::dead(&subject::of(job_id(n), Kind::Completed));
    let client = world.bus("projector").await.client().clone();
    let kept = client.request_with_headers(to, headers, format!("letter {n}").into()).await.expect("an answer");
    assert!(!String::from_utf8_lossy(&kept.payload).contains("\"error\""), "{kept:?}");
}

#[tokio::test]
async fn pages_of_letters_leave_none_out_and_jump_over_gaps() {
    let world = World::provisioned().await;
    let letters = Letters::new(world.bus("api").await);
    assert_eq!((letters.before(u64::MAX, 10).await.expect("read"), letters.total().await.expect("read")), (vec![], 0));
    for n in 1..=10 {
        keep(&world, n, "RENDER", n).await;
    }
    // Forty times anew: a gap in the middle that is much longer than a page, and the first one still there.
    for _ in 0..40 {
        for n in 4..=8 {
            keep(&world, n, "RENDER", n).await;
        }
    }
    assert_eq!(world.stream(RENDER_DEAD).await.cached_info().state.last_sequence, 210);
    assert_eq!(letters.total().await.expect("read"), 10);
    for size in [1, 3, 10, 100] {
        let (mut found, mut before) = (Vec::new(), u64::MAX);
        loop {
            let page = letters.before(before, size).await.expect("read");
            assert!(page.len() <= size);
            let Some(last) = page.last() else { break };
            before = last.seq;
            found.extend(page.into_iter().map(|letter| letter.seq));
        }
        assert_eq!(found, [210, 209, 208, 207, 206, 10, 9, 3, 2, 1], "by {size}");
    }
    let letter = letters.get(209).await.expect("read").expect("a letter");
    assert_eq!((letter.job, letter.payload.as_slice()), (Some(job_id(7)), b"letter 7".as_slice()));
    assert_eq!((letter.reason.as_str(), letter.place), ("because", Place { stream: "RENDER".into(), sequence: 7 }));
    assert_eq!(letters.get(100).await.expect("read"), None, "another one has taken its place");
}

#[tokio::test]
async fn a_letter_is_shown_whatever_its_message_was() {
    let world = World::provisioned().await;
    let to = subject::dead(&subject::of(job_id(1), Kind::Completed));
    world.publish_raw(to.as_bytes(), b"NATS/1.0\r\nno colon\r\nX: \xff\r\n\r\n", b"\xff").await;
    let letters = Letters::new(world.bus("api").await);
    let letter = letters.before(u64::MAX, 1).await.expect("read").remove(0);
    assert_eq!(letter.headers, [("X".to_owned(), "\u{fffd}".to_owned())]);
    assert_eq!((letter.payload, letter.place.sequence), (vec![0xff], 0));
}

#[tokio::test]
async fn reading_again_brings_back_what_comes_from_there_on() {
    let world = World::provisioned().await;
    let (log, jobs) = (world.log("api").await, Jobs::new(world.bus("api").await));
    let (stop, bus) = (CancellationToken::new(), world.bus("projector").await);
    let token = stop.clone();
    let projecting = tokio::spawn(async move { project(&bus, token).await });
    log.append(job_id(1), 0, &requested()).await.expect("stored");
    world.publish_raw(subject::of(job_id(2), Kind::Completed).as_bytes(), b"NATS/1.0\r\n\r\n", b"garbage").await;
    log.append(job_id(3), 0, &requested()).await.expect("stored");
    for id in [job_id(1), job_id(3)] {
        wait_for("the entry", async || jobs.get(id).await.expect("readable")).await;
    }
    let letters = Letters::new(world.bus("api").await);
    let letter = wait_for("the letter", async || letters.before(u64::MAX, 2).await.expect("read").pop()).await;
    assert_eq!((letter.job, letter.place.sequence), (Some(job_id(2)), 2));
    for id in [job_id(1), job_id(3)] {
        let gone = world.bus("operator").await.client().request(format!("$KV.JOBS.{id}"), "".into()).await;
        assert!(!String::from_utf8_lossy(&gone.expect("an answer").payload).contains("\"error\""));
    }
    assert_eq!(letters.redrive(&letter).await.expect("told"), Redriven::Done);
    wait_for("the entry", async || jobs.get(job_id(3)).await.expect("readable")).await;
    assert_eq!(jobs.get(job_id(1)).await.expect("readable"), None, "it lies before the letter's message");

    let mut other = letter.clone();
    other.place = Place { stream: "RENDER_PROGRESS".into(), sequence: 1 };
    assert_eq!(letters.redrive(&other).await.expect("told"), Redriven::OtherStream);
    other.place = Place { stream: "RENDER".into(), sequence: 99 };
    assert_eq!(letters.redrive(&other).await.expect("told"), Redriven::AgedOut);
    stop.cancel();
    projecting.await.expect("no panic");
}
