//! One trace goes all the way: with the request, through the log, to the provider, into the container, and back.

use events::Status;
use nats::topology::RENDER;
use serde_json::Value;

use crate::webhook::messages;
use crate::world::TestWorld;

#[tokio::test]
async fn a_trace_is_followed_from_the_request_to_the_video() {
    let mut world = TestWorld::start().await;
    let (trace, span) = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7");
    let audio = std::fs::read(world.music(1)).expect("it is there");
    let part = b"--b\r\nContent-Disposition: form-data; name=\"audio\"\r\n\r\n";
    let request = world.http.post(world.url("/api/render")).header("traceparent", format!("00-{trace}-{span}-01"));
    let request = request.header("content-type", "multipart/form-data; boundary=b");
    let sent = request.body([part.as_slice(), &audio, b"\r\n--b--\r\n"].concat()).send().await.expect("an answer");
    let accepted: Value = sent.json().await.expect("JSON");
    let job = accepted["jobId"].as_str().and_then(|id| id.parse().ok()).unwrap_or_else(|| panic!("{accepted}"));
    assert_eq!(world.wait_for_end(job).await.status, Status::Complete);

    let (mut told, mut spans) = (Vec::new(), vec![span.to_owned()]);
    for message in messages(&world.world().bus().await.expect("connected"), RENDER).await {
        let headers = message.headers();
        let line = headers.lines().find_map(|line| line.strip_prefix("traceparent: "));
        let parent = line.unwrap_or_else(|| panic!("{} has no trace: {headers}", message.subject)).trim();
        assert!(parent.starts_with(&format!("00-{trace}-")) && parent.ends_with("-01"), "{parent}");
        spans.push(parent[36..52].to_owned());
        told.extend(message.subject.split('.').nth(2).filter(|kind| *kind != "dispatched").map(str::to_owned));
    }
    // A container learns of the trace from the provider alone, and the provider from the worker.
    assert_eq!(told, ["requested", "started", "completed"]);
    let all = spans.len();
    spans.sort();
    spans.dedup();
    assert_eq!(spans.len(), all, "each has a span of its own");
    world.stop().await;
}
