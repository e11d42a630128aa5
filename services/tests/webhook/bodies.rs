//! What a body may be, row by row.

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::door::{Door, MP4, complete_with, right, told};

/// The victim's id in no form gets into another job's result.
#[tokio::test]
async fn a_foreign_key_is_refused_in_every_spelling_and_nothing_is_recorded() {
    let door = Door::new().await;
    let (id, victim) = (door.dispatch().await, door.dispatch().await);
    door.video(id).await;
    let foreign = door.video(victim).await;
    let keys = [
        foreign.clone(),
        format!("/{foreign}"),
        format!("renders/{id}/../{victim}/output.mp4"),
        format!("renders/{id}/..%2f{victim}%2foutput.mp4"),
        format!("renders/{id}//output.mp4"),
        format!("renders/{id}/.output.mp4"),
        format!("renders/{id}/"),
        format!("renders/{id}/output.mp4\0"),
        format!("renders/{id}/output.mp4?versionId=1"),
        format!("renders\\{victim}\\output.mp4"),
        format!("RENDERS/{id}/output.mp4"),
        format!("uploads/{victim}/audio.wav"),
        format!("renders/{id}/audio.m4a"),
        "kiln/fence.json".to_owned(),
        format!("renders/{id}/{}", "a".repeat(300)),
        String::new(),
    ];
    for key in &keys {
        for field in ["videoKey", "previewKey", "preparedKey"] {
            let alone = json!({"jobId": id, "status": "complete", "result": {field: key}});
            let mut beside = complete_with(id, &events::key::output(id, events::Attempt::FIRST));
            beside["result"][field] = key.as_str().into();
            for body in [alone, beside] {
                let (status, problem) = door.report(&door.url, id, 1, &body).await;
                assert_eq!(status, 422, "{body}: {problem}");
                assert!(!problem.to_string().contains(&victim.to_string()), "{problem}");
            }
        }
    }
    assert_eq!(door.kinds(id).await, ["requested", "dispatched"]);
}

#[tokio::test]
async fn a_video_is_believed_only_if_it_lies_there_has_its_size_and_begins_like_one() {
    let door = Door::new().await;
    let id = door.dispatch().await;
    let key = events::key::output(id, events::Attempt::FIRST);
    let mut body = complete_with(id, &key);
    let rows: [(&str, Option<&[u8]>); 3] =
        [("not there", None), ("empty", Some(b"")), ("text", Some(b"<html>sorry, no video</html>"))];
    for (what, object) in rows {
        if let Some(object) = object {
            door.store.bucket.put(&key, "video/mp4", bytes::Bytes::from_static(object)).await.expect("stored");
        }
        let (status, problem) = door.report(&door.url, id, 1, &body).await;
        assert_eq!((status, &problem["code"]), (409, &"output_missing".into()), "{what}: {problem}");
    }
    door.video(id).await;
    body["result"]["sizeBytes"] = (MP4.len() + 1).into();
    let (status, problem) = door.report(&door.url, id, 1, &body).await;
    assert_eq!((status, &problem["code"]), (409, &"output_missing".into()), "{problem}");
    assert_eq!(door.kinds(id).await, ["requested", "dispatched"]);
    body["result"]["sizeBytes"] = MP4.len().into();
    assert_eq!(door.report(&door.url, id, 1, &body).await.0, 200);
}

#[tokio::test]
async fn the_original_s_bodies_are_taken_and_what_is_out_of_bounds_is_cut_or_refused() {
    let door = Door::new().await;
    let id = door.request().await;
    let key = door.video(id).await;
    let original = json!({"jobId": id, "status": "complete", "result": {"videoKey": key, "format": "mp4", "duration": 12.5}, "more": 1});
    assert_eq!(door.report(&door.url, id, 1, &original).await, (200, json!({"success": true})));
    let output = door.load(id).await.completed().expect("complete").output.clone();
    assert_eq!((output.format.as_deref(), output.duration_ms), (Some("mp4"), Some(12_500)));
    let long = door.dispatch().await;
    let failed =
        json!({"jobId": long, "status": "failed", "error": format!("a\u{0}b\u{1b}[31m\n{}", "é".repeat(5000))});
    assert_eq!(door.report(&door.url, long, 1, &failed).await.0, 200);
    let history = door.log.history(long).await.expect("a history");
    let message = history[2].event.payload()["failure"]["message"].as_str().expect("a message").to_owned();
    assert!(message.len() <= 2048 && !message.contains(char::is_control), "{message}");
    assert!(message.starts_with("a b [31m é"), "{message}");
    let refused = door.dispatch().await;
    door.video(refused).await;
    let key = events::key::output(refused, events::Attempt::FIRST);
    for (field, value) in [
        ("format", json!("x".repeat(65))),
        ("format", json!("a\nb")),
        ("sha256", json!("not hexadecimal")),
        ("sha256", json!("A".repeat(64))),
    ] {
        let mut body = complete_with(refused, &key);
        body["result"][field] = value;
        assert_eq!(door.report(&door.url, refused, 1, &body).await.0, 422, "{body}");
    }
    for seconds in [json!(-1), json!(1e300), json!(0)] {
        let id = door.dispatch().await;
        let mut body = complete_with(id, &door.video(id).await);
        body["result"]["durationSeconds"] = seconds;
        assert_eq!(door.report(&door.url, id, 1, &body).await.0, 200, "{body}");
        let output = door.load(id).await.completed().expect("complete").output.clone();
        assert!(output.duration_ms.is_some_and(|ms| ms <= 31_536_000_000), "{output:?}");
    }
}

