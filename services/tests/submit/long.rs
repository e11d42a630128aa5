//! Long JSON: as much at a time as there is room set aside for it, and the rest is told to come again.

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::desk::{Desk, answer, form, job_of, long_wav};
use crate::stage::wav;

const FLOOD: usize = 32;
/// A request's whole time, on a machine that has other things to do: half of what a slow body may take.
const BOUND: Duration = Duration::from_mins(1);
/// What all of the flood together may add to the memory.
const MOST_MIB: u64 = 256;

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_base64_is_accepted_or_told_to_come_again_while_polls_go_on() {
    let desk = Desk::new().await;
    let (process, url) = desk.killable(desk.nats.url()).await;
    let (_, known) = answer(form(desk.http.post(format!("{url}/api/render")), None, "", &wav())).await;
    let before = peak_mib(process.id().expect("it runs"));
    let audio = STANDARD.encode(long_wav(3 << 20));
    let flood = Flood {
        http: desk.http.clone(),
        url: format!("{url}/api/render"),
        body: json!({"audio": {"data": audio}}).to_string().into(),
    };
    let poll = format!("{url}/api/render/{}", job_of(&known));
    let polls = async {
        loop {
            let began = Instant::now();
            assert_eq!(desk.http.get(&poll).send().await.expect("an answer").status(), 200);
            assert!(began.elapsed() < BOUND, "a poll took {:?}", began.elapsed());
        }
    };
    let flooding = async {
        let slow = begin_and_stop(&url).await;
        let began = Instant::now();
        assert_eq!(flood.strike().await, 0, "there is no room");
        assert!(began.elapsed() < BOUND, "they were told after {:?}", began.elapsed());
        drop(slow);
        let mut accepted = 0;
        while accepted < FLOOD {
            let more = flood.strike().await;
            assert!(more > 0, "there is room for some");
            accepted += more;
        }
    };
    tokio::select! {
        () = flooding => {}
        () = polls => {}
    }
    let grown = peak_mib(process.id().expect("it runs")) - before;
    assert!(grown < MOST_MIB, "{grown} MiB");
}

/// Eight who say that they will send 8 MiB, and send nothing: they hold all the room.
async fn begin_and_stop(url: &str) -> Vec<TcpStream> {
    let mut slow = Vec::new();
    for n in 0..8 {
        let mut socket = TcpStream::connect(url.trim_start_matches("http://")).await.expect("it listens");
        let length = 8 << 20;
        let head = format!(
            "POST /api/render HTTP/1.1\r\nHost: kiln\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\
             Expect: 100-continue\r\n\r\n"
        );
        socket.write_all(head.as_bytes()).await.expect("it reads");
        let mut said = [0; 12];
        let reading = timeout(Duration::from_secs(10), socket.read_exact(&mut said)).await;
        reading.expect("an answer in time").expect("an answer");
        assert_eq!(&said, b"HTTP/1.1 100", "the {n}th may go on");
        slow.push(socket);
    }
    slow
}

struct Flood {
    http: reqwest::Client,
    url: String,
    body: Bytes,
}

impl Flood {
    /// Many at once; how many were accepted. The others are told to come again.
    async fn strike(&self) -> usize {
        let mut running = JoinSet::new();
        for _ in 0..FLOOD {
            let request = self.http.post(&self.url).header("content-type", "application/json").body(self.body.clone());
            running.spawn(timeout(BOUND, request.send()));
        }
        let mut accepted = 0;
        for answered in running.join_all().await {
            let answered = answered.expect("an answer in time").expect("an answer");
            match answered.status().as_u16() {
                202 => accepted += 1,
                status => assert_eq!((status, &answered.headers()["retry-after"]), (503, &"2".parse().expect("text"))),
            }
        }
        accepted
    }
}

/// The most memory that the process has had, as Linux tells it.
fn peak_mib(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("it is there");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("its memory is told");
    line.split_whitespace().next().and_then(|kib| kib.parse::<u64>().ok()).expect("a number") / 1024
}
