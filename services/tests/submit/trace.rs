//! A trace goes with its request into the log.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::desk::{Desk, answer, job_of};
use crate::stage::wav;

#[tokio::test]
async fn a_trace_that_comes_with_a_request_stands_in_its_event() {
    let desk = Desk::new().await;
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let given = format!("00-{trace}-00f067aa0ba902b7-01");
    for (header, wanted) in [(given.as_str(), Some(trace)), ("nonsense", None)] {
        let (_, body) = answer(desk.form(None, &wav()).header("traceparent", header)).await;
        let subject = format!("render.{}.requested", job_of(&body));
        let asked = json!({"last_by_subj": subject}).to_string();
        let client = desk.log.bus().client();
        let got = client.request("$JS.API.STREAM.MSG.GET.RENDER", asked.into()).await.expect("an event");
        let got: Value = serde_json::from_slice(&got.payload).expect("it is JSON");
        let headers = STANDARD.decode(got["message"]["hdrs"].as_str().expect("headers")).expect("base64");
        let headers = String::from_utf8(headers).expect("text");
        let line = headers.lines().find_map(|line| line.strip_prefix("traceparent: ")).expect("a trace");
        let written = line.trim().to_owned();
        assert!(written.len() == 55 && written != header, "{written}");
        assert_eq!(written.contains(trace), wanted.is_some(), "{written}");
    }
}