#[tokio::test]
async fn bodies_that_are_no_callback_are_refused_without_effect() {
    let door = Door::new().await;
    let id = door.dispatch().await;
    let deep = format!(r#"{{"jobId":{}{}"#, "[".repeat(20_000), "]".repeat(20_000));
    let rows: Vec<(Vec<u8>, u16)> = vec![
        (b"".to_vec(), 400),
        (b"null".to_vec(), 400),
        (b"[]".to_vec(), 400),
        (b"{".to_vec(), 400),
        (b"\xff\xfe".to_vec(), 400),
        (deep.into_bytes(), 400),
        (br#"{"status":"complete"}"#.to_vec(), 400),
        (format!(r#"{{"jobId":"{id}","status":"done"}}"#).into_bytes(), 400),
        (format!(r#"{{"jobId":"{id}","status":"failed","error":7}}"#).into_bytes(), 400),
        (format!(r#"{{"jobId":"{id}","status":"complete"}}"#).into_bytes(), 422),
        (format!(r#"{{"jobId":"{id}","jobId":"{id}","status":"failed"}}"#).into_bytes(), 400),
        (format!(r#"{{"jobId":"{}","status":"failed"}}"#, id.to_string().to_uppercase()).into_bytes(), 401),
        (format!(r#"{{"jobId":" {id}","status":"failed"}}"#).into_bytes(), 401),
        ([&b"{\"jobId\":\""[..], &vec![b'a'; 70_000], b"\"}"].concat(), 413),
    ];
    for (body, expected) in rows {
        let text = String::from_utf8_lossy(&body[..body.len().min(80)]).into_owned();
        let request = door.http.post(format!("{}/api/webhooks/worker", door.url)).bearer_auth(right(id, 1));
        let (status, problem) = told(request.body(body).send().await.expect("it is answered")).await;
        assert_eq!(status, expected, "{text}: {problem}");
        assert!(problem["code"].is_string(), "{problem}");
    }
    assert_eq!(door.kinds(id).await, ["requested", "dispatched"]);
}

#[tokio::test]
async fn a_body_that_trickles_is_cut_and_a_wrong_capability_is_answered_before_the_body() {
    let door = Door::new().await;
    let id = door.dispatch().await;
    let address = door.url.trim_start_matches("http://").to_owned();
    let open = async |bearer: String| {
        let mut socket = TcpStream::connect(&address).await.expect("connected");
        let head = format!(
            "POST /api/webhooks/worker HTTP/1.1\r\nhost: kiln\r\nauthorization: Bearer {bearer}\r\ncontent-length: 60000\r\n\r\n{{"
        );
        socket.write_all(head.as_bytes()).await.expect("sent");
        socket
    };
    let answer = async |mut socket: TcpStream| {
        let mut head = [0; 12];
        socket.read_exact(&mut head).await.expect("an answer");
        String::from_utf8_lossy(&head).into_owned()
    };
    assert_eq!(answer(open(right(id, 2).to_uppercase()).await).await, "HTTP/1.1 401", "at once");
    let mut socket = open(right(id, 1)).await;
    let (read, mut write) = socket.split();
    let mut head = [0; 12];
    let mut ticks = tokio::time::interval(std::time::Duration::from_millis(200));
    let trickling = async {
        loop {
            ticks.tick().await;
            if write.write_all(b" ").await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    };
    let mut read = read;
    tokio::select! {
        () = trickling => {}
        told = read.read_exact(&mut head) => { told.expect("an answer"); }
    }
    assert_eq!(String::from_utf8_lossy(&head), "HTTP/1.1 408");
    assert_eq!(Value::from(door.kinds(id).await.len()), 2);
}
