//! What following a job costs.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::http::{HeaderValue, header};
use axum::response::IntoResponse;
use axum::routing::get;
use events::event::{Completed, Dispatched, Output, Requested};
use events::{Attempt, Entry, Event, Job, JobId, Recorded, Timestamp};
use nats::Bus;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::stack::{self, Took};

/// As many as those of `kiln bench`.
const CLIENTS: usize = 64;
const ROUND: Duration = Duration::from_secs(3);
const TURNS: usize = 5;
const STREAMS: usize = 2000;
/// Every so many jobs one still waits; the others are complete.
const WAITING: u64 = 10;

fn id(n: u64) -> JobId {
    JobId::new(n, n.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes().repeat(2)[..10].try_into().expect("ten bytes"))
}

/// A job whose request has this place in the log, as the projector would write it.
fn entry(n: u64) -> Vec<u8> {
    let id = id(n);
    let spec =
        serde_json::json!({"audio": {"key": format!("renders/{id}/audio.flac")}, "metadata": {"user": "one of many"}});
    let output = Output::video(format!("renders/{id}/output.mp4"), 12_345_678);
    let life = [
        Event::Requested(Requested { spec: serde_json::from_value(spec).expect("a request") }),
        Event::Dispatched(Attempt::FIRST, Dispatched { call_id: "fc-0123456789".into(), gpu: true }),
        Event::Completed(Completed { attempt: Attempt::FIRST, output }),
    ];
    let mut job = Job::default();
    let events = if n.is_multiple_of(WAITING) { 1 } else { 3 };
    for (event, step) in life.into_iter().take(events).zip(0..) {
        let (seq, time) = (4 * n + step, Timestamp::from_unix_ms(1_795_348_800_000 + i64::try_from(n).unwrap_or(0)));
        job.absorb(&Recorded { seq, time, event });
    }
    serde_json::to_vec(&Entry::from(job)).expect("JSON")
}

pub(crate) async fn run(jobs: u64) {
    // Only reading is measured, and a disk that has other things to do takes minutes for a million entries.
    let folder = stack::folder_elsewhere();
    let (server, bus) = stack::nats(folder.path(), false).await;
    write(&bus, jobs).await;

    let (before, began, mut tasks) = (stack::resident_mib(), Instant::now(), JoinSet::new());
    let api = stack::api(&mut tasks, &server, stack::bucket("http://127.0.0.1:9")).await;
    let address = stack::serve(&mut tasks, api, Router::new().route("/bare/{job}", get(bare))).await;
    while !ask(address, "/api/render?limit=1").await.starts_with(b"HTTP/1.1 200") {}
    println!("{jobs} jobs: index in {:.1} s", began.elapsed().as_secs_f64());

    polls(address, jobs).await;
    // By now the allocator has given back what the table outgrew.
    println!("index and answers that are kept: {:.0} MiB", stack::resident_mib() - before);
    lists(address, jobs).await;
    streams(address, jobs).await;
    tasks.abort_all();
}

/// In turns; the median of each counts.
async fn polls(address: SocketAddr, jobs: u64) {
    let hot = format!("/api/render/{}", id(1));
    let mut rates = [const { Vec::new() }; 3];
    for turn in 0..TURNS {
        // Each turn asks for others.
        let any = |n| format!("/api/render/{}", id(scatter((turn << 32) + n, jobs)));
        rates[0].push(rate(address, |_| "/bare/1".into()).await);
        rates[1].push(rate(address, |_| hot.clone()).await);
        rates[2].push(rate(address, any).await);
    }
    println!("turns: {rates:.0?}");
    for rates in &mut rates {
        rates.sort_by(f64::total_cmp);
    }
    let [bare, one, any] = rates.map(|rates| rates[TURNS / 2]);
    println!("bare handler: {bare:.0}/s");
    for (name, polls) in [("one", one), ("any", any)] {
        println!("poll of {name} job: {polls:.0}/s, {:.2} of bare", polls / bare);
    }
}

/// Answers what a poll answers, and does nothing for it.
async fn bare() -> impl IntoResponse {
    const BODY: &[u8] = &[b'x'; 1150];
    let text = HeaderValue::from_static;
    let headers = [
        (header::CONTENT_TYPE, text("application/json")),
        (header::ETAG, text("\"6.1.100.end-0123456789abcdef\"")),
        (header::CACHE_CONTROL, text("private, no-cache")),
        (header::VARY, text("accept, prefer")),
    ];
    (headers, BODY)
}

