//! What the sweeper removes, and what it never does.

use std::time::{Duration, SystemTime};

use events::{AudioKey, Command, JobId, Spec, key};
use kiln::sweeper::{AGE, Sweeper};
use serde_json::json;

use super::desk::{Desk, Fault, answer, job_of, long_wav};
use crate::stage::wav;

const HOUR: Duration = Duration::from_hours(1);

async fn put(desk: &Desk, object: &str, age: Duration) {
    desk.store.bucket.put(object, "x/x", wav().into()).await.expect("stored");
    grow(desk, object, age);
}

fn grow(desk: &Desk, object: &str, age: Duration) {
    let path = desk.store.folder.path().join("kiln").join(object);
    let times = std::fs::FileTimes::new().set_modified(SystemTime::now() - age);
    std::fs::File::options().write(true).open(path).and_then(|file| file.set_times(times)).expect("a time");
}

async fn request(desk: &Desk, id: JobId, audio: &serde_json::Value) {
    let spec: Spec = serde_json::from_value(json!({"audio": audio})).expect("a request");
    desk.log.record(id, Command::Request(spec), kiln::clock::now()).await.expect("recorded");
}

async fn sweep(desk: &Desk, is_dry: bool) -> Vec<String> {
    let mut sweeper = Sweeper::new(desk.log.clone(), desk.store.bucket.clone(), AGE, is_dry);
    let mut objects = sweeper.sweep().await.expect("a sweep").objects;
    objects.sort();
    objects
}

#[tokio::test]
async fn what_nobody_asks_for_is_removed_and_nothing_else() {
    let desk = Desk::new().await;
    let (_, body) = answer(desk.form(None, &wav())).await;
    let job = job_of(&body);
    let own = format!("renders/{job}/audio.wav");
    grow(&desk, &own, 100 * HOUR);
    let beside = format!("renders/{job}/audio.flac");
    put(&desk, &beside, 25 * HOUR).await;
    let [young, old, named] = [1, 25, 25].map(|hours| {
        let key = AudioKey::of_upload(kiln::clock::new_id(), "wav").expect("a key");
        (key.to_string(), hours * HOUR)
    });
    for (key, age) in [&young, &old, &named].map(|(key, hours)| (key, *hours)) {
        put(&desk, key, age).await;
    }
    request(&desk, kiln::clock::new_id(), &json!({"key": named.0})).await;
    let remote = kiln::clock::new_id();
    request(&desk, remote, &json!({"url": "https://example.com/song.wav"})).await;
    let fetched = format!("renders/{remote}/audio.wav");
    put(&desk, &fetched, 25 * HOUR).await;
    let (lost, derived) = (kiln::clock::new_id(), JobId::from_idempotency_key("anonymous", "old"));
    let orphans = [format!("renders/{lost}/audio.wav"), format!("renders/{derived}/audio.wav")];
    for orphan in &orphans {
        put(&desk, orphan, 25 * HOUR).await;
    }
    let almost = format!("renders/{}/audio.wav", kiln::clock::new_id());
    put(&desk, &almost, 23 * HOUR).await;
    let video = format!("renders/{lost}/output.mp4");
    put(&desk, &video, 1000 * HOUR).await;

    let mut wanted = vec![beside, old.0];
    wanted.extend(orphans);
    wanted.sort();
    assert_eq!(sweep(&desk, true).await, wanted, "what would be removed");
    assert_eq!(sweep(&desk, false).await, wanted, "nothing was removed before, and now it is");
    assert_eq!(sweep(&desk, false).await, Vec::<String>::new(), "nothing is left to do");
    let mut left = desk.objects().await;
    let mut kept = vec![own, young.0, named.0, fetched, almost, video, key::expired(derived)];
    left.sort();
    kept.sort();
    assert_eq!(left, kept);
    let (status, body) = answer(desk.form(Some("old"), &wav())).await;
    assert_eq!((status.as_u16(), &body["code"]), (409, &json!("expired_key")));
}

#[tokio::test]
async fn uploads_in_parts_that_were_never_finished_are_given_up_when_they_are_old() {
    let desk = Desk::new().await;
    let upload = |begun: &str, id: &str| {
        format!(
            "<Upload><Key>renders/x/audio.wav</Key><UploadId>{id}</UploadId><Initiated>{begun}</Initiated></Upload>"
        )
    };
    let (mut child, url) = desk.killable(desk.nats.url()).await;
    let begun = super::desk::part("audio", &long_wav(12 << 20));
    let begun = bytes::Bytes::copy_from_slice(&begun[..11 << 20]);
    let endless = futures_util::StreamExt::chain(
        futures_util::stream::iter([Ok::<_, std::io::Error>(begun)]),
        futures_util::stream::pending(),
    );
    let request = desk.http.post(format!("{url}/api/render")).body(reqwest::Body::wrap_stream(endless));
    let sending = tokio::spawn(request.header("content-type", "multipart/form-data; boundary=b").send());
    // With a part on its way: before that the api may not know yet what it has begun, and the store forgets it with the api.
    let is_part = |file: &std::path::PathBuf| file.to_string_lossy().contains("/.upload_id-");
    let parts = async || crate::support::files_in(desk.store.folder.path()).iter().any(is_part).then_some(());
    crate::support::wait_for("a part of an upload", parts).await;
    assert_eq!(desk.unfinished(), 1);
    child.kill().await.expect("it can be killed");
    assert!(sending.await.expect("it ends").is_err());
    let files = crate::support::files_in(desk.store.folder.path());
    let mut names = files.iter().filter_map(|file| file.file_name()?.to_str());
    let id = names.find_map(|name| name.strip_prefix(".upload-")?.strip_suffix(".json")).expect("an upload");
    for (begun, left) in [("2999-01-01T00:00:00.000Z", 1), ("2020-01-01T00:00:00.000Z", 0)] {
        let list = format!("<ListMultipartUploadsResult>{}</ListMultipartUploadsResult>", upload(begun, id));
        desk.break_next("GET ?uploads", Fault::Say(list));
        let mut sweeper = Sweeper::new(desk.log.clone(), desk.store.bucket.clone(), AGE, false);
        assert_eq!(sweeper.sweep().await.expect("a sweep").uploads.len(), 1 - left, "{begun}");
        assert_eq!(desk.unfinished(), left, "{begun}");
    }
}

#[tokio::test]
async fn a_log_that_cannot_be_trusted_sweeps_nothing() {
    let desk = Desk::new().await;
    put(&desk, &format!("renders/{}/audio.wav", kiln::clock::new_id()), 25 * HOUR).await;
    desk.log.bus().close_gate("it was made anew");
    let mut sweeper = Sweeper::new(desk.log.clone(), desk.store.bucket.clone(), AGE, false);
    assert!(sweeper.sweep().await.is_err());
    assert_eq!(desk.objects().await.len(), 1);
}
