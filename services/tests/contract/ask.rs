//! The checks.

use std::collections::{BTreeMap, BTreeSet};

use events::event::is_call_id;
use events::seen::{CallReport, SubmitOutcome};
use events::wire::dispatch::{CallStatus, SubmitBody};
use events::{Attempt, Secret};
use kiln::{config, modal};
use reqwest::{Response, StatusCode};
use serde_json::{Value, json};

use super::{ENDLESS, Endpoint, FAILING, at_once, is_gone, renderer_of};
use crate::stage::{VIDEO, job};
use crate::support::wait_for;

const DOORS: [&str; 3] = ["submit", "status", "cancel"];
const JSON: &str = "application/json";

pub(super) async fn credentials(endpoint: &Endpoint<'_>) {
    for door in DOORS {
        for key in [["", ""], ["key", ""], ["", "secret"], ["key", "wrong"], ["secret", "key"]] {
            let body = endpoint.body(1).to_string();
            let refused = endpoint.send(door, JSON, key, body).await;
            assert_eq!(refused.status(), StatusCode::UNAUTHORIZED, "{door} {key:?}");
        }
    }
    assert_eq!(endpoint.cancel(1, &[]).await, BTreeMap::new(), "nothing was begun");
}

/// A refusal says why, and with what status.
async fn is_refused(answer: Response, status: StatusCode, what: &str) {
    assert_eq!(answer.status(), status, "{what}");
    let problem: Value = answer.json().await.expect("JSON");
    assert!(problem["error"].is_string() && problem["status"] == status.as_u16(), "{what}: {problem}");
}

pub(super) async fn bad_bodies(endpoint: &Endpoint<'_>) {
    let good = endpoint.body(1);
    let change = |field: &str, value: Value| {
        let mut body = good.clone();
        body[field] = value;
        body
    };
    let mut bodies = vec![
        change("attempt", json!(0)),
        change("attempt", json!("1")),
        change("attempt", json!(100)),
        change("attempt", json!(true)),
        change("job_id", json!("renders/*")),
        change("idempotency_key", json!("another")),
        change("idempotency_key", Value::Null),
        change("config", json!("text")),
        change("gpu", json!("yes")),
        change("webhook_secret", json!(1)),
    ];
    for field in good.as_object().expect("an object").keys() {
        let mut body = good.clone();
        body.as_object_mut().expect("an object").remove(field);
        bodies.push(body);
    }
    for body in bodies {
        is_refused(endpoint.post("submit", &body).await, StatusCode::UNPROCESSABLE_ENTITY, &body.to_string()).await;
    }
    for (door, body) in [
        ("status", json!({})),
        ("status", json!({"call_ids": "fc-1"})),
        ("status", json!({"call_ids": [1]})),
        ("cancel", json!({"job_id": job(), "attempt": 1})),
        ("cancel", json!({"job_id": job(), "attempt": 1, "call_ids": {}})),
        ("cancel", json!({"job_id": "x", "attempt": 1, "call_ids": []})),
    ] {
        is_refused(endpoint.post(door, &body).await, StatusCode::UNPROCESSABLE_ENTITY, &body.to_string()).await;
    }
}

pub(super) async fn bad_requests(endpoint: &Endpoint<'_>) {
    let key = ["key", "secret"];
    for door in DOORS {
        for text in ["", "{", "[]", "null", "\"text\"", &"[".repeat(100_000)] {
            let answer = endpoint.send(door, JSON, key, text.to_owned()).await;
            is_refused(answer, StatusCode::UNPROCESSABLE_ENTITY, text).await;
        }
        let good = endpoint.body(1).to_string();
        for kind in ["text/plain", "application/x-www-form-urlencoded", ""] {
            let answer = endpoint.send(door, kind, key, good.clone()).await;
            is_refused(answer, StatusCode::UNPROCESSABLE_ENTITY, kind).await;
        }
        let long = format!("{{\"call_ids\": [\"{}\"]}}", "x".repeat(3 << 20));
        is_refused(endpoint.send(door, JSON, key, long).await, StatusCode::PAYLOAD_TOO_LARGE, "too long").await;
    }
    assert_eq!(endpoint.post("elsewhere", &json!({})).await.status(), StatusCode::NOT_FOUND);
}

pub(super) async fn many_calls(endpoint: &Endpoint<'_>) {
    let calls = |count: usize| (0..count).map(|number| format!("fc-{number}")).collect::<Vec<_>>();
    let answer: Value = endpoint.ask("status", &json!({"call_ids": calls(100)})).await;
    assert_eq!(answer["calls"].as_object().map(serde_json::Map::len), Some(100));
    let refused = endpoint.post("status", &json!({"call_ids": calls(101)})).await;
    is_refused(refused, StatusCode::UNPROCESSABLE_ENTITY, "101 calls").await;
    assert_eq!(endpoint.ask::<Value>("status", &json!({"call_ids": []})).await, json!({"calls": {}}));
}

pub(super) async fn unknown_calls(endpoint: &Endpoint<'_>) {
    let answer: Value = endpoint.ask("status", &json!({"call_ids": ["fc-none", "fc-none", ""]})).await;
    let unknown = json!({"status": "unknown", "result": null, "error": null});
    assert_eq!(answer, json!({"calls": {"fc-none": unknown, "": unknown}}));
    assert_eq!(endpoint.cancel(1, &["fc-none"]).await["fc-none"], CallStatus::Unknown);
}

