//! Large files from browsers: a signed PUT, and then the key.

use reqwest::StatusCode;
use serde_json::{Value, json};

use super::desk::{Desk, answer, job_of};
use crate::stage::wav;

#[tokio::test]
async fn a_signed_put_takes_the_file_and_its_key_can_be_submitted() {
    let desk = Desk::new().await;
    let asked = json!({"filename": "My Song.WAV", "sizeBytes": wav().len()});
    let (status, upload) = answer(desk.post("/api/uploads").json(&asked)).await;
    assert_eq!((status.as_u16(), &upload["method"]), (201, &json!("PUT")), "{upload}");
    let key = upload["key"].as_str().expect("a key").to_owned();
    assert!(key.starts_with("uploads/") && key.ends_with("/audio.wav"), "{key}");
    let submit = || desk.json(None, &json!({"audio": {"type": "key", "key": key}}));
    assert_eq!(answer(submit()).await.0, 422, "nothing is there yet");
    let sent = desk.http.put(upload["url"].as_str().expect("an address")).body(wav()).send().await;
    assert_eq!(sent.expect("an answer").status(), StatusCode::OK);
    let (status, body) = answer(submit()).await;
    assert_eq!(status, 202, "{body}");
    let stored = desk.store.folder.path().join(format!("kiln/renders/{}/audio.wav", job_of(&body)));
    assert!(std::fs::read(stored).is_ok_and(|stored| stored == wav()));
    assert_ne!(job_of(&answer(submit()).await.1), job_of(&body), "the same upload may be drawn twice");
}

#[tokio::test]
async fn uploads_that_could_not_be_used_are_refused_at_once() {
    let desk = Desk::new().await;
    let rows: [(Value, u16, &str); 7] = [
        (json!({"filename": "song.txt", "sizeBytes": 1}), 422, "/filename"),
        (json!({"filename": "wav", "sizeBytes": 1}), 422, "/filename"),
        (json!({"filename": "../../x.wav\u{0}", "sizeBytes": 1}), 422, "/filename"),
        (json!({"filename": "song.wav", "sizeBytes": 0}), 422, "/sizeBytes"),
        (json!({"filename": "song.wav", "sizeBytes": -1}), 422, "/sizeBytes"),
        (json!({"filename": "song.wav"}), 422, "sizeBytes"),
        (json!({"filename": "song.wav", "sizeBytes": 3_000_000_000_u64}), 413, "2 GiB"),
    ];
    for (body, status, word) in rows {
        let (got, problem) = answer(desk.post("/api/uploads").json(&body)).await;
        assert_eq!(got.as_u16(), status, "{body}: {problem}");
        assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains(word)), "{body}: {problem}");
    }
}
