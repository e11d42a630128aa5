//! This crate against a real server: one per test, on free ports, all in parallel.

#![expect(clippy::print_stdout, reason = "a test's output is for people")]

use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::Duration;

use nats::server::{Options, Server};
use nats::tool::NATS_SERVER;
use nats::topology::Tunables;
use nats::{Bus, Settings};
use tempfile::{TempDir, tempdir};

mod server;
mod tool;
mod topology;

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

    async fn bus(&self, role: &str) -> Bus {
        Bus::connect(&Settings::new(self.server.url(), role)).await.expect("connected")
    }

    async fn with(change: impl FnOnce(&mut Options)) -> Self {
        let folder = folder();
        let mut options = Options::new(program(), folder.path());
        change(&mut options);
        Self { server: Server::start(options).await.expect("a server"), _folder: folder }
    }
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
