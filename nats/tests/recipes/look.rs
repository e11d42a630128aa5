//! Recipes that look.

use events::event::{Cancelled, Progressed};
use events::{Attempt, Event};
use nats::topology::{self, RENDER, WORKER};
use serde_json::Value;

use super::history::{self, COMPLETE, FAILED, RUNNING, WAITING};
use crate::way::Way;
use crate::world::{World, job_id, wait_for};

#[tokio::test]
async fn the_topology_is_made_from_the_files() {
    let world = World::new().await;
    Way::to(&world).run("Make the streams, the consumers and the bucket").await.expect("made");
    assert_eq!(topology::drift(&world.bus("operator").await).await.expect("readable"), []);
}

#[tokio::test]
async fn the_queue_is_counted_and_watched() {
    let world = World::provisioned().await;
    history::write(&world).await;
    let (way, log) = (Way::to(&world), world.log("webhook").await);
    let said = way.run("Watch the queue").await.expect("counted");
    let info: Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!((info["num_pending"].as_u64(), info["num_ack_pending"].as_u64()), (Some(4), Some(0)));

    let watched = way.follow("Watch the queue").await;
    let subject = format!("render.{}.progressed", job_id(RUNNING));
    let reported = async || {
        log.report(job_id(RUNNING), Progressed::new(Attempt::FIRST, 60)).await;
        let said = watched.said();
        (said.contains(&subject) && said.contains("60")).then_some(())
    };
    wait_for("a report", reported).await;
}

#[tokio::test]
async fn a_timeline_is_every_fact_of_one_job_in_order() {
    let world = World::provisioned().await;
    history::write(&world).await;
    let id = job_id(COMPLETE);
    let said = Way::to(&world).with("JOB", id).run("See a job's timeline").await.expect("told");
    let facts = ["requested", "dispatched.1", "started.1", "completed"].map(|kind| format!("render.{id}.{kind}"));
    let places: Vec<_> =
        facts.iter().map(|fact| said.find(fact).unwrap_or_else(|| panic!("{fact} in {said}"))).collect();
    assert!(places.is_sorted(), "{said}");
    assert!(said.contains("\"inputId\":\"in-1\"") && !said.contains(&job_id(FAILED).to_string()), "{said}");
}

#[tokio::test]
async fn the_kv_is_listed_read_and_followed() {
    let world = World::provisioned().await;
    history::write(&world).await;
    let _projector = history::projector(&world).await;
    let entries = history::entries(&world).await;
    let id = job_id(COMPLETE);
    let way = Way::to(&world).with("JOB", id);
    let said = way.run("Inspect the KV").await.expect("read");
    for id in entries.keys() {
        assert!(said.contains(&id.to_string()), "{id} in {said}");
    }
    let entry = serde_json::to_string(&entries[&id]).expect("JSON");
    assert!(said.contains(&entry) && entry.contains("\"status\":\"complete\""), "{said}");

    let watched = way.follow("Inspect the KV").await;
    wait_for("the entries that are there", async || watched.said().contains(&entry).then_some(())).await;
    let cancel = Event::Cancelled(Cancelled { reason: "enough".into() });
    history::append(&world.log("api").await, job_id(WAITING), &cancel).await;
    wait_for("a change", async || watched.said().contains("\"status\":\"cancelled\"").then_some(())).await;
}

#[tokio::test]
async fn the_render_limit_is_changed_and_nothing_else() {
    let world = World::provisioned().await;
    Way::to(&world).with("COUNT", 3).run("Change the render limit").await.expect("changed");
    assert_eq!(world.consumer(RENDER, WORKER).await.config.max_ack_pending, 3);
    assert_eq!(topology::drift(&world.bus("operator").await).await.expect("readable"), []);
}
