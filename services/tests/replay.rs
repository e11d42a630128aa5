//! A replay, by whatever consumer and with the real roles running, gives the same answers and renders nothing again.

use async_nats::Client;
use events::Status;
use nats::topology::{KV_JOBS, PROJECTOR, RENDER, RENDER_PROGRESS, WORKER};
use serde_json::{Value, json};

use crate::support::wait_for;
use crate::world::TestWorld;

async fn ask(client: &Client, what: &str, body: &Value) -> Value {
    let answer = client.request(format!("$JS.API.{what}"), body.to_string().into()).await.expect("an answer");
    let answer: Value = serde_json::from_slice(&answer.payload).expect("JSON");
    assert!(answer.get("error").is_none(), "{what}: {answer}");
    answer
}

/// From its first message, and until it has been through all of them.
async fn replay(client: &Client, stream: &str, consumer: &str) {
    ask(client, &format!("CONSUMER.RESET.{stream}.{consumer}"), &json!({"seq": 1})).await;
    wait_for("the consumer", async || {
        let info = ask(client, &format!("CONSUMER.INFO.{stream}.{consumer}"), &json!({})).await;
        let is_idle = info["num_pending"] == 0 && info["num_ack_pending"] == 0;
        let has_begun = info["delivered"]["consumer_seq"] != 0;
        (is_idle && has_begun).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_replay_to_projector_and_worker_gives_the_same_answer_and_renders_nothing_again() {
    let mut world = TestWorld::start().await;
    let job = world.submit(&world.music(1)).await.job_id;
    let before = world.wait_for_end(job).await;
    assert_eq!(before.status, Status::Complete, "{:?}", before.error);
    let bus = world.world().bus().await.expect("connected");
    let calls_at = format!("{}/calls", world.world().addresses.modal);
    let calls = async || {
        let calls: Value = world.http.get(&calls_at).send().await.expect("an answer").json().await.expect("JSON");
        calls.as_array().expect("calls").len()
    };
    assert_eq!(calls().await, 1);
    let facts = ask(bus.client(), &format!("STREAM.INFO.{RENDER}"), &json!({})).await["state"].clone();

    ask(bus.client(), &format!("STREAM.PURGE.{KV_JOBS}"), &json!({})).await;
    for (stream, consumer) in [(RENDER, PROJECTOR), (RENDER_PROGRESS, PROJECTOR), (RENDER, WORKER)] {
        replay(bus.client(), stream, consumer).await;
    }

    assert_eq!(nats::verify(&bus, &|_, _| ()).await.expect("verified").differences, []);
    let after = world.wait_for_end(job).await;
    assert_eq!(
        json!([after.status, after.result, after.created_at]),
        json!([before.status, before.result, before.created_at])
    );
    let now = ask(bus.client(), &format!("STREAM.INFO.{RENDER}"), &json!({})).await["state"].clone();
    assert_eq!((calls().await, &now["last_seq"]), (1, &facts["last_seq"]), "neither a call nor a fact is new");
    world.stop().await;
}
