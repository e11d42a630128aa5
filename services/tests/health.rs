//! How kiln says that it is, when all is well and when it is not.

use events::Status;
use serde_json::{Value, json};

use crate::follow::desk::{Desk, cancelled, job_id, requested};
use crate::support::wait_for;
use crate::world::TestWorld;

impl TestWorld {
    pub(crate) async fn health(&self) -> Value {
        let answer = self.http.get(self.url("/api/health")).send().await.expect("an answer");
        assert_eq!(answer.status(), 200);
        answer.json().await.expect("JSON")
    }

    /// Until this part is so.
    async fn wait_for_part(&self, name: &str, status: &str) -> Value {
        wait_for(&format!("`{name}` to be `{status}`"), async || {
            Some(self.health().await).filter(|health| part(health, name)["status"] == status)
        })
        .await
    }
}

pub(crate) fn part<'a>(health: &'a Value, name: &str) -> &'a Value {
    let parts = health["parts"].as_array().expect("there are parts");
    parts.iter().find(|part| part["name"] == name).unwrap_or_else(|| panic!("no `{name}`: {health}"))
}

fn statuses(health: &Value) -> Vec<&str> {
    ["log", "store", "provider", "projection", "workers"]
        .map(|name| part(health, name)["status"].as_str().expect("text"))
        .into()
}

#[tokio::test]
async fn all_is_well_and_a_render_shows_where_it_is() {
    let world = TestWorld::start().await;
    let health = world.wait_for_part("projection", "ok").await;
    assert_eq!(statuses(&health), ["ok", "ok", "unknown", "ok", "ok"], "{health}");
    assert_eq!((&health["status"], &health["queue"]["waiting"]), (&json!("ok"), &json!(0)));
    assert_eq!(health["queue"]["oldestWaitingSeconds"], Value::Null);
    let job = world.submit(&world.music(20)).await.job_id;
    let health = wait_for("the render", async || {
        Some(world.health().await).filter(|health| health["queue"]["waitingFor"]["render"] == 1)
    });
    let health = health.await;
    assert_eq!((&health["queue"]["inFlight"], &part(&health, "provider")["status"]), (&json!(1), &json!("ok")));
    assert_eq!(health["counts"]["processing"], 1);
    let cancel = world.http.delete(world.url(&format!("/api/render/{job}")));
    assert_eq!(cancel.send().await.expect("an answer").status(), 200);
    let health =
        wait_for("the end", async || Some(world.health().await).filter(|health| health["queue"]["inFlight"] == 0));
    let health = health.await;
    assert_eq!((&health["queue"]["waitingFor"]["render"], &health["counts"]["cancelled"]), (&json!(0), &json!(1)));
    world.stop().await;
}

#[tokio::test]
async fn a_provider_that_refuses_us_is_down_and_what_waits_for_it_is_counted() {
    let world = TestWorld::start_faulty(&["refuse-401"]).await;
    let job = world.submit(&world.music(1)).await.job_id;
    let health = world.wait_for_part("provider", "down").await;
    assert_eq!((&health["status"], &health["queue"]["waitingFor"]["modal"]), (&json!("degraded"), &json!(1)));
    assert!(health["queue"]["oldestWaitingSeconds"].is_u64(), "{health}");
    world.faults(json!({"refuse-401": 0})).await;
    world.wait_for_status(job, Status::Complete).await;
    world.wait_for_part("provider", "unknown").await;
    world.stop().await;
}

#[tokio::test]
async fn without_a_store_it_is_down_and_without_workers_and_projectors_it_says_who_is_missing() {
    let mut desk = Desk::start().await;
    let office = desk.api().await;
    let health = office.get("/api/health", &[]).await.body;
    assert_eq!(statuses(&health), ["ok", "down", "unknown", "degraded", "degraded"], "{health}");
    assert_eq!(health["status"], "down");
    let projecting = desk.projector();
    desk.live(job_id(1), &[requested()]).await;
    desk.live(job_id(2), &[requested(), cancelled()]).await;
    let health = wait_for("the jobs", async || {
        let health = office.get("/api/health", &[]).await.body;
        (health["counts"]["cancelled"] == 1 && part(&health, "projection")["status"] == "ok").then_some(health)
    });
    let health = health.await;
    assert_eq!(statuses(&health), ["ok", "down", "unknown", "ok", "down"], "{health}");
    assert_eq!((&health["queue"]["waiting"], &health["queue"]["waitingFor"]["slot"]), (&json!(1), &json!(1)));
    drop(projecting);
    desk.live(job_id(1), &[cancelled()]).await;
    let health = wait_for("the projector's absence", async || {
        let health = office.get("/api/health", &[]).await.body;
        (part(&health, "projection")["status"] == "degraded").then_some(health)
    });
    let detail = part(&health.await, "projection")["detail"].as_str().expect("text").to_owned();
    assert!(detail.contains("1 event ahead"), "{detail}");
}

#[tokio::test]
async fn without_nats_the_log_is_down_and_what_only_nats_knows_is_unknown() {
    let mut world = TestWorld::start().await;
    world.wait_for_part("projection", "ok").await;
    world.world().nats().kill();
    let health = world.wait_for_part("log", "down").await;
    assert_eq!(statuses(&health), ["down", "ok", "unknown", "unknown", "unknown"], "{health}");
    assert_eq!(health["status"], "down");
    world.world().nats().restart().await.expect("it starts again");
    world.wait_for_part("log", "ok").await;
    world.stop().await;
}
