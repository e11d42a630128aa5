//! One `Idempotency-Key` is one job.

use events::{AudioKey, JobId, key};
use futures_util::future::join_all;
use serde_json::json;

use super::desk::{Desk, answer, form, job_of, long_wav};
use crate::stage::wav;

async fn upload(desk: &Desk, bytes: &[u8]) -> String {
    let key = AudioKey::of_upload(kiln::clock::new_id(), "wav").expect("a key").to_string();
    desk.store.bucket.put(&key, "audio/wav", bytes.to_vec().into()).await.expect("stored");
    key
}

#[tokio::test]
async fn the_same_key_twice_in_parallel_gives_one_job_with_the_accepted_audio() {
    let desk = Desk::new().await;
    for (round, audio) in [wav(), long_wav(12 << 20)].into_iter().enumerate() {
        let key = format!("round {round}");
        let answers = join_all((0..4).map(|_| answer(desk.form(Some(&key), &audio)))).await;
        let job = job_of(&answers[0].1);
        for (status, body) in &answers {
            assert_eq!((status.as_u16(), job_of(body)), (202, job), "{body}");
        }
        assert_eq!(desk.kinds(job).await, ["requested"]);
        let stored = desk.store.folder.path().join(format!("kiln/renders/{job}/audio.wav"));
        assert!(std::fs::read(stored).is_ok_and(|stored| stored == audio));
    }
    assert_eq!(desk.unfinished(), 0);
}

#[tokio::test]
async fn another_request_under_a_used_key_is_refused() {
    let desk = Desk::new().await;
    let (status, first) = answer(desk.form(Some("one"), &wav())).await;
    assert_eq!(status, 202);
    let mut other = wav();
    other[1000] ^= 1;
    let key = upload(&desk, &wav()).await;
    let rows = [
        ("other audio", desk.form(Some("one"), &other)),
        ("other settings", form(desk.post("/api/render"), Some("one"), r#"{"fps":60}"#, &wav())),
        ("audio by key", desk.json(Some("one"), &json!({"audio": {"key": key}}))),
    ];
    for (what, request) in rows {
        let (status, body) = answer(request).await;
        assert_eq!((status.as_u16(), &body["code"]), (422, &json!("idempotency_key_reused")), "{what}: {body}");
    }
    let (status, again) = answer(desk.form(Some("one"), &wav())).await;
    assert_eq!((status.as_u16(), job_of(&again)), (202, job_of(&first)));
    assert!(again.as_object().expect("a body").keys().eq(first.as_object().expect("a body").keys()));
    let stored = desk.store.folder.path().join(format!("kiln/renders/{}/audio.wav", job_of(&first)));
    assert!(std::fs::read(stored).is_ok_and(|stored| stored == wav()));
}

#[tokio::test]
async fn of_two_uploads_under_one_key_in_parallel_the_accepted_one_is_in_its_place() {
    let desk = Desk::new().await;
    let (mut a, mut b) = (wav(), wav());
    (a[1000], b[1000]) = (1, 2);
    for round in 0..10 {
        let key = format!("round {round}");
        let (one, two) = (upload(&desk, &a).await, upload(&desk, &b).await);
        let requests = [&one, &two].map(|upload| answer(desk.json(Some(&key), &json!({"audio": {"key": upload}}))));
        let answers = join_all(requests).await;
        let accepted: Vec<usize> = (0..2).filter(|place| answers[*place].0 == 202).collect();
        let refused = answers.iter().filter(|(_, body)| body["code"] == "idempotency_key_reused").count();
        assert_eq!((accepted.len(), refused), (1, 1), "{answers:?}");
        let job = job_of(&answers[accepted[0]].1);
        let stored = desk.store.folder.path().join(format!("kiln/renders/{job}/audio.wav"));
        let wanted = [&a, &b][accepted[0]];
        assert!(std::fs::read(stored).is_ok_and(|stored| stored == *wanted), "the other audio lies there");
    }
}

#[tokio::test]
async fn a_key_whose_job_is_no_longer_kept_is_refused() {
    let desk = Desk::new().await;
    let id = |name: &str| JobId::from_idempotency_key("anonymous", name);
    let old =
        std::fs::FileTimes::new().set_modified(std::time::SystemTime::now() - std::time::Duration::from_hours(21));
    desk.store.bucket.put(&key::expired(id("marked")), "x/x", Vec::new().into()).await.expect("stored");
    for (name, file) in [("video", "output.mp4"), ("audio", "audio.wav")] {
        let object = format!("renders/{}/{file}", id(name));
        desk.store.bucket.put(&object, "x/x", wav().into()).await.expect("stored");
        let path = desk.store.folder.path().join("kiln").join(object);
        std::fs::File::open(path).and_then(|file| file.set_times(old)).expect("a time");
    }
    let young = format!("renders/{}/audio.wav", id("young"));
    desk.store.bucket.put(&young, "x/x", wav().into()).await.expect("stored");
    for name in ["marked", "video", "audio"] {
        let (status, body) = answer(desk.form(Some(name), &wav())).await;
        assert_eq!((status.as_u16(), &body["code"]), (409, &json!("expired_key")), "{name}: {body}");
    }
    for name in ["young", "unused"] {
        assert_eq!(answer(desk.form(Some(name), &wav())).await.0, 202, "{name}");
    }
    let rows = [("", 400), (&*"k".repeat(256), 400), (&*"k".repeat(255), 202)];
    for (name, status) in rows {
        assert_eq!(answer(desk.form(Some(name), &wav())).await.0.as_u16(), status, "{name}");
    }
}
