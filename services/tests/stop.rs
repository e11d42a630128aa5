//! A stop in good order.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::support::wait_for;

#[tokio::test]
async fn a_request_in_progress_ends_well_and_no_other_one_begins() {
    let (began, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let slow = {
        let (began, go_on) = (Arc::clone(&began), Arc::clone(&go_on));
        async move || {
            began.notify_one();
            go_on.notified().await;
            "done"
        }
    };
    let router = Router::new().route("/slow", get(slow)).route("/fast", get(async || "fast"));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let stop = CancellationToken::new();
    let serving = tokio::spawn(kiln::http::serve(listener, router, stop.clone()));
    let http = kiln::client::http_client(Duration::from_secs(30));
    let fast = http.get(format!("http://{address}/fast")).send().await.expect("it is answered");
    assert_eq!(fast.text().await.expect("a body"), "fast");
    let slow = tokio::spawn(http.get(format!("http://{address}/slow")).send());
    began.notified().await;
    stop.cancel();
    wait_for("a closed door", async || TcpStream::connect(address).await.is_err().then_some(())).await;
    assert!(
        http.get(format!("http://{address}/fast")).send().await.is_err(),
        "a kept connection serves no new request"
    );
    assert!(!serving.is_finished(), "it waits for the request in progress");
    go_on.notify_one();
    let answer = slow.await.expect("no panic").expect("it is answered");
    assert_eq!(answer.text().await.expect("a body"), "done");
    tokio::time::timeout(Duration::from_secs(5), serving).await.expect("it ends then").expect("no panic");
}
