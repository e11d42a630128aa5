//! A log that is nearly full takes no new jobs, and lets the others end.

use events::{Command, Spec};
use nats::topology::Tunables;
use serde_json::json;

use super::desk::{Desk, answer, form, job_of};
use crate::stage::wav;

#[tokio::test]
async fn a_log_that_is_nearly_full_refuses_requests_and_takes_what_ends_a_job() {
    let mut desk = Desk::with(&Tunables { max_bytes: Some(300_000), ..Tunables::default() }).await;
    let (status, first) = answer(desk.form(Some("first"), &wav())).await;
    assert_eq!(status, 202);
    while !desk.log.room().await.expect("an answer").is_scarce() {
        let id = kiln::clock::new_id();
        let settings =
            json!({"audio": {"key": format!("renders/{id}/audio.wav")}, "renderSettings": {"x": "x".repeat(10_000)}});
        let spec: Spec = serde_json::from_value(settings).expect("a request");
        desk.log.record(id, Command::Request(spec), kiln::clock::now()).await.expect("recorded");
    }
    // One that has not asked a moment ago.
    let nats = desk.nats.url().to_owned();
    desk.url = desk.process(&nats, |api| api).await;
    let refused = form(desk.post("/api/render"), None, "", &wav()).send().await.expect("an answer");
    assert_eq!((refused.status().as_u16(), &refused.headers()["retry-after"]), (503, &"60".parse().expect("a value")));
    let problem: serde_json::Value = refused.json().await.expect("it is JSON");
    assert_eq!(problem["code"], "queue_full");
    let (status, again) = answer(desk.form(Some("first"), &wav())).await;
    assert_eq!((status.as_u16(), job_of(&again)), (202, job_of(&first)), "a repeat needs no room");
    let cancelled = desk.http.delete(format!("{}/api/render/{}", desk.url, job_of(&first))).send().await;
    assert_eq!(cancelled.expect("an answer").status(), 200, "a job that was accepted can end");
}
