//! The api dies at every line between the first byte and the 202, or the log does not answer: the same key works again.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::desk::{Desk, Fault, answer, form, job_of, long_wav, part};
use super::wire::{Loss, Wire};
use crate::stage::wav;
use crate::support::wait_for;

/// A form whose audio begins and never ends.
fn endless() -> reqwest::Body {
    let mut begun = part("audio", &long_wav(12 << 20));
    begun.truncate(11 << 20);
    let chunks: Vec<_> =
        begun.chunks(64 * 1024).map(|chunk| Ok::<_, std::io::Error>(Bytes::copy_from_slice(chunk))).collect();
    reqwest::Body::wrap_stream(stream::iter(chunks).chain(stream::pending()))
}

#[tokio::test]
async fn killed_while_the_upload_streams_nothing_is_accepted_and_the_key_works_again() {
    let desk = Desk::new().await;
    let (mut child, url) = desk.killable(desk.nats.url()).await;
    let request = desk.http.post(format!("{url}/api/render")).header("idempotency-key", "one");
    let sending = request.header("content-type", "multipart/form-data; boundary=b").body(endless()).send();
    let sending = tokio::spawn(sending);
    wait_for("an upload in parts", async || (desk.unfinished() == 1).then_some(())).await;
    child.kill().await.expect("it can be killed");
    assert!(sending.await.expect("it ends").is_err(), "the connection breaks");
    assert_eq!(desk.objects().await, Vec::<String>::new());
    let (status, body) = answer(desk.form(Some("one"), &long_wav(12 << 20))).await;
    assert_eq!(status, 202, "{body}");
}

#[tokio::test]
async fn a_client_that_goes_away_in_the_middle_leaves_nothing() {
    let desk = Desk::new().await;
    let request = desk.post("/api/render").header("content-type", "multipart/form-data; boundary=b");
    let sending = tokio::spawn(request.body(endless()).send());
    wait_for("an upload in parts", async || (desk.unfinished() == 1).then_some(())).await;
    sending.abort();
    wait_for("the end of the upload", async || (desk.unfinished() == 0).then_some(())).await;
    assert_eq!(desk.objects().await, Vec::<String>::new());
}

#[tokio::test]
async fn killed_after_the_upload_and_before_the_event_the_key_gives_the_job() {
    let desk = Desk::new().await;
    let (mut child, url) = desk.killable(desk.nats.url()).await;
    let (done, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    desk.break_next("PUT audio.wav", Fault::Hold(done.clone(), go));
    let sending = form(desk.http.post(format!("{url}/api/render")), Some("one"), "", &wav());
    let sending = tokio::spawn(sending.send());
    done.notified().await;
    child.kill().await.expect("it can be killed");
    assert!(sending.await.expect("it ends").is_err(), "the connection breaks");
    let left = desk.objects().await;
    assert_eq!(left.len(), 1, "{left:?}");
    let (status, body) = answer(desk.form(Some("one"), &wav())).await;
    assert_eq!((status.as_u16(), desk.objects().await), (202, left), "{body}");
    assert_eq!(desk.kinds(job_of(&body)).await, ["requested"]);
}

#[tokio::test]
async fn killed_after_the_event_and_before_the_202_the_key_gives_the_job() {
    let desk = Desk::new().await;
    let mut wire = Wire::to(desk.nats.url()).await;
    let (mut child, url) = desk.killable(&wire.url).await;
    wire.lose(Loss::Answers);
    let sending = tokio::spawn(form(desk.http.post(format!("{url}/api/render")), Some("one"), "", &wav()).send());
    wire.struck().await;
    let id = events::JobId::from_idempotency_key("anonymous", "one");
    wait_for("the event", async || (!desk.kinds(id).await.is_empty()).then_some(())).await;
    child.kill().await.expect("it can be killed");
    assert!(sending.await.expect("it ends").is_err(), "the connection breaks");
    let (status, body) = answer(desk.form(Some("one"), &wav())).await;
    assert_eq!((status.as_u16(), job_of(&body)), (202, id));
    assert_eq!(desk.kinds(id).await, ["requested"]);
}

/// The answer to a request that the log left open: 503, when to try again, and under which id to look.
async fn unknown(desk: &Desk, url: &str, key: &str) -> Value {
    let request = form(desk.http.post(format!("{url}/api/render")), Some(key), "", &wav());
    let response = request.send().await.expect("an answer");
    assert_eq!(response.status(), 503);
    assert!(response.headers().contains_key("retry-after"));
    response.json().await.expect("it is JSON")
}

#[tokio::test]
async fn a_lost_acknowledgement_is_unknown_and_the_key_gives_the_job() {
    let mut desk = Desk::new().await;
    let wire = Wire::to(desk.nats.url()).await;
    let url = desk.process(&wire.url, |api| api).await;
    wire.lose(Loss::Answers);
    let problem = unknown(&desk, &url, "one").await;
    let id = events::JobId::from_idempotency_key("anonymous", "one");
    assert_eq!(problem["code"], json!("unknown"), "{problem}");
    assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains(&id.to_string())), "{problem}");
    let (status, body) = answer(desk.form(Some("one"), &wav())).await;
    assert_eq!((status.as_u16(), job_of(&body)), (202, id));
    assert_eq!(desk.kinds(id).await, ["requested"]);
}

#[tokio::test]
async fn a_ghost_publish_that_arrives_later_is_the_job_of_its_key() {
    let mut desk = Desk::new().await;
    let wire = Wire::to(desk.nats.url()).await;
    let url = desk.process(&wire.url, |api| api).await;
    wire.lose(Loss::Questions);
    let problem = unknown(&desk, &url, "one").await;
    assert_eq!(problem["code"], json!("unknown"), "{problem}");
    let id = events::JobId::from_idempotency_key("anonymous", "one");
    assert_eq!(desk.kinds(id).await, Vec::<String>::new());
    wire.lose(Loss::Nothing);
    wait_for("the ghost", async || (!desk.kinds(id).await.is_empty()).then_some(())).await;
    let (status, body) = answer(desk.form(Some("one"), &wav())).await;
    assert_eq!((status.as_u16(), job_of(&body)), (202, id));
    assert_eq!(desk.kinds(id).await, ["requested"]);
}

#[tokio::test]
async fn without_the_log_an_upload_is_refused_before_its_body_is_read() {
    let mut desk = Desk::new().await;
    desk.nats.kill();
    let request = desk.post("/api/render").header("content-type", "multipart/form-data; boundary=b");
    let answered = request.body(reqwest::Body::wrap_stream(stream::pending::<std::io::Result<Bytes>>())).send().await;
    let answered = answered.expect("it is answered although nothing was sent");
    assert_eq!(answered.status(), 503);
    assert!(answered.headers().contains_key("retry-after"));
}
