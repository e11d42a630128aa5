//! What is declared, against what a real server keeps.

use std::time::Duration;

use async_nats::jetstream;
use nats::topology::{self, Tunables};
use nats::{Bus, Error, Settings};

use serde_json::{Value, json};

use crate::World;

#[tokio::test]
async fn what_the_server_keeps_is_what_we_declare() {
    let world = World::new().await;
    let bus = world.bus("operator").await;
    let absent = topology::plan(&bus, &Tunables::default()).await.expect("a plan");
    assert_eq!(absent.len(), 7);
    assert_eq!(absent[0].to_string(), "stream `RENDER`: absent");

    let made = topology::provision(&bus, &Tunables::default()).await.expect("provisioned");
    assert_eq!(made, absent);
    assert_eq!(topology::drift(&bus).await.expect("readable"), []);
    assert_eq!(topology::provision(&bus, &Tunables::default()).await.expect("again"), []);
}

#[tokio::test]
async fn an_operators_choices_are_kept_and_are_no_drift() {
    let world = World::provisioned().await;
    let bus = world.bus("operator").await;
    let day = Duration::from_hours(24);
    let choices =
        Tunables { max_renders: Some(3), max_age: Some(day), max_bytes: Some(1 << 20), ..Tunables::default() };

    let changes = topology::provision(&bus, &choices).await.expect("provisioned");

    let said: Vec<_> = changes.iter().map(ToString::to_string).collect();
    assert_eq!(said.len(), 4, "{said:#?}");
    assert!(
        said.contains(&"consumer `worker` of `RENDER`: `max_ack_pending` is 8, should be 3".to_owned()),
        "{said:#?}"
    );
    assert_eq!(topology::drift(&bus).await.expect("readable"), []);
    assert_eq!(topology::provision(&bus, &Tunables::default()).await.expect("again"), []);
    let mut log = jetstream::new(bus.client().clone()).get_stream(topology::RENDER).await.expect("the log");
    assert_eq!(log.info().await.expect("readable").config.max_age, day);
}

#[tokio::test]
async fn any_other_difference_is_drift_and_is_mended_in_place() {
    let world = World::provisioned().await;
    let bus = world.bus("operator").await;
    let context = jetstream::new(bus.client().clone());
    let log = context.get_stream(topology::RENDER).await.expect("the log");
    let mut config = log.cached_info().config.clone();
    config.subjects.pop();
    config.description = Some("edited".into());
    context.update_stream(config).await.expect("edited");
    log.delete_consumer(topology::WORKER).await.expect("deleted");

    let said: Vec<_> = topology::drift(&bus).await.expect("readable").iter().map(ToString::to_string).collect();

    assert_eq!(said.len(), 2, "{said:#?}");
    assert!(said[0].contains("`subjects` is") && said[0].contains("`description` is \"edited\", should be absent"));
    assert_eq!(said[1], "consumer `worker` of `RENDER`: absent");
    topology::provision(&bus, &Tunables::default()).await.expect("mended");
    assert_eq!(topology::drift(&bus).await.expect("readable"), []);
    let created = context.get_stream(topology::RENDER).await.expect("the log").cached_info().created;
    assert_eq!(created, log.cached_info().created, "the same stream");
}

#[tokio::test]
async fn a_consumer_that_was_made_by_a_go_client_is_no_drift() {
    let world = World::provisioned().await;
    let bus = world.bus("operator").await;
    world.stream(topology::RENDER).await.delete_consumer(topology::PROJECTOR).await.expect("deleted");
    let mut config: Value =
        serde_json::from_str(include_str!("../consumers/RENDER.projector.json")).expect("a consumer's file");
    config["pause_until"] = json!("0001-01-01T00:00:00Z");
    let body = json!({"stream_name": topology::RENDER, "config": config}).to_string();
    bus.client().request("$JS.API.CONSUMER.CREATE.RENDER.projector", body.into()).await.expect("made");
    assert_eq!(topology::drift(&bus).await.expect("readable"), []);
}

#[tokio::test]
async fn an_absent_server_is_an_error_that_names_its_address_and_no_password() {
    let mut world = World::new().await;
    let address = world.server.url().trim_start_matches("nats://").to_owned();
    world.server.kill();
    let settings = Settings::new(format!("nats://user:secret@{address}"), "api");

    let error = Bus::connect(&settings).await.expect_err("nobody listens");

    assert!(matches!(error, Error::Connect { .. }) && error.is_transient());
    assert_eq!(error.to_string(), format!("cannot connect to NATS at `{address}` (`NATS_URL`)"));
}

#[tokio::test]
async fn what_was_made_for_one_server_says_what_to_do_before_anything_is_changed() {
    let world = World::provisioned().await;
    let bus = world.bus("operator").await;
    let three = Tunables { replicas: Some(3), ..Tunables::default() };

    let error = topology::provision(&bus, &three).await.expect_err("it is kept as only one server keeps it");
    let wanted = "cannot replicate stream `RENDER_PROGRESS`: it was made for one server; delete it and provision again";
    assert_eq!((error.to_string().as_str(), error.is_transient()), (wanted, false));
    assert_eq!(topology::drift(&bus).await.expect("readable"), []);

    jetstream::new(bus.client().clone()).delete_stream(topology::RENDER_PROGRESS).await.expect("deleted");
    let error = topology::provision(&bus, &three).await.expect_err("there is one server only");
    assert!(matches!(error, Error::Provision { source: nats::Cause::Refused { .. }, .. }), "{error:?}");
}