pub(super) async fn submit_answer(endpoint: &Endpoint<'_>) {
    let mut body = endpoint.body(2);
    (body["gpu"], body["a_field_of_a_newer_release"]) = (json!(true), json!(1));
    let answer: Value = endpoint.ask("submit", &body).await;
    let call = answer["call_id"].as_str().expect("a call");
    assert!(is_call_id(call), "{call}");
    assert_eq!(answer, json!({"call_id": call, "job_id": job(), "gpu": true, "duplicate": false}));
    endpoint.ended(call).await;
}

pub(super) async fn duplicates(endpoint: &Endpoint<'_>) {
    let answers = at_once(endpoint, 3, 20).await;
    let calls: BTreeSet<&str> = answers.iter().map(|answer| answer.call_id.as_str()).collect();
    assert_eq!(calls.len(), 1, "{calls:?}");
    assert_eq!(answers.iter().filter(|answer| !answer.duplicate).count(), 1);
    let call = &answers[0].call_id;
    assert_eq!(endpoint.ended(call).await.status, CallStatus::Completed);
    let late = endpoint.submit(3).await;
    assert_eq!((&late.call_id, late.duplicate), (call, true), "also when it has ended");
    assert_ne!(&endpoint.submit(4).await.call_id, call, "another attempt is another call");
    assert_eq!(endpoint.cancel(3, &[]).await, BTreeMap::from([(call.clone(), CallStatus::Completed)]));
}

pub(super) async fn result(endpoint: &Endpoint<'_>) {
    endpoint.stage.edit(|script| script.reports.clear());
    let call = endpoint.submit(5).await.call_id;
    assert_eq!(endpoint.ended(&call).await.status, CallStatus::Completed);
    let answer: Value = endpoint.ask("status", &json!({"call_ids": [call]})).await;
    let mut expected = endpoint.stage.edit(|script| script.reports[0]["result"].clone());
    assert_eq!(expected["videoKey"], VIDEO);
    expected["ok"] = json!(true);
    assert_eq!(answer["calls"][&call], json!({"status": "completed", "result": expected, "error": null}));
}

pub(super) async fn failing(endpoint: &Endpoint<'_>) {
    let call = endpoint.submit(FAILING).await.call_id;
    let state = endpoint.ended(&call).await;
    assert_eq!(state.status, CallStatus::Completed);
    let result = state.result.expect("a result");
    assert_eq!((result.ok, result.code.as_deref(), result.retryable), (false, Some("render_failed"), Some(true)));
    assert!(result.error.is_some_and(|error| !error.is_empty()));
}

pub(super) async fn not_ours(endpoint: &Endpoint<'_>) {
    for (attempt, status, code) in [(6, StatusCode::CONFLICT, "claimed_elsewhere"), (7, StatusCode::GONE, "over")] {
        endpoint.stage.edit(|script| (script.claim, script.claim_status) = (None, status));
        let call = endpoint.submit(attempt).await.call_id;
        let state = endpoint.ended(&call).await;
        let result = state.result.expect("a result");
        assert_eq!((state.status, result.ok, result.code.as_deref()), (CallStatus::Completed, false, Some(code)));
    }
    endpoint.stage.grant(&endpoint.stage.claim());
}

pub(super) async fn cancel(endpoint: &Endpoint<'_>) {
    let [attempt, _] = ENDLESS;
    let call = endpoint.submit(attempt).await.call_id;
    let renderer = renderer_of(endpoint, attempt).await;
    assert_eq!(endpoint.state(&call).await.status, CallStatus::Running);
    for given in [&[][..], &[call.as_str()]] {
        assert_eq!(endpoint.cancel(attempt, given).await, BTreeMap::from([(call.clone(), CallStatus::Cancelled)]));
    }
    is_gone(renderer).await;
    assert_eq!(endpoint.state(&call).await.status, CallStatus::Cancelled);
    assert!(endpoint.submit(attempt).await.duplicate, "a cancelled attempt does not begin again");
    assert_eq!(endpoint.state(&call).await.status, CallStatus::Cancelled);
}

pub(super) async fn own_client(endpoint: &Endpoint<'_>) {
    let client = |secret: &str| {
        let config = config::Modal {
            modal_endpoint_url: endpoint.url.clone(),
            modal_key: Secret::new("key"),
            modal_secret: Secret::new(secret),
        };
        modal::Client::new(&config).expect("a client")
    };
    let [_, number] = ENDLESS;
    let body: SubmitBody = serde_json::from_value(endpoint.body(number)).expect("a body");
    assert!(matches!(client("wrong").submit(&body).await, SubmitOutcome::Misconfigured));
    let client = client("secret");
    let SubmitOutcome::Accepted(dispatched) = client.submit(&body).await else { panic!("it was not accepted") };
    assert_eq!(client.status(&dispatched.call_id).await.expect("an answer"), CallReport::Running);
    assert_eq!(client.status("fc-none").await.expect("an answer"), CallReport::Lost);
    let attempt = Attempt::parse(&number.to_string()).expect("an attempt");
    let answer = client.cancel(job(), attempt, vec!["fc-none".into()]).await.expect("an answer");
    let expected = [(dispatched.call_id.clone(), CallStatus::Cancelled), ("fc-none".into(), CallStatus::Unknown)];
    assert_eq!(answer.calls, BTreeMap::from(expected));
    assert_eq!(client.status(&dispatched.call_id).await.expect("an answer"), CallReport::Cancelled);
    for (attempt, report) in [(5, CallReport::Completed), (6, CallReport::Superseded)] {
        let call = endpoint.submit(attempt).await.call_id;
        let is_told = || async { (client.status(&call).await.ok()? == report).then_some(()) };
        wait_for("the end of a call", is_told).await;
    }
}
