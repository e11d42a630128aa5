//! This crate against a real server: one per test, on free ports, all in parallel.

#![expect(clippy::print_stdout, reason = "a test's output is for people")]

use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::Duration;

use async_nats::jetstream::{self, stream};
use events::event::{Cancelled, Requested};
use events::{Event, JobId, Spec};
use nats::server::{Options, Server};
use nats::tool::NATS_SERVER;
use nats::topology::Tunables;
use nats::{Bus, Log, Settings};
use serde_json::json;
use tempfile::{TempDir, tempdir};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

mod consumer;
mod log;
mod projection;
mod server;
mod tool;
mod topology;
mod watch;

/// Found, or fetched, once for all tests.
fn program() -> PathBuf {
    static FOUND: LazyLock<PathBuf> =
        LazyLock::new(|| NATS_SERVER.find(&|line| println!("{line}")).expect("a nats-server"));
    FOUND.clone()
}

fn folder() -> TempDir {
    tempdir().expect("a temporary folder")
}

/// A server of this test's own. It stops before its folder goes.
struct World {
    server: Server,
    _folder: TempDir,
}

impl World {
    async fn new() -> Self {
        Self::with(|_| ()).await
    }

    /// With streams, consumers and bucket.
    async fn provisioned() -> Self {
        let world = Self::new().await;
        nats::topology::provision(&world.bus("operator").await, &Tunables::default()).await.expect("provisioned");
        world
    }

    fn settings(&self, role: &str) -> Settings {
        Settings::new(self.server.url(), role)
    }

    async fn bus(&self, role: &str) -> Bus {
        Bus::connect(&self.settings(role)).await.expect("connected")
    }

    async fn log(&self, role: &str) -> Log {
        Log::new(self.bus(role).await)
    }

    async fn stream(&self, name: &str) -> stream::Stream {
        jetstream::new(self.bus("operator").await.client().clone()).get_stream(name).await.expect("a stream")
    }

    /// The consumer as the server sees it now.
    async fn consumer(&self, stream: &str, name: &str) -> jetstream::consumer::Info {
        self.stream(stream).await.consumer_info(name).await.expect("a consumer")
    }

    /// What a client library would not send. The command's line wants the lengths at its end.
    async fn publish_raw(&self, command: &str, headers: &[u8], payload: &[u8]) {
        let address = self.server.url().trim_start_matches("nats://");
        let mut socket = TcpStream::connect(address).await.expect("connected");
        let hello = "CONNECT {\"verbose\":false,\"headers\":true}\r\n";
        let line = format!("{hello}{command}{} {}\r\n", headers.len(), headers.len() + payload.len());
        for part in [line.as_bytes(), headers, payload, b"\r\nPING\r\n"] {
            socket.write_all(part).await.expect("sent");
        }
        let mut lines = BufReader::new(socket).lines();
        while lines.next_line().await.expect("an answer").is_some_and(|line| line != "PONG") {}
    }

    async fn with(change: impl FnOnce(&mut Options)) -> Self {
        let folder = folder();
        let mut options = Options::new(program(), folder.path());
        change(&mut options);
        Self { server: Server::start(options).await.expect("a server"), _folder: folder }
    }
}

/// A job id of one's own choice.
fn job_id(n: u64) -> JobId {
    JobId::new(n, [0; 10])
}

/// The smallest request.
fn spec() -> Spec {
    serde_json::from_value(json!({"audio": {"url": "https://example.com/song.flac"}})).expect("a request")
}

fn requested() -> Event {
    Event::Requested(Requested { spec: spec() })
}

fn cancelled(reason: &str) -> Event {
    Event::Cancelled(Cancelled { reason: reason.into() })
}

/// Asks again and again until there is an answer; the error after 20 s says what was waited for.
async fn wait_for<T, F: Future<Output = Option<T>>>(what: &str, mut ask: impl FnMut() -> F) -> T {
    let mut ticks = tokio::time::interval(Duration::from_millis(5));
    let answer = async {
        loop {
            ticks.tick().await;
            if let Some(answer) = ask().await {
                return answer;
            }
        }
    };
    let answer = tokio::time::timeout(Duration::from_secs(20), answer).await;
    answer.unwrap_or_else(|_| panic!("waited 20 s for {what}"))
}
