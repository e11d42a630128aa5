//! Whoever has not the capability of exactly this job and attempt learns nothing and changes nothing.

use events::{JobId, Timestamp};
use reqwest::Method;
use serde_json::{Value, json};

use super::door::{Door, ROOT, claim_of, complete_with, mint, right, told};

const FAR: i64 = 4_000_000_000_000;
const PAST: i64 = 1_700_000_000_000;

/// What is done to a capability after it was signed.
type Tamper = fn(&str) -> String;

const TAMPERS: [(&str, Tamper); 12] = [
    ("as it was signed", str::to_owned),
    ("last digit", |text| flip(text, text.len() - 1)),
    ("first digit of the mac", |text| flip(text, text.len() - 64)),
    ("the job", |text| flip(text, "kiln1.1.".len())),
    ("the attempt", |text| text.replacen(".1.4", ".2.4", 1).replacen(".1.1", ".2.1", 1)),
    ("the expiry", |text| text.replacen("4000000000", "4000000001", 1).replacen("1700000000", "4700000000", 1)),
    ("the version", |text| text.replacen("kiln1", "kiln2", 1)),
    ("upper case", str::to_uppercase),
    ("one part more", |text| format!("{text}.0")),
    ("no mac", |text| text[..text.len() - 65].to_owned()),
    ("twice", |text| format!("{text}{text}")),
    ("nothing", |_| String::new()),
];

fn flip(text: &str, index: usize) -> String {
    let mut bytes = text.as_bytes().to_vec();
    bytes[index] = if bytes[index] == b'0' { b'1' } else { b'0' };
    String::from_utf8(bytes).expect("ASCII")
}

/// Every capability that job × attempt × key × expiry × tampering make, but the right ones.
fn wrong(id: JobId, other: JobId) -> Vec<(String, String)> {
    let foreign = "fedcba9876543210fedcba9876543210";
    let mut rows = Vec::new();
    for (job, whose) in [(id, "this job's"), (other, "another job's")] {
        for attempt in [1, 2] {
            for (roots, kid) in [
                (ROOT.to_owned(), "our key"),
                (foreign.to_owned(), "a foreign key"),
                (format!("9:{ROOT}"), "another key's name"),
            ] {
                for (expires, when) in [(FAR, "in time"), (PAST, "too late")] {
                    for (what, tamper) in TAMPERS {
                        let signed = mint(&roots, job, attempt, Timestamp::from_unix_ms(expires));
                        let capability = tamper(&signed);
                        let is_right = job == id && kid == "our key" && when == "in time" && capability == signed;
                        if !is_right {
                            rows.push((format!("{whose} {attempt} {kid} {when} {what}"), capability));
                        }
                    }
                }
            }
        }
    }
    rows
}

#[tokio::test]
async fn every_wrong_capability_gets_the_same_answer_and_changes_nothing() {
    let door = Door::new().await;
    let (id, other) = (door.dispatch().await, door.dispatch().await);
    let key = door.video(id).await;
    let doors: [(Method, String, Value); 3] = [
        (Method::POST, format!("/api/render/{id}/claim"), claim_of("fc-1", "ta-1")),
        (Method::PATCH, format!("/api/render/{id}"), json!({"progress": 50})),
        (Method::POST, "/api/webhooks/worker".to_owned(), complete_with(id, &key)),
    ];
    let rows = wrong(id, other);
    assert!(rows.len() >= 200, "{}", rows.len());
    let (_, first) = told(door.send(&door.url, Method::PATCH, &doors[1].1, "", &doors[1].2).await).await;
    for (what, capability) in &rows {
        for (method, path, body) in &doors {
            let answer = told(door.send(&door.url, method.clone(), path, capability, body).await).await;
            assert_eq!(answer, (401, first.clone()), "{method} {path} {what}");
        }
    }
    for job in [id, other] {
        assert_eq!(door.kinds(job).await, ["requested", "dispatched"]);
        assert_eq!(door.last_report(job).await, None);
    }
    assert_eq!(door.claim(&door.url, id, 1, &claim_of("fc-1", "ta-1")).await.0, 200, "the right one opens");
}

#[tokio::test]
async fn the_header_alone_counts_and_an_unknown_job_is_told_only_to_who_may_ask() {
    let door = Door::new().await;
    let (id, path) = (door.dispatch().await, "/api/webhooks/worker");
    let capability = right(id, 1);
    let body = json!({"jobId": id, "status": "failed", "webhook_secret": capability});
    for header in [
        format!("bearer {capability}"),
        format!("Basic {capability}"),
        capability.clone(),
        format!("Bearer  {capability}"),
    ] {
        let request = door.http.post(format!("{}{path}?token={capability}", door.url)).header("authorization", &header);
        assert_eq!(request.json(&body).send().await.expect("it is answered").status(), 401, "{header}");
    }
    let absent = JobId::new(1, [1; 10]);
    assert_eq!(door.claim(&door.url, absent, 1, &claim_of("fc-1", "ta-1")).await.0, 404);
    assert_eq!(door.progress(&door.url, absent, 1, &json!({"progress": 1})).await.0, 404);
    assert_eq!(door.report(&door.url, absent, 1, &json!({"jobId": absent, "status": "failed"})).await.0, 404);
    let second = door.report(&door.url, id, 2, &json!({"jobId": id, "status": "failed"})).await;
    assert_eq!(second.0, 410, "an attempt that was never dispatched cannot fail");
    assert_eq!(door.kinds(id).await, ["requested", "dispatched"]);
}
