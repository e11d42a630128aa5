//! The store fails, answers too late or not at all: a 202, or a 503 and nothing.

use serde_json::json;

use super::desk::{Desk, Fault, answer, job_of, long_wav};
use crate::stage::wav;

#[tokio::test]
async fn a_store_that_falters_is_asked_again() {
    let desk = Desk::new().await;
    let rows = [
        ("PUT audio.wav", Fault::Fail, wav()),
        ("PUT audio.wav", Fault::LoseAnswer, wav()),
        ("PUT audio.wav", Fault::Reset, wav()),
        ("POST uploads", Fault::Fail, long_wav(6 << 20)),
        ("PUT partNumber=1", Fault::LoseAnswer, long_wav(6 << 20)),
        ("PUT partNumber=2", Fault::Reset, long_wav(6 << 20)),
        ("POST uploadId", Fault::Fail, long_wav(6 << 20)),
        ("POST uploadId", Fault::LoseAnswer, long_wav(6 << 20)),
    ];
    for (place, (what, fault, audio)) in rows.into_iter().enumerate() {
        desk.break_next(what, fault);
        let (status, body) = answer(desk.form(None, &audio)).await;
        assert_eq!(status, 202, "row {place}, {what}: {body}");
        let stored = desk.store.folder.path().join(format!("kiln/renders/{}/audio.wav", job_of(&body)));
        assert!(std::fs::read(stored).is_ok_and(|stored| stored == audio), "row {place}, {what}");
    }
}

#[tokio::test]
async fn a_store_that_stays_away_is_a_503_and_no_job() {
    let desk = Desk::new().await;
    for what in ["PUT audio.wav", "PUT audio.wav", "PUT audio.wav"] {
        desk.break_next(what, Fault::Fail);
    }
    let response = desk.form(Some("one"), &wav()).send().await.expect("an answer");
    assert_eq!(response.status(), 503);
    assert!(response.headers().contains_key("retry-after"));
    let problem: serde_json::Value = response.json().await.expect("it is JSON");
    assert_eq!(problem["code"], json!("unavailable"));
    assert!(!problem.to_string().contains("127.0.0.1"), "{problem}");
    assert_eq!(desk.objects().await, Vec::<String>::new());
    assert_eq!(answer(desk.form(Some("one"), &wav())).await.0, 202);
}
