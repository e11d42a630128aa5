//! The same thing again and again, one after the other and at once.

use events::{Attempt, Command};
use futures_util::StreamExt;
use futures_util::future::join_all;
use serde_json::json;

use super::door::{Door, MP4, call, claim_of, complete_with, failed, right};

const TIMES: usize = 50;
const AT_ONCE: usize = 8;

#[tokio::test]
async fn a_callback_that_is_replayed_fifty_times_eight_at_a_time_changes_nothing() {
    let door = Door::new().await;
    let (id, other) = (door.dispatch().await, door.dispatch().await);
    let key = door.video(id).await;
    let again = async |what: &str, path: &str, job, body: &serde_json::Value| {
        let sending = (0..TIMES).map(|_| async {
            let method = if what == "progress" { reqwest::Method::PATCH } else { reqwest::Method::POST };
            door.send(&door.url, method, path, &right(job, 1), body).await.status().as_u16()
        });
        futures_util::stream::iter(sending).buffer_unordered(AT_ONCE).collect::<Vec<u16>>().await
    };
    let claim = format!("/api/render/{id}/claim");
    assert_eq!(again("claim", &claim, id, &claim_of("fc-1", "ta-1")).await, [200; TIMES]);
    assert_eq!(door.kinds(id).await, ["requested", "dispatched", "started"]);
    let report = json!({"progress": 60, "currentStage": "rendering", "taskId": "ta-1"});
    assert_eq!(again("progress", &format!("/api/render/{id}"), id, &report).await, [204; TIMES]);
    let end = "/api/webhooks/worker";
    assert_eq!(again("complete", end, id, &complete_with(id, &key)).await, [200; TIMES]);
    assert_eq!(door.kinds(id).await, ["requested", "dispatched", "started", "completed"]);
    assert_eq!(again("failed", end, id, &failed(id)).await, [409; TIMES], "it has ended otherwise");
    assert_eq!(again("claim", &claim, id, &claim_of("fc-1", "ta-1")).await, [410; TIMES]);
    assert_eq!(again("progress", &format!("/api/render/{id}"), id, &report).await, [410; TIMES]);
    assert_eq!(again("failed", end, other, &failed(other)).await, [200; TIMES]);
    assert_eq!(door.kinds(other).await, ["requested", "dispatched", "attempt_failed"]);
    assert_eq!(door.load(id).await.completed().map(|completed| completed.attempt), Some(Attempt::FIRST));
}

#[tokio::test]
async fn of_many_containers_of_one_attempt_one_is_let_in() {
    let door = Door::new().await;
    let id = door.dispatch().await;
    let calls: Vec<_> = (0..TIMES).map(|n| claim_of(&format!("fc-{n}"), "ta-1")).collect();
    let mut told: Vec<u16> = join_all(calls.iter().map(|body| door.claim(&door.url, id, 1, body)))
        .await
        .iter()
        .map(|(status, _)| *status)
        .collect();
    told.sort_unstable();
    assert_eq!((told[0], &told[1..]), (200, &[409; TIMES - 1][..]));
}

#[tokio::test]
async fn a_late_success_of_an_older_attempt_completes_a_live_job_and_only_the_current_one_may_fail() {
    let door = Door::new().await;
    let id = door.dispatch().await;
    assert_eq!(door.report(&door.url, id, 1, &failed(id)).await.0, 200);
    let second = Attempt::new(2).expect("an attempt");
    assert_eq!(door.record(id, Command::Dispatch(second, call("fc-2"))).await, None);
    assert_eq!(door.progress(&door.url, id, 1, &json!({"progress": 90})).await.0, 410, "its time is over");
    assert_eq!(
        door.progress(&door.url, id, 2, &json!({"progress": 40})).await.0,
        204,
        "at once, whatever is remembered"
    );
    let key = door.video(id).await;
    assert_eq!(door.report(&door.url, id, 1, &complete_with(id, &key)).await.0, 200);
    assert_eq!(door.report(&door.url, id, 2, &failed(id)).await.0, 409);
    assert_eq!(door.progress(&door.url, id, 2, &json!({"progress": 50})).await.0, 410);
    let completed = door.load(id).await.completed().cloned().expect("complete");
    assert_eq!((completed.attempt, completed.output.size_bytes), (Attempt::FIRST, Some(MP4.len() as u64)));
}
