//! What the end of a render costs.

use std::time::{Duration, Instant};

use events::capability::{Grant, Roots};
use events::event::Dispatched;
use events::{Attempt, Command, JobId, Spec, Timestamp, key};
use futures_util::StreamExt;
use kiln::bucket::Bucket;
use kiln::clock;
use kiln::webhook::Webhook;
use nats::server::Server;
use nats::topology::{PROJECTOR, RENDER};
use nats::{Bus, Log, Reader};
use serde_json::json;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::stack::{self, Took};

const CLIENTS: usize = 64;
/// Completions whose way into a poll is timed, one after the other.
const TIMED: usize = 300;
const ROOT: &str = "0123456789abcdef0123456789abcdef";
const MP4: &[u8] = b"\0\0\0\x20ftypisom\0\0\x02\0isomiso2avc1mp41";

/// Everything that a callback meets.
struct Stack {
    log: Log,
    bucket: Bucket,
    roots: Roots,
    url: String,
    http: reqwest::Client,
}

impl Stack {
    async fn new(tasks: &mut JoinSet<()>, server: &Server, bus: &Bus, bucket: Bucket) -> Self {
        let stop = CancellationToken::new();
        let (log, roots) = (Log::new(bus.clone()), || Roots::parse(ROOT).expect("roots"));
        let webhook = Webhook::new(log.clone(), bucket.clone(), roots());
        let api = stack::api(tasks, server, bucket.clone()).await;
        let url = format!("http://{}", stack::serve(tasks, api, webhook.clone().router()).await);
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
    let mut took = Took::default();
    for id in jobs {
        let began = Instant::now();
        stack.complete(*id).await;
        while !stack.is_complete(*id).await {}
        took.add(began.elapsed());
    }
    took.print("callback in, visible in a poll");
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

/// Whether the bucket has all that was recorded.
async fn is_projected(bus: &Bus) -> bool {
    let reader = Reader::ask(bus, RENDER, PROJECTOR).await.expect("answered");
    matches!(reader, Some(Reader { held: 0, left: 0, .. }))
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

pub(crate) async fn run(count: usize) {
    let (first, second, objects) = (stack::folder(), stack::folder(), stack::folder_elsewhere());
    let (_alone, bare_bus) = stack::nats(first.path(), true).await;
    let (server, bus) = stack::nats(second.path(), true).await;
    let (_store, bucket) = stack::store_beside(objects.path()).await;
    let mut tasks = JoinSet::new();
    let stack = Stack::new(&mut tasks, &server, &bus, bucket).await;
    let making = (0..count + TIMED).map(|_| stack.render());
    let jobs: Vec<JobId> = futures_util::stream::iter(making).buffer_unordered(CLIENTS).collect().await;
    // One after the other, with nothing else going on.
    while !is_projected(&bus).await {}
    let (timed, rest) = jobs.split_at(TIMED);
    latency(&stack, timed).await;
    let bare = bare(&bare_bus, rest.len()).await;
    println!("bare append and put, {CLIENTS} at once: {bare:.0}/s");
    let rate = completions(&stack, rest).await;
    println!("completions over HTTP, {CLIENTS} at once: {rate:.0}/s, {:.2} of bare", rate / bare);
    tasks.abort_all();
}
