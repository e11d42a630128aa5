//! What every test needs.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

/// How long a test waits for anything.
const PATIENCE: Duration = Duration::from_mins(4);

/// The program.
pub(crate) fn kiln() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_kiln"))
}

/// The encoder: found, or fetched, once for all tests.
pub(crate) fn ffmpeg() -> PathBuf {
    static FOUND: LazyLock<PathBuf> = LazyLock::new(|| nats::tool::FFMPEG.find(&|_| ()).expect("an ffmpeg"));
    FOUND.clone()
}

/// Asks again and again until there is an answer.
pub(crate) async fn wait_for<T, F: Future<Output = Option<T>>>(what: &str, mut ask: impl FnMut() -> F) -> T {
    let mut ticks = tokio::time::interval(Duration::from_millis(10));
    let answer = async {
        loop {
            ticks.tick().await;
            if let Some(answer) = ask().await {
                return answer;
            }
        }
    };
    within(what, answer).await
}

/// What does not come is a failure, and not a test without end.
pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("waited {PATIENCE:?} for {what}"))
}

/// A server of this test's own.
pub(crate) struct Server {
    pub(crate) url: String,
    _stop: DropGuard,
}

pub(crate) async fn serve(router: Router) -> Server {
    let stop = CancellationToken::new();
    Server { url: serve_until(router, stop.clone()).await, _stop: stop.drop_guard() }
}

pub(crate) async fn serve_until(router: Router, stop: CancellationToken) -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    tokio::spawn(kiln::http::serve(listener, router, stop));
    url
}

/// An address where nobody listens.
pub(crate) async fn nowhere() -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
    format!("http://{}", listener.local_addr().expect("an address"))
}

/// Whether a process is there and no zombie.
pub(crate) fn is_alive(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

pub(crate) async fn wait_until_gone(pid: u32) {
    wait_for(&format!("the end of process {pid}"), || async { (!is_alive(pid)).then_some(()) }).await;
}

/// The number that a process wrote into a file.
pub(crate) async fn wait_for_pid(file: &Path) -> u32 {
    wait_for("a process id", || async { std::fs::read_to_string(file).ok()?.trim().parse().ok() }).await
}

pub(crate) fn files_in(folder: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()).collect()
}
