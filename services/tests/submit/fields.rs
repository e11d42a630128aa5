//! What is wrong is named, and nothing of it stays.

use serde_json::{Value, json};

use super::desk::{Desk, answer, form, job_of, part};
use crate::stage::wav;

const KEY: &str = "uploads/0193a5c0-7c1e-7b3a-9d52-1f0c8a7be001/audio.wav";
const WAV: &str = "UklGRiQAAABXQVZFZm10IA==";

#[tokio::test]
async fn requests_that_do_not_fit_are_refused_by_name() {
    let desk = Desk::new().await;
    let with = |fields: &str| format!(r#"{{"audio":{{"data":"{WAV}"}},{fields}}}"#);
    let long = "x".repeat(3000);
    let rows: [(String, u16, &[&str]); 26] = [
        ("{".into(), 400, &[]),
        ("{} {}".into(), 400, &[]),
        ("[]".into(), 422, &[""]),
        ("{}".into(), 422, &["/audio"]),
        (with(r#""fsp":60"#), 422, &["/fsp"]),
        (with(r#""fps":"60""#), 422, &["/fps"]),
        (with(r#""fps":25,"maxAttempts":0,"deadlineSeconds":5"#), 422, &["/fps", "/maxAttempts", "/deadlineSeconds"]),
        (with(r#""mode":"fog""#), 422, &["/mode"]),
        (with(r#""outputFormat":"8k""#), 422, &["/outputFormat"]),
        (with(r#""renderSettings":[]"#), 422, &["/renderSettings"]),
        (with(&format!(r#""metadata":{{"a":"{long}"}}"#)), 422, &["/metadata"]),
        (with(r#""expiresAt":"tomorrow""#), 422, &["/expiresAt"]),
        (r#"{"audio":{"key":"x","datum":""}}"#.into(), 422, &["/audio/datum"]),
        (r#"{"audio":{"key":"../../etc/passwd"}}"#.into(), 422, &["/audio/key"]),
        (format!(r#"{{"audio":{{"key":"{KEY}\u0000"}}}}"#), 422, &["/audio/key"]),
        (r#"{"audio":{"key":"uploads/*/audio.wav"}}"#.into(), 422, &["/audio/key"]),
        (r#"{"audio":{"key":"uploads/>/audio.wav"}}"#.into(), 422, &["/audio/key"]),
        (
            r#"{"audio":{"key":"uploads/0193a5c0-7c1e-7b3a-9d52-1f0c8a7be001/audio.wav\r\nx: y"}}"#.into(),
            422,
            &["/audio/key"],
        ),
        (format!(r#"{{"audio":{{"key":"{KEY}"}}}}"#), 422, &["/audio/key"]),
        (format!(r#"{{"audio":{{"key":"{KEY}","data":"{WAV}"}}}}"#), 422, &["/audio"]),
        (format!(r#"{{"audio":{{"type":"url","data":"{WAV}"}}}}"#), 422, &["/audio/type"]),
        (r#"{"audio":{"data":"bm90IGF1ZGlv"}}"#.into(), 415, &[]),
        (r#"{"audio":{"data":""}}"#.into(), 422, &["/audio"]),
        (r#"{"audio":{"data":"@@@@"}}"#.into(), 422, &["/audio/data"]),
        (r#"{"audio":{"url":"https://example.com/song.wav"}}"#.into(), 422, &["/audio/url"]),
        (r#"{"audio":{"url":"http://127.0.0.1/"}}"#.into(), 422, &["/audio/url"]),
    ];
    for (body, status, pointers) in rows {
        let request = desk.post("/api/render").header("content-type", "application/json; charset=utf-8");
        let (got, problem) = answer(request.body(body.clone())).await;
        assert_eq!((got.as_u16(), &problem["status"]), (status, &json!(status)), "{body}: {problem}");
        let errors = problem["errors"].as_array().expect("a list");
        let named: Vec<&str> = errors.iter().filter_map(|error| error["pointer"].as_str()).collect();
        assert_eq!(named, pointers, "{body}: {problem}");
    }
    assert_eq!(desk.objects().await, Vec::<String>::new());
}

#[tokio::test]
async fn forms_that_do_not_fit_are_refused_and_nothing_of_them_stays() {
    let desk = Desk::new().await;
    let audio = || part("audio", &wav());
    let end = || b"--b--\r\n".to_vec();
    let rows: [(&str, Vec<Vec<u8>>, u16, &str); 13] = [
        ("no audio", vec![part("request", b"{}"), end()], 422, "/audio"),
        ("nothing", vec![end()], 422, "/audio"),
        ("an empty file", vec![part("audio", b""), end()], 422, "/audio"),
        ("no audio in it", vec![part("audio", b"#EXTM3U\nfile:///etc/passwd\n"), end()], 415, "flac"),
        ("two files", vec![audio(), audio(), end()], 422, "/audio"),
        ("the wrong order", vec![audio(), part("request", b"{}"), end()], 422, "/request"),
        ("two requests", vec![part("request", b"{}"), part("request", b"{}"), audio(), end()], 422, "/request"),
        ("an unknown part", vec![part("video", b"x"), audio(), end()], 422, "`/video` is no part that kiln knows"),
        ("a type", vec![part("request", br#"{"fps":"60"}"#), audio(), end()], 422, "\"60\", expected a whole number"),
        ("a field that is none", vec![part("request", br#"{"fsp":1}"#), audio(), end()], 422, "/fsp"),
        ("audio twice", vec![part("request", br#"{"audio":{"key":"x"}}"#), audio(), end()], 422, "/audio"),
        ("no end", vec![audio()], 400, "malformed"),
        ("cut in the middle", vec![audio()[..5000].to_vec()], 400, "malformed"),
    ];
    for (what, parts, status, word) in rows {
        let request = desk.post("/api/render").header("content-type", "multipart/form-data; boundary=b");
        let (got, problem) = answer(request.body(parts.concat())).await;
        assert_eq!(got.as_u16(), status, "{what}: {problem}");
        assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains(word)), "{what}: {problem}");
    }
    let (got, _) = answer(desk.post("/api/render").header("content-type", "text/plain").body("hello")).await;
    assert_eq!(got, 415);
    assert_eq!(desk.objects().await, Vec::<String>::new());
}

#[tokio::test]
async fn names_are_inert_and_types_are_not_believed() {
    let desk = Desk::new().await;
    let long = "long".repeat(1000);
    let rows = [
        ("../../etc/passwd", 202),
        ("a\0b", 400),
        ("a\r\nx: y", 202),
        ("*", 202),
        (">", 202),
        ("x.mp3", 202),
        (long.as_str(), 202),
    ];
    for (name, wanted) in rows {
        let head = format!("--b\r\nContent-Disposition: form-data; name=\"audio\"; filename=\"{name}\"\r\n");
        let body = [head.as_bytes(), b"Content-Type: video/mp4\r\n\r\n", &wav(), b"\r\n--b--\r\n"].concat();
        let request = desk.post("/api/render").header("content-type", "multipart/form-data; boundary=b");
        let (status, body) = answer(request.body(body)).await;
        assert_eq!(status.as_u16(), wanted, "{name}: {body}");
        if wanted != 202 {
            continue;
        }
        let key = format!("renders/{}/audio.wav", job_of(&body));
        assert!(desk.objects().await.contains(&key), "{name}");
    }
}

#[tokio::test]
async fn a_dry_run_says_what_would_be_done_and_does_nothing() {
    let desk = Desk::new().await;
    let (status, body) = answer(form(desk.post("/api/render?dryRun=true"), None, r#"{"fps":60}"#, &wav())).await;
    assert_eq!((status.as_u16(), &body["jobId"], &body["spec"]["fps"]), (200, &Value::Null, &json!(60)), "{body}");
    assert_eq!((&body["spec"]["maxAttempts"], &body["spec"]["audio"]["sizeBytes"]), (&json!(3), &json!(wav().len())));
    let (status, _) = answer(form(desk.post("/api/render?dryRun=true"), None, r#"{"fps":61}"#, &wav())).await;
    assert_eq!(status, 422);
    let (status, _) = answer(form(desk.post("/api/render?dryrun=true"), None, "", &wav())).await;
    assert_eq!(status, 400);
    assert_eq!(desk.objects().await, Vec::<String>::new());
    let (_, accepted) = answer(form(desk.post("/api/render"), Some("one"), "", &wav())).await;
    let (status, known) = answer(form(desk.post("/api/render?dryRun=true"), Some("one"), "", &wav())).await;
    assert_eq!((status.as_u16(), job_of(&known)), (200, job_of(&accepted)));
    let other = form(desk.post("/api/render?dryRun=true"), Some("one"), r#"{"fps":60}"#, &wav());
    assert_eq!(answer(other).await.0, 422);
}
