//! A stream's snapshot comes and goes in chunks: `stream.tar.s2` keeps them, `backup.json` what the stream is.

use std::path::Path;
use std::time::Duration;

use async_nats::{Client, Message, Request};
use bytes::Bytes;
use futures_util::StreamExt;
use serde_json::{Value, json};

const CHUNK: usize = 64 * 1024;

pub(super) async fn back_up(client: &Client, subject: &str, body: Bytes, folder: &Path) -> Message {
    let wish: Value = serde_json::from_slice(&body).expect("JSON");
    let inbox = wish["deliver_subject"].as_str().expect("a subject for the chunks").to_owned();
    let mut chunks = client.subscribe(inbox).await.expect("subscribed");
    let answer = request(client, subject, body).await;
    let info: Value = serde_json::from_slice(&answer.payload).expect("JSON");
    let mut data = Vec::new();
    // An empty message is the end.
    while let Some(chunk) = chunks.next().await.filter(|chunk| !chunk.payload.is_empty()) {
        data.extend_from_slice(&chunk.payload);
        if let Some(reply) = chunk.reply {
            client.publish(reply, Bytes::new()).await.expect("sent");
        }
    }
    let about = json!({"config": info["config"], "state": info["state"]});
    std::fs::create_dir_all(folder).expect("a folder");
    std::fs::write(folder.join("stream.tar.s2"), data).expect("kept");
    std::fs::write(folder.join("backup.json"), about.to_string()).expect("kept");
    answer
}

pub(super) async fn restore(client: &Client, subject: &str, body: Bytes, folder: &Path) -> Message {
    let answer = request(client, subject, body).await;
    let info: Value = serde_json::from_slice(&answer.payload).expect("JSON");
    let to = info["deliver_subject"].as_str().unwrap_or_else(|| panic!("a place for the chunks: {info}"));
    let data = std::fs::read(folder.join("stream.tar.s2")).expect("a backup");
    for chunk in data.chunks(CHUNK) {
        request(client, to, chunk.to_vec().into()).await;
    }
    request(client, to, Bytes::new()).await
}

async fn request(client: &Client, subject: &str, body: Bytes) -> Message {
    let request = Request::new().payload(body).timeout(Some(Duration::from_secs(20)));
    client.send_request(subject.to_owned(), request).await.expect("an answer")
}
