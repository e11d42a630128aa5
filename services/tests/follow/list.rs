//! Lists, histories, and cancelling.

use events::Status;
use serde_json::{Value, json};

use super::desk::{Desk, cancelled, job_id, life, requested};
use crate::support::wait_for;

fn ids(page: &Value) -> Vec<String> {
    let jobs = page["jobs"].as_array().expect("a page");
    jobs.iter().map(|job| job["jobId"].as_str().expect("an id").to_owned()).collect()
}

#[tokio::test]
async fn pages_are_stable_true_and_as_a_poll_tells_them() {
    let mut desk = Desk::start().await;
    let api = desk.api().await;
    let _projector = desk.projector();
    for n in 1..=25 {
        desk.live(job_id(n), &[requested()]).await;
    }
    desk.live(job_id(7), &[cancelled()]).await;
    desk.live(job_id(8), &life(job_id(8))[1..]).await;
    let counts = json!({"pending": 23, "processing": 0, "complete": 1, "failed": 0, "cancelled": 1});
    let (_, first) =
        wait_for("the index", async || Some(api.list("limit=10").await).filter(|(_, page)| page["counts"] == counts))
            .await;
    let wanted = |from: u64, to: u64| (to..=from).rev().map(|n| job_id(n).to_string()).collect::<Vec<_>>();
    assert_eq!(ids(&first), wanted(25, 16));
    let page = api.get("/api/render?limit=10", &[]).await;
    let again = api.get("/api/render?limit=10", &[("if-none-match", &page.etag)]).await;
    assert_eq!((page.status, again.status, &again.etag, again.body), (200, 304, &page.etag, Value::Null));
    assert_eq!(api.get("/api/render?limit=9", &[("if-none-match", &page.etag)]).await.status, 200, "another page");
    // What is new does not move what comes after the cursor.
    desk.live(job_id(26), &[requested()]).await;
    let news = async || api.get("/api/render?limit=10", &[("if-none-match", &page.etag)]).await.status == 200;
    wait_for("the news", async || news().await.then_some(())).await;
    let next = |page: &Value| page["nextCursor"].as_str().expect("there is more").to_owned();
    let (_, second) = api.list(&format!("limit=10&cursor={}", next(&first))).await;
    let (_, third) = api.list(&format!("limit=10&cursor={}", next(&second))).await;
    assert_eq!((ids(&second), ids(&third)), (wanted(15, 6), wanted(5, 1)));
    assert_eq!(third["nextCursor"], Value::Null);
    let (_, complete) = api.list("status=complete&limit=&cursor=").await;
    assert_eq!(ids(&complete), wanted(8, 8));
    let mut poll = api.poll(job_id(8), &[]).await.body;
    poll["downloadUrl"] = Value::Null;
    poll["downloadUrlExpiresAt"] = Value::Null;
    assert_eq!(complete["jobs"][0], poll);
    let (_, waiting) = api.list("status=pending&limit=3&cursor=6").await;
    let positions: Vec<_> =
        waiting["jobs"].as_array().expect("a page").iter().map(|job| &job["queuePosition"]).collect();
    assert_eq!(positions, [&json!(5), &json!(4), &json!(3)]);

    desk.lose_bucket().await;
    let (status, page) = api.list("limit=100&status=cancelled").await;
    assert_eq!((status, ids(&page)), (200, wanted(7, 7)), "the log has it");
}

#[tokio::test]
async fn a_strange_parameter_is_named_and_a_list_waits_for_the_index() {
    let mut desk = Desk::start().await;
    let api = desk.api().await;
    let names = Status::ALL.map(Status::name).join("`, `");
    for (query, detail) in [
        ("limit=0", "`limit` must"),
        ("limit=101", "`limit` must"),
        ("limit=-1", "`limit` must"),
        ("limit=%2B5", "`limit` must"),
        ("limit=1e2", "`limit` must"),
        ("limit=99999999999999999999", "`limit` must"),
        ("limit=5&limit=6", "`limit` is given twice"),
        ("status=done", names.as_str()),
        ("status=Pending", "`status` must"),
        ("status=%00", "`status` must"),
        ("cursor=xyz", "`cursor` must"),
        ("cursor=-1", "`cursor` must"),
        ("cursor=00ff", "`cursor` must"),
        ("cursor=%FF%FE", "`cursor` must"),
        ("cursor=ffffffffffffffffff", "`cursor` must"),
        ("page=2", "`status`, `limit`, `cursor`"),
        ("%0d%0a=1", "`status`, `limit`, `cursor`"),
    ] {
        let (status, problem) = api.list(query).await;
        assert_eq!((status, &problem["code"]), (400, &"bad_request".into()), "{query}");
        assert!(problem["detail"].as_str().is_some_and(|told| told.contains(detail)), "{query}: {problem}");
    }
    for query in ["", "cursor=0", "cursor=ffffffffffffffff", "limit=100", "status=failed"] {
        assert_eq!(api.list(query).await, (200, api.list("").await.1), "{query}");
    }
    let blind = desk.api_with(false, |api| api).await;
    let answer = blind.get("/api/render", &[]).await;
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("2")));
    desk.live(job_id(1), &[requested()]).await;
    let poll = blind.poll(job_id(1), &[]).await;
    assert_eq!((&poll.body["status"], &poll.body["queuePosition"]), (&"pending".into(), &Value::Null));
}

#[tokio::test]
async fn a_history_tells_every_fact_in_order() {
    let mut desk = Desk::start().await;
    let api = desk.api().await;
    let id = job_id(1);
    desk.live(id, &life(id)).await;
    let history = api.get(&format!("/api/render/{id}/events"), &[]).await.body;
    let told: Vec<_> = history["events"].as_array().expect("events").iter().map(|event| &event["event"]).collect();
    assert_eq!(told, ["requested", "dispatched", "started", "completed"]);
    assert_eq!(history["events"][2]["data"], json!({"callId": "fc-1", "inputId": "in-1"}));
    assert_eq!(api.get(&format!("/api/render/{}/events", job_id(2)), &[]).await.status, 404);
    assert_eq!(api.cancel(job_id(2)).await.status, 404);
}
