//! A real server of a test's own, and what tests say to it.

use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::Duration;

use async_nats::jetstream::{self, stream};
use events::event::Requested;
use events::{Event, JobId, Spec};
use nats::server::{Options, Server};
use nats::tool::NATS_SERVER;
use nats::topology::Tunables;
use nats::{Bus, Log, Settings};
use serde_json::json;
use tempfile::{TempDir, tempdir};

/// Found, or fetched, once for all tests.
pub(crate) fn program() -> PathBuf {
    static FOUND: LazyLock<PathBuf> =
        LazyLock::new(|| NATS_SERVER.find(&|line| println!("{line}")).expect("a nats-server"));
    FOUND.clone()
}

pub(crate) fn folder() -> TempDir {
    tempdir().expect("a temporary folder")
}

/// A server of this test's own. It stops before its folder goes.
pub(crate) struct World {
    pub(crate) server: Server,
    _folder: TempDir,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(|_| ()).await
    }

    /// With streams, consumers and bucket.
    pub(crate) async fn provisioned() -> Self {
        let world = Self::new().await;
        nats::topology::provision(&world.bus("operator").await, &Tunables::default()).await.expect("provisioned");
        world
    }

    pub(crate) fn settings(&self, role: &str) -> Settings {
        Settings::new(self.server.url(), role)
    }

    pub(crate) async fn bus(&self, role: &str) -> Bus {
        Bus::connect(&self.settings(role)).await.expect("connected")
    }

    pub(crate) async fn log(&self, role: &str) -> Log {
        Log::new(self.bus(role).await)
    }

    pub(crate) async fn stream(&self, name: &str) -> stream::Stream {
        jetstream::new(self.bus("operator").await.client().clone()).get_stream(name).await.expect("a stream")
    }

    /// The consumer as the server sees it now.
    pub(crate) async fn consumer(&self, stream: &str, name: &str) -> jetstream::consumer::Info {
        self.stream(stream).await.consumer_info(name).await.expect("a consumer")
    }

    pub(crate) async fn with(change: impl FnOnce(&mut Options)) -> Self {
        let folder = folder();
        let mut options = Options::new(program(), folder.path());
        change(&mut options);
        Self { server: Server::start(options).await.expect("a server"), _folder: folder }
    }
}

/// A job id of one's own choice.
pub(crate) fn job_id(n: u64) -> JobId {
    JobId::new(n, [0; 10])
}

/// The smallest request.
pub(crate) fn spec() -> Spec {
    serde_json::from_value(json!({"audio": {"url": "https://example.com/song.flac"}})).expect("a request")
}

pub(crate) fn requested() -> Event {
    Event::Requested(Requested { spec: spec() })
}

/// Asks again and again until there is an answer, for 20 s at most.
pub(crate) async fn wait_for<T, F: Future<Output = Option<T>>>(what: &str, mut ask: impl FnMut() -> F) -> T {
    let mut ticks = tokio::time::interval(Duration::from_millis(5));
    let answer = async {
        loop {
            ticks.tick().await;
            if let Some(answer) = ask().await {
                return answer;
            }
        }
    };
    within(what, Box::pin(answer)).await
}

/// Waits no longer than 20 s; the error says for what.
pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), future).await.unwrap_or_else(|_| panic!("waited 20 s for {what}"))
}
