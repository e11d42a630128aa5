//! What the end of a render costs: `cargo bench -p kiln --bench callbacks`. `KILN_BENCH_JOBS` says how many. Server,
//! clients, store and nats-server share this machine, so that only ratios say something.

#![expect(clippy::print_stdout, clippy::cast_precision_loss, reason = "figures for people")]

use std::path::PathBuf;
use std::time::{Duration, Instant};

use axum::Router;
use events::capability::{Grant, Roots};
use events::event::Dispatched;
use events::{Attempt, Command, JobId, Secret, Spec, Timestamp, key};
use futures_util::StreamExt;
use kiln::api::Api;
use kiln::bucket::Bucket;
use kiln::clock;
use kiln::dev::s3;
use kiln::http::gate::Gate;
use kiln::webhook::Webhook;
use nats::server::{Options, Server};
use nats::topology::{Tunables, provision};
use nats::{Bus, Jobs, Log, Settings};
use serde_json::json;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

const CLIENTS: usize = 64;
/// Completions whose way into a poll is timed, one after the other.
const TIMED: usize = 300;
const ROOT: &str = "0123456789abcdef0123456789abcdef";
const MP4: &[u8] = b"\0\0\0\x20ftypisom\0\0\x02\0isomiso2avc1mp41";

fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

async fn server(program: &PathBuf, folder: &TempDir) -> (Server, Bus) {
    let server = Server::start(Options::new(program, folder.path())).await.expect("a server");
    let bus = Bus::connect(&Settings::new(server.url(), "operator")).await.expect("connected");
    provision(&bus, &Tunables::default()).await.expect("provisioned");
    (server, bus)
}

async fn serve(tasks: &mut JoinSet<()>, router: Router) -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    tasks.spawn(kiln::http::serve(listener, router, CancellationToken::new()));
    url
}

async fn store(tasks: &mut JoinSet<()>, folder: &TempDir) -> Bucket {
    let secret_key = Secret::new("secret");
    let settings = s3::Settings {
        folder: folder.path().to_owned(),
        bucket: "kiln".into(),
        access_key: "key".into(),
        secret_key: secret_key.clone(),
    };
    let url = serve(tasks, s3::router(&settings).expect("a store")).await;
    let config = kiln::config::Bucket {
        r2_account_id: None,
        r2_access_key_id: "key".into(),
        r2_secret_access_key: secret_key,
        r2_bucket_name: "kiln".into(),
        r2_endpoint: Some(url),
    };
    Bucket::new(&config).expect("a bucket")
}

/// Everything that a callback meets.
struct Stack {
    log: Log,
    bucket: Bucket,
    roots: Roots,
    url: String,
    http: reqwest::Client,
}

impl Stack {
    async fn new(tasks: &mut JoinSet<()>, bus: &Bus, folder: &TempDir) -> Self {
        let (bucket, stop) = (store(tasks, folder).await, CancellationToken::new());
        let (log, roots) = (Log::new(bus.clone()), || Roots::parse(ROOT).expect("roots"));
        let webhook = Webhook::new(log.clone(), bucket.clone(), roots());
        let api = Api::new(log.clone(), Jobs::new(bus.clone()), bucket.clone(), stop.clone());
        let router = api.clone().router(&Gate::open()).merge(webhook.clone().router());
        let url = serve(tasks, kiln::http::finish(router, None, &kiln::metrics::Metrics::new())).await;
        tasks.spawn(async move { api.listen().await });
        tasks.spawn({
            let stop = stop.clone();
            async move { webhook.listen(&stop).await }
        });
        let bus = bus.clone();
        tasks.spawn(async move { nats::project(&bus, stop).await });
        Self { log, bucket, roots: roots(), url, http: kiln::client::http_client(Duration::from_mins(1)) }
    }

    /// A job that renders, with its video in the store.
    async fn render(&self) -> JobId {
        let (id, n) = (clock::new_id(), Attempt::FIRST);
        let spec = json!({"audio": {"key": format!("renders/{id}/audio.wav")}});
        let spec: Spec = serde_json::from_value(spec).expect("a request");
        let call = Dispatched { call_id: "fc-1".into(), gpu: false };
        for command in [Command::Request(spec), Command::Dispatch(n, call)] {
            self.log.record(id, command, clock::now()).await.expect("recorded");
        }
        self.bucket.put(&key::output(id, n), "video/mp4", MP4.into()).await.expect("stored");
        id
    }

