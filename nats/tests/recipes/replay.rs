//! Recipes that replay: none of them renders anything again.

use std::time::Duration;

use nats::topology::{RENDER, RENDER_PROGRESS};

use super::beside::Beside;
use super::history::{self, COMPLETE, FACTS, RUNNING, append};
use crate::way::Way;
use crate::world::{World, job_id, requested, wait_for};

/// A world with four jobs and a worker that has taken them.
async fn past() -> (World, Beside) {
    let world = World::provisioned().await;
    history::write(&world).await;
    let beside = Beside::start(&world).await;
    (world, beside)
}

/// How many messages of the log the output shows.
fn shown(said: &str) -> usize {
    said.matches("render.").count()
}

#[tokio::test]
async fn the_whole_log_is_replayed() {
    let (world, beside) = past().await;
    let said = Way::to(&world).with("COUNT", FACTS).run("Replay the whole log").await.expect("replayed");
    assert!(shown(&said) >= 10 && said.contains(&format!("render.{}.started.1", job_id(RUNNING))), "{said}");
    beside.noticed_nothing(&world).await;
}

#[tokio::test]
async fn the_log_is_replayed_from_a_sequence() {
    let (world, beside) = past().await;
    let way = Way::to(&world).with("SEQ", 4).with("COUNT", FACTS - 3);
    let said = way.run("Replay from a sequence").await.expect("replayed");
    let id = job_id(COMPLETE);
    assert!(
        said.contains(&format!("render.{id}.completed")) && !said.contains(&format!("render.{id}.started")),
        "{said}"
    );
    beside.noticed_nothing(&world).await;
}

#[tokio::test]
async fn the_log_is_replayed_from_a_time() {
    let (world, beside) = past().await;
    let fifth = world.stream(RENDER).await.get_raw_message(5).await.expect("a fact");
    let time = fifth.time.format(&time::format_description::well_known::Rfc3339).expect("a time");
    let way = Way::to(&world).with("TIME", time).with("COUNT", FACTS - 4);
    let said = way.run("Replay from a time").await.expect("replayed");
    assert!(said.contains(fifth.subject.as_str()), "{said}");
    assert!(!said.contains(&job_id(COMPLETE).to_string()), "{said}");
    beside.noticed_nothing(&world).await;
}

#[tokio::test]
async fn the_log_is_replayed_at_its_own_speed() {
    let world = World::provisioned().await;
    let log = world.log("api").await;
    append(&log, job_id(1), &requested()).await;
    let first = world.stream(RENDER).await.get_raw_message(1).await.expect("stored").time;
    let gap = Duration::from_millis(600);
    // The second one is later by as much as a replay must take.
    wait_for("the server's clock", async || (time::OffsetDateTime::now_utc() - first > gap).then_some(())).await;
    append(&log, job_id(2), &requested()).await;

    let started = std::time::Instant::now();
    let said = Way::to(&world).with("COUNT", 2).run("Replay at the original speed").await.expect("replayed");
    assert!(started.elapsed() >= gap, "{:?}", started.elapsed());
    assert!(said.contains(&job_id(2).to_string()), "{said}");
}

#[tokio::test]
async fn the_kv_is_rebuilt_from_the_log() {
    let (world, beside) = past().await;
    let _projector = history::projector(&world).await;
    let before = history::entries(&world).await;
    history::lose_the_bucket(&world).await;
    assert_eq!(history::messages(&world, nats::topology::KV_JOBS).await, 0);
    Way::to(&world).run("Rebuild the KV").await.expect("rebuilt");
    assert_eq!(history::entries(&world).await, before);
    for stream in [RENDER, RENDER_PROGRESS] {
        let told = world.stream(stream).await.cached_info().state.last_sequence;
        let idle = async || {
            let info = world.consumer(stream, nats::topology::PROJECTOR).await;
            (info.ack_floor.stream_sequence == told).then_some(())
        };
        wait_for("the projector", idle).await;
    }
    beside.noticed_nothing(&world).await;
}

#[tokio::test]
async fn a_backup_restored_elsewhere_gives_the_same_kv_and_renders_nothing_again() {
    let (world, beside) = past().await;
    let before = {
        let _projector = history::projector(&world).await;
        history::entries(&world).await
    };
    let (folder, other) = (crate::world::folder(), World::new().await);
    let way = Way::to(&world).with("FOLDER", folder.path().display()).and(&other);
    way.run("Back up the log").await.expect("a backup");
    beside.noticed_nothing(&world).await;
    way.run("Restore the log into another server").await.expect("restored");

    assert_eq!(nats::topology::drift(&other.bus("operator").await).await.expect("readable"), []);
    let _projector = history::projector(&other).await;
    assert_eq!(history::entries(&other).await, before);
    let worker = other.consumer(RENDER, nats::topology::WORKER).await;
    assert_eq!((worker.num_ack_pending, worker.num_pending), (2, 0), "only what had not ended comes again");
}
