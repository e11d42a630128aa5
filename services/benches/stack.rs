//! What the benches have in common: servers on free ports, and figures.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use axum::Router;
use events::Secret;
use kiln::api::Api;
use kiln::bucket::Bucket;
use kiln::dev::s3;
use kiln::http::gate::Gate;
use nats::server::{Options, Server};
use nats::topology::{Tunables, provision};
use nats::{Bus, Jobs, Log, Settings};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

const KEY: &str = "key";
const SECRET: &str = "secret";

pub(crate) fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

/// A folder in memory where the system has such a place: a store is elsewhere, and writes to no disk of ours.
pub(crate) fn folder_elsewhere() -> TempDir {
    tempfile::tempdir_in("/dev/shm").unwrap_or_else(|_| folder())
}

/// A private server with the topology.
pub(crate) async fn nats(folder: &Path, sync_always: bool) -> (Server, Bus) {
    let program = nats::tool::NATS_SERVER.find(&|_| ()).expect("a nats-server");
    let server = Server::start(Options { sync_always, ..Options::new(program, folder) }).await.expect("a server");
    let bus = bus(&server, "operator").await;
    provision(&bus, &Tunables::default()).await.expect("provisioned");
    (server, bus)
}

pub(crate) async fn bus(server: &Server, role: &str) -> Bus {
    Bus::connect(&Settings::new(server.url(), role)).await.expect("connected")
}

/// The role, and what it hears.
pub(crate) async fn api(tasks: &mut JoinSet<()>, server: &Server, bucket: Bucket) -> Api {
    let bus = bus(server, "api").await;
    let api = Api::new(Log::new(bus.clone()), Jobs::new(bus), bucket, CancellationToken::new());
    let listening = api.clone();
    tasks.spawn(async move { listening.listen().await });
    api
}

/// The role's routes as they are served, and what stands beside them.
pub(crate) async fn serve(tasks: &mut JoinSet<()>, api: Api, beside: Router) -> SocketAddr {
    let router = api.router(&Gate::open()).merge(beside);
    listen(tasks, kiln::http::finish(router, None, &kiln::metrics::Metrics::new())).await
}

async fn listen(tasks: &mut JoinSet<()>, router: Router) -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tasks.spawn(kiln::http::serve(listener, router, CancellationToken::new()));
    address
}

/// The bucket at a store; nothing is asked of it yet.
pub(crate) fn bucket(endpoint: &str) -> Bucket {
    let config = kiln::config::Bucket {
        r2_account_id: None,
        r2_access_key_id: KEY.into(),
        r2_secret_access_key: Secret::new(SECRET),
        r2_bucket_name: "kiln".into(),
        r2_endpoint: Some(endpoint.into()),
    };
    Bucket::new(&config).expect("a bucket")
}

/// A store in a process of its own, which ends when it is let go of.
pub(crate) async fn store_beside(folder: &Path) -> (Child, Bucket) {
    let program = std::env::current_exe().expect("this program");
    let mut command = Command::new(program);
    let mut child =
        command.arg("store").arg(folder).stdout(Stdio::piped()).kill_on_drop(true).spawn().expect("a store");
    let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
    let address = lines.next_line().await.expect("its output").expect("its address");
    (child, bucket(&format!("http://{address}")))
}

/// What [`store_beside`] starts.
pub(crate) async fn store(folder: PathBuf) {
    let settings =
        s3::Settings { folder, bucket: "kiln".into(), access_key: KEY.into(), secret_key: Secret::new(SECRET) };
    let mut tasks = JoinSet::new();
    println!("{}", listen(&mut tasks, s3::router(&settings).expect("a store")).await);
    tasks.join_all().await;
}

/// Durations in milliseconds.
#[derive(Default)]
pub(crate) struct Took(Vec<f64>);

impl Took {
    pub(crate) fn add(&mut self, duration: Duration) {
        self.0.push(duration.as_secs_f64() * 1000.0);
    }

    pub(crate) fn print(mut self, what: &str) {
        self.0.sort_by(f64::total_cmp);
        let at = |percent: usize| self.0[(self.0.len() - 1) * percent / 100];
        println!("{what}: median {:.1} ms, p99 {:.1} ms, worst {:.1} ms", at(50), at(99), at(100));
    }
}

/// What this process has in memory, in MiB.
pub(crate) fn resident_mib() -> f64 {
    status_mib("VmRSS:")
}

/// The most that it had since [`forget_peak`].
pub(crate) fn peak_mib() -> f64 {
    status_mib("VmHWM:")
}

pub(crate) fn forget_peak() {
    std::fs::write("/proc/self/clear_refs", "5").expect("Linux can reset it");
}

fn status_mib(field: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok()).unwrap_or(0.0) / 1024.0
}
