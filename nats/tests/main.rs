//! This crate against a real server: one per test, on free ports, all in parallel.

#![expect(clippy::print_stdout, reason = "a test's output is for people")]

use events::Event;
use events::event::Cancelled;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use crate::world::{World, folder, job_id, program, requested, spec, wait_for, within};

mod cluster;
mod consumer;
mod entries;
mod fence;
mod letters;
mod log;
mod login;
mod permissions;
mod projection;
mod publishers;
mod recipes;
mod requests;
mod server;
mod tool;
mod topology;
mod unreadable;
mod watch;
#[path = "recipes/requests.rs"]
mod way;
mod world;

impl World {
    /// What a client library would not send.
    async fn publish_raw(&self, subject: &[u8], headers: &[u8], payload: &[u8]) {
        let address = self.server.url().trim_start_matches("nats://");
        let mut socket = TcpStream::connect(address).await.expect("connected");
        let hello = b"CONNECT {\"verbose\":false,\"headers\":true}\r\nHPUB ";
        let lengths = format!(" {} {}\r\n", headers.len(), headers.len() + payload.len());
        for part in [hello, subject, lengths.as_bytes(), headers, payload, b"\r\nPING\r\n"] {
            socket.write_all(part).await.expect("sent");
        }
        let mut lines = BufReader::new(socket).lines();
        while lines.next_line().await.expect("an answer").is_some_and(|line| line != "PONG") {}
    }
}

fn cancelled(reason: &str) -> Event {
    Event::Cancelled(Cancelled { reason: reason.into() })
}