fn scatter(n: usize, jobs: u64) -> u64 {
    (n as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) % jobs + 1
}

async fn write(bus: &Bus, jobs: u64) {
    let began = Instant::now();
    for n in 1..=jobs {
        let (subject, entry) = (format!("$KV.JOBS.{}", id(n)), entry(n).into());
        // What nobody waits for is dropped when ten thousand messages lie before the stream.
        if n.is_multiple_of(5000) || n == jobs {
            bus.client().request(subject, entry).await.expect("stored");
        } else {
            bus.client().publish(subject, entry).await.expect("sent");
        }
    }
    let info = bus.client().request("$JS.API.STREAM.INFO.KV_JOBS", "".into()).await.expect("answered");
    let info: serde_json::Value = serde_json::from_slice(&info.payload).expect("JSON");
    assert_eq!(info["state"]["messages"], jobs);
    println!("{jobs} entries of {} bytes written in {:.1} s", entry(1).len(), began.elapsed().as_secs_f64());
}

async fn request(socket: &mut TcpStream, path: &str, accept: &str) {
    let request = format!("GET {path} HTTP/1.1\r\nhost: kiln\r\naccept: {accept}\r\n\r\n");
    socket.write_all(request.as_bytes()).await.expect("sent");
}

/// One whole answer with a length.
async fn answer(socket: &mut TcpStream, buffer: &mut Vec<u8>) {
    buffer.clear();
    loop {
        socket.read_buf(buffer).await.expect("answered");
        let head = buffer.windows(4).position(|four| four == b"\r\n\r\n").map(|end| end + 4);
        let Some(head) = head else { continue };
        let text = String::from_utf8_lossy(&buffer[..head]).to_ascii_lowercase();
        let length = text.split("content-length: ").nth(1).and_then(|rest| rest.split('\r').next()?.parse().ok());
        if buffer.len() >= head + length.unwrap_or(0) {
            return;
        }
    }
}

async fn ask(address: SocketAddr, path: &str) -> Vec<u8> {
    let mut socket = TcpStream::connect(address).await.expect("connected");
    let mut buffer = Vec::new();
    request(&mut socket, path, "*/*").await;
    answer(&mut socket, &mut buffer).await;
    buffer
}

/// Answers per second.
async fn rate(address: SocketAddr, path: impl Fn(usize) -> String) -> f64 {
    let (asked, end) = (AtomicUsize::new(0), Instant::now() + ROUND);
    let client = async || {
        let mut socket = TcpStream::connect(address).await.expect("connected");
        let mut buffer = Vec::with_capacity(4096);
        while Instant::now() < end {
            request(&mut socket, &path(asked.fetch_add(1, Ordering::Relaxed)), "*/*").await;
            answer(&mut socket, &mut buffer).await;
            assert!(buffer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&buffer));
        }
    };
    futures_util::future::join_all((0..CLIENTS).map(|_| client())).await;
    asked.load(Ordering::Relaxed) as f64 / ROUND.as_secs_f64()
}

async fn lists(address: SocketAddr, jobs: u64) {
    for (name, path) in [
        ("newest 20", "/api/render".to_owned()),
        ("newest 100", "/api/render?limit=100".to_owned()),
        ("100 from the middle", format!("/api/render?limit=100&cursor={:x}", 2 * jobs)),
        ("100 that wait", "/api/render?limit=100&status=pending".to_owned()),
    ] {
        let mut took = Took::default();
        for _ in 0..50 {
            let began = Instant::now();
            assert!(ask(address, &path).await.starts_with(b"HTTP/1.1 200"));
            took.add(began.elapsed());
        }
        took.print(&format!("list, {name}"));
    }
}

/// Also counts what the clients' sockets take, since they are in this process.
async fn streams(address: SocketAddr, jobs: u64) {
    let before = stack::resident_mib();
    let mut open = Vec::new();
    for n in 0..STREAMS as u64 {
        let mut socket = TcpStream::connect(address).await.expect("connected");
        let waiting = (n * WAITING) % jobs / WAITING * WAITING + WAITING;
        request(
            &mut socket,
            &format!("/api/render/{}", id(waiting.min(jobs / WAITING * WAITING))),
            "text/event-stream",
        )
        .await;
        let mut first = [0; 64];
        socket.read_exact(&mut first).await.expect("it begins");
        assert!(first.starts_with(b"HTTP/1.1 200"));
        open.push(socket);
    }
    println!("{STREAMS} streams: {:.0} MiB", stack::resident_mib() - before);
}