    async fn complete(&self, id: JobId) {
        let grant = Grant { job: id, attempt: Attempt::FIRST, expires: Timestamp::from_unix_ms(4_000_000_000_000) };
        let body = json!({"jobId": id, "status": "complete", "result": {"videoKey": key::output(id, Attempt::FIRST)}});
        let request = self.http.post(format!("{}/api/webhooks/worker", self.url)).json(&body);
        let answer = request.bearer_auth(self.roots.mint(&grant).expose()).send().await.expect("it is answered");
        assert_eq!(answer.status(), 200);
    }

    async fn is_complete(&self, id: JobId) -> bool {
        let answer = self.http.get(format!("{}/api/render/{id}", self.url)).send().await.expect("it is answered");
        let poll: serde_json::Value = answer.json().await.expect("a poll");
        poll["status"] == "complete"
    }
}

/// From the callback to the first poll that shows it.
async fn latency(stack: &Stack, jobs: &[JobId]) {
    let mut took = Vec::new();
    for id in jobs {
        let began = Instant::now();
        stack.complete(*id).await;
        while !stack.is_complete(*id).await {}
        took.push(began.elapsed().as_secs_f64() * 1000.0);
    }
    took.sort_by(f64::total_cmp);
    let at = |percent: usize| took[(took.len() - 1) * percent / 100];
    println!("callback in, visible in a poll: median {:.1} ms, p99 {:.1} ms, worst {:.1} ms", at(50), at(99), at(100));
}

async fn completions(stack: &Stack, jobs: &[JobId]) -> f64 {
    let began = Instant::now();
    futures_util::stream::iter(jobs).for_each_concurrent(CLIENTS, |id| stack.complete(*id)).await;
    let rate = jobs.len() as f64 / began.elapsed().as_secs_f64();
    for id in jobs {
        while !stack.is_complete(*id).await {}
    }
    rate
}

/// The two durable writes that a completion cannot do without, and nothing else.
async fn bare(bus: &Bus, count: usize) -> f64 {
    let began = Instant::now();
    let writes = futures_util::stream::iter(0..count).for_each_concurrent(CLIENTS, |_| async {
        let id = clock::new_id();
        let payload =
            json!({"attempt": 1, "output": {"videoKey": format!("renders/{id}/output.mp4"), "sizeBytes": 32}});
        let entry = "x".repeat(700);
        for (subject, body) in
            [(format!("render.{id}.completed"), payload.to_string()), (format!("$KV.JOBS.{id}"), entry)]
        {
            let answer = bus.client().request(subject, body.into()).await.expect("it is answered");
            assert!(answer.payload.windows(5).any(|five| five == b"\"seq\""), "{answer:?}");
        }
    });
    writes.await;
    count as f64 / began.elapsed().as_secs_f64()
}

#[tokio::main]
async fn main() {
    let count = std::env::var("KILN_BENCH_JOBS").ok().and_then(|jobs| jobs.parse().ok()).unwrap_or(4000_usize);
    let program = nats::tool::NATS_SERVER.find(&|_| ()).expect("a nats-server");
    let (first, second, objects) = (folder(), folder(), folder());
    let (_alone, bare_bus) = server(&program, &first).await;
    let (_server, bus) = server(&program, &second).await;
    let mut tasks = JoinSet::new();
    let stack = Stack::new(&mut tasks, &bus, &objects).await;
    let making = (0..count + TIMED).map(|_| stack.render());
    let jobs: Vec<JobId> = futures_util::stream::iter(making).buffer_unordered(CLIENTS).collect().await;
    let (timed, rest) = jobs.split_at(TIMED);
    latency(&stack, timed).await;
    let bare = bare(&bare_bus, count).await;
    println!("bare append and put, {CLIENTS} at once: {bare:.0}/s");
    let rate = completions(&stack, rest).await;
    println!("completions over HTTP, {CLIENTS} at once: {rate:.0}/s, {:.2} of bare", rate / bare);
    tasks.abort_all();
}
