//! Limits per class of route: a flood of one leaves the others fast, and is told so before its bodies are read.

use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Method, StatusCode};
use axum::routing::{get, post};
use kiln::http::gate::{Gate, limited};
use kiln::http::route::{Answer, Class, Content, Operation, router};
use kiln::keys::Keys;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::{Server, serve};

/// One route of each class; at most two uploads.
async fn server() -> Server {
    let upload = Operation {
        method: Method::POST,
        path: "/upload",
        class: Class::Upload,
        body: vec![Content::json::<Value>()],
        answers: vec![Answer::empty(200, "")],
        ..Operation::default()
    };
    let json = Operation { path: "/json", class: Class::Json, ..upload.clone() };
    let poll =
        Operation { path: "/poll", class: Class::Poll, answers: vec![Answer::empty(200, "")], ..Operation::default() };
    let read = async |body: Body| {
        to_bytes(body, usize::MAX).await.map(|_| ()).map_err(|_| axum::http::StatusCode::BAD_REQUEST)
    };
    let routes = vec![upload.by(post(read)), json.by(post(async |_: axum::body::Bytes| ())), poll.by(get(async || ()))];
    let gate = Gate::new(Keys::none(), 2);
    serve(kiln::http::finish(router::<()>(routes, &gate), None, &kiln::metrics::Metrics::new())).await
}

async fn connect(server: &Server, text: &str) -> TcpStream {
    let address = server.url.strip_prefix("http://").expect("it is an address");
    let mut socket = TcpStream::connect(address).await.expect("it listens");
    socket.write_all(text.as_bytes()).await.expect("it reads");
    socket
}

/// What comes until there is a pause, or the end.
async fn answer(socket: &mut TcpStream) -> String {
    let mut bytes = vec![0; 8192];
    let length = timeout(Duration::from_secs(20), socket.read(&mut bytes)).await.expect("an answer").expect("it reads");
    String::from_utf8_lossy(&bytes[..length]).into_owned()
}

fn head(path: &str, more: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: kiln\r\n{more}\r\n")
}

#[tokio::test]
async fn uploads_that_fill_their_places_leave_polls_fast_and_are_refused_unread() {
    let server = server().await;
    let long = head("/upload", "Content-Length: 1000000\r\nExpect: 100-continue\r\n");
    let mut busy = Vec::new();
    for _ in 0..2 {
        let mut socket = connect(&server, &long).await;
        assert!(answer(&mut socket).await.starts_with("HTTP/1.1 100"), "an upload that is taken may begin");
        busy.push(socket);
    }
    let mut refused = connect(&server, &long).await;
    let said = answer(&mut refused).await;
    assert!(said.starts_with("HTTP/1.1 503") && said.contains("retry-after: "), "{said}");
    assert!(said.contains("\"overloaded\""), "{said}");
    let mut without_waiting = connect(&server, &head("/upload", "Content-Length: 5\r\n")).await;
    without_waiting.write_all(b"hello").await.expect("it reads");
    let said = answer(&mut without_waiting).await;
    assert!(said.starts_with("HTTP/1.1 503"), "{said}");
    let http = kiln::client::http_client(Duration::from_secs(30));
    let start = Instant::now();
    for _ in 0..100 {
        let polled = http.get(format!("{}/poll", server.url)).send().await.expect("an answer");
        assert_eq!(polled.status(), 200);
    }
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    drop(busy.pop());
    let mut next = connect(&server, &long).await;
    assert!(answer(&mut next).await.starts_with("HTTP/1.1 100"), "a place that is left is taken again");
}

#[tokio::test]
async fn short_bodies_are_capped_and_need_no_length_for_that() {
    let server = server().await;
    let announced = head("/json", "Content-Length: 70000\r\nExpect: 100-continue\r\n");
    let said = answer(&mut connect(&server, &announced).await).await;
    assert!(said.starts_with("HTTP/1.1 413"), "refused by its length alone: {said}");
    let mut chunked = connect(&server, &head("/json", "Transfer-Encoding: chunked\r\n")).await;
    chunked.write_all(format!("11170\r\n{}\r\n0\r\n\r\n", " ".repeat(70_000)).as_bytes()).await.expect("it reads");
    let said = answer(&mut chunked).await;
    assert!(said.starts_with("HTTP/1.1 413"), "{said}");
}

#[tokio::test]
async fn five_hundred_idle_and_five_hundred_trickling_sockets_are_closed_while_polls_stay_fast() {
    kiln::http::allow_many_connections();
    let server = server().await;
    let mut sockets = tokio::task::JoinSet::new();
    for n in 0..1000 {
        let begin = match n % 4 {
            0 => String::new(),
            1 => "GET /poll HTTP/1.1\r\nHo".to_owned(),
            2 => head("/upload", "Content-Length: 1000000\r\n"),
            _ => head("/json", "Content-Length: 1000\r\n"),
        };
        let mut socket = connect(&server, &begin).await;
        // Half of them send a byte in every second.
        let trickles = n >= 500;
        sockets.spawn(async move {
            let mut ticks = tokio::time::interval(Duration::from_secs(1));
            let mut bytes = [0; 1024];
            loop {
                tokio::select! {
                    read = socket.read(&mut bytes) => if !matches!(read, Ok(1..)) { return },
                    _ = ticks.tick() => if trickles && socket.write_all(b"x").await.is_err() { return },
                }
            }
        });
    }
    let http = kiln::client::http_client(Duration::from_secs(30));
    let mut slowest = Duration::ZERO;
    let closed = async { while sockets.join_next().await.is_some() {} };
    let polls = async {
        let mut ticks = tokio::time::interval(Duration::from_millis(50));
        loop {
            ticks.tick().await;
            let start = Instant::now();
            let polled = http.get(format!("{}/poll", server.url)).send().await.expect("an answer");
            assert_eq!(polled.status(), 200);
            slowest = slowest.max(start.elapsed());
        }
    };
    tokio::select! {
        closed = timeout(Duration::from_secs(30), closed) => closed.expect("every socket is closed within 30 s"),
        () = polls => {}
    }
    assert!(slowest < Duration::from_secs(2), "a poll took {slowest:?}");
}

#[tokio::test]
async fn a_flood_of_callbacks_is_told_to_come_again_and_leaves_others_fast() {
    let read = async |body: Body| to_bytes(body, usize::MAX).await.map(|_| ()).map_err(|_| StatusCode::BAD_REQUEST);
    let callbacks = limited(Router::new().route("/callback", post(read)), 2);
    let router = callbacks.merge(Router::new().route("/poll", get(async || ())));
    let server = serve(kiln::http::finish(router, None, &kiln::metrics::Metrics::new())).await;
    let slow = head("/callback", "Content-Length: 1000\r\nExpect: 100-continue\r\n");
    let mut busy = Vec::new();
    for _ in 0..2 {
        let mut socket = connect(&server, &slow).await;
        assert!(answer(&mut socket).await.starts_with("HTTP/1.1 100"), "one that is taken may begin");
        busy.push(socket);
    }
    let said = answer(&mut connect(&server, &slow).await).await;
    assert!(said.starts_with("HTTP/1.1 503") && said.contains("retry-after: "), "{said}");
    let http = kiln::client::http_client(Duration::from_secs(30));
    let start = Instant::now();
    assert_eq!(http.get(format!("{}/poll", server.url)).send().await.expect("an answer").status(), 200);
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    drop(busy.pop());
    assert!(answer(&mut connect(&server, &slow).await).await.starts_with("HTTP/1.1 100"), "a place is free again");
}
