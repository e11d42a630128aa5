//! `POST /api/render/{job}/retry`: the same request once more.

use events::{Command, JobId};
use serde_json::{Value, json};

use super::desk::{Desk, answer, form, job_of, keyed};
use crate::stage::wav;

async fn retry(desk: &Desk, job: JobId, key: Option<&str>, query: &str) -> (u16, Value) {
    let (status, body) = answer(keyed(desk.post(&format!("/api/render/{job}/retry{query}")), key)).await;
    (status.as_u16(), body)
}

#[tokio::test]
async fn a_retry_is_a_new_job_with_the_same_request_and_its_own_audio() {
    let desk = Desk::new().await;
    let asked = r#"{"fps":60,"metadata":{"n":1},"expiresAt":"2020-01-01T00:00:00.000Z"}"#;
    let (_, body) = answer(form(desk.post("/api/render"), None, asked, &wav())).await;
    let first = job_of(&body);
    let (status, problem) = retry(&desk, first, None, "").await;
    assert_eq!((status, &problem["code"]), (409, &json!("not_ended")), "{problem}");
    desk.log.record(first, Command::Cancel("a test".into()), kiln::clock::now()).await.expect("recorded");

    let (status, dry) = retry(&desk, first, None, "?dryRun=true").await;
    assert_eq!((status, &dry["spec"]["retryOf"]), (200, &json!(first)), "{dry}");
    assert_eq!(desk.objects().await.len(), 1);

    let (status, body) = retry(&desk, first, Some("again"), "").await;
    assert_eq!(status, 202, "{body}");
    let second = job_of(&body);
    assert_ne!(first, second);
    let job = desk.log.load(second).await.expect("a job");
    let spec = job.spec().expect("a request");
    assert_eq!((spec.fps, spec.retry_of, spec.expires_at), (60, Some(first), None));
    assert_eq!(spec.metadata["n"], 1);
    let stored = desk.store.folder.path().join(format!("kiln/renders/{second}/audio.wav"));
    assert!(std::fs::read(stored).is_ok_and(|stored| stored == wav()));

    assert_eq!(job_of(&retry(&desk, first, Some("again"), "").await.1), second, "the key holds");
    let (status, problem) = answer(desk.form(Some("again"), &wav())).await;
    assert_eq!((status.as_u16(), &problem["code"]), (422, &json!("idempotency_key_reused")));
}

#[tokio::test]
async fn what_cannot_be_repeated_says_why() {
    let desk = Desk::new().await;
    let (_, body) = answer(desk.form(None, &wav())).await;
    let job = job_of(&body);
    desk.log.record(job, Command::Cancel("a test".into()), kiln::clock::now()).await.expect("recorded");
    desk.store.bucket.delete(&format!("renders/{job}/audio.wav")).await.expect("deleted");
    let (status, problem) = retry(&desk, job, None, "").await;
    assert_eq!((status, &problem["code"]), (409, &json!("audio_gone")), "{problem}");
    assert_eq!(retry(&desk, kiln::clock::new_id(), None, "").await.0, 404);
    assert_eq!(desk.objects().await, Vec::<String>::new());
}
