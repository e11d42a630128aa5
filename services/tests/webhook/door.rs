//! A door, and what stands behind it.

use events::capability::{Grant, Roots};
use events::event::{Dispatched, Progressed};
use events::{Attempt, Command, Entry, Job, JobId, Rejection, Spec, Timestamp};
use kiln::bucket::Bucket;
use kiln::clock;
use kiln::webhook::Webhook;
use nats::server::Options;
use nats::topology::Tunables;
use nats::{Bus, Jobs, Log, Settings};
use reqwest::{Method, Response};
use serde_json::{Value, json};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::stage::Store;
use crate::support::{Server, serve, wait_for};

/// The secret of the root `1`.
pub(crate) const ROOT: &str = "0123456789abcdef0123456789abcdef";

/// The log, the store, and one process of the role.
pub(crate) struct Door {
    pub(crate) nats: nats::server::Server,
    pub(crate) log: Log,
    pub(crate) store: Store,
    pub(crate) http: reqwest::Client,
    pub(crate) url: String,
    pub(crate) jobs: Jobs,
    processes: Vec<Server>,
    stop: CancellationToken,
    _stop: DropGuard,
    _folder: tempfile::TempDir,
}

/// A capability.
pub(crate) fn mint(roots: &str, job: JobId, attempt: u16, expires: Timestamp) -> String {
    let attempt = Attempt::new(attempt).expect("an attempt");
    let roots = Roots::parse(roots).expect("roots");
    roots.mint(&Grant { job, attempt, expires }).expose().to_owned()
}

/// One that is right.
pub(crate) fn right(job: JobId, attempt: u16) -> String {
    mint(ROOT, job, attempt, Timestamp::from_unix_ms(4_000_000_000_000))
}

/// What a container of this call, input and task claims with.
pub(crate) fn claim_of(call: &str, task: &str) -> Value {
    json!({"callId": call, "inputId": "in-1", "taskId": task})
}

pub(crate) fn complete_with(job: JobId, key: &str) -> Value {
    json!({"jobId": job, "status": "complete", "result": {"videoKey": key}})
}

pub(crate) fn failed(job: JobId) -> Value {
    json!({"jobId": job, "status": "failed", "error": "the encoder\r\nfell over", "retryable": true})
}

/// What begins like a video.
pub(crate) const MP4: &[u8] = b"\0\0\0\x20ftypisom\0\0\x02\0isomiso2avc1mp41";

impl Door {
    pub(crate) async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let program = nats::tool::NATS_SERVER.find(&|_| ()).expect("a nats-server");
        let server = nats::server::Server::start(Options::new(program, folder.path())).await.expect("a server");
        let bus = Bus::connect(&Settings::new(server.url(), "operator")).await.expect("connected");
        nats::topology::provision(&bus, &Tunables::default()).await.expect("provisioned");
        let stop = CancellationToken::new();
        tokio::spawn({
            let (bus, stop) = (bus.clone(), stop.clone());
            async move { nats::project(&bus, stop).await }
        });
        let mut door = Self {
            nats: server,
            log: Log::new(bus.clone()),
            store: Store::new().await,
            http: kiln::client::http_client(std::time::Duration::from_mins(1)),
            url: String::new(),
            jobs: Jobs::new(bus),
            processes: Vec::new(),
            _stop: stop.clone().drop_guard(),
            stop,
            _folder: folder,
        };
        door.url = door.process(ROOT).await;
        door
    }

    /// One more process of the role, with these roots; its address.
    pub(crate) async fn process(&mut self, roots: &str) -> String {
        let bucket = Bucket::new(&self.store.config).expect("a bucket");
        self.process_with(roots, bucket).await
    }

    /// The same with a store of its own.
    pub(crate) async fn process_with(&mut self, roots: &str, bucket: Bucket) -> String {
        let bus = Bus::connect(&Settings::new(self.nats.url(), "webhook")).await.expect("connected");
        let role = Webhook::new(Log::new(bus), bucket, Roots::parse(roots).expect("roots"));
        tokio::spawn({
            let (role, stop) = (role.clone(), self.stop.clone());
            async move { role.listen(&stop).await }
        });
        let server = serve(kiln::http::finish(role.router(), None, &kiln::metrics::Metrics::new())).await;
        let url = server.url.clone();
        self.processes.push(server);
        url
    }

    /// A job that waits for its first attempt.
    pub(crate) async fn request(&self) -> JobId {
        let id = clock::new_id();
        let spec: Spec =
            serde_json::from_value(json!({"audio": {"key": format!("renders/{id}/audio.wav")}})).expect("a request");
        assert_eq!(self.record(id, Command::Request(spec)).await, None);
        id
    }

    /// One whose first attempt was dispatched.
    pub(crate) async fn dispatch(&self) -> JobId {
        let id = self.request().await;
        assert_eq!(self.record(id, Command::Dispatch(Attempt::FIRST, call("fc-1"))).await, None);
        id
    }

    /// Puts a video where the first attempt's belongs; its key.
    pub(crate) async fn video(&self, id: JobId) -> String {
        let key = events::key::output(id, Attempt::FIRST);
        self.store.bucket.put(&key, "video/mp4", MP4.into()).await.expect("stored");
        key
    }

    pub(crate) async fn record(&self, id: JobId, command: Command) -> Option<Rejection> {
        self.log.record(id, command, clock::now()).await.expect("recorded").refused
    }

    pub(crate) async fn load(&self, id: JobId) -> Job {
        self.log.load(id).await.expect("loaded")
    }

    pub(crate) async fn kinds(&self, id: JobId) -> Vec<String> {
        let history = self.log.history(id).await.expect("a history");
        history.iter().filter_map(|recorded| Some(recorded.event.kind()?.name().to_owned())).collect()
    }

    pub(crate) async fn last_report(&self, id: JobId) -> Option<Progressed> {
        self.log.last_report(id).await.expect("the last report")
    }

    /// The entry, once it was folded from everything that the log has.
    pub(crate) async fn entry(&self, id: JobId) -> Entry {
        let seq = self.load(id).await.seq;
        wait_for("the entry", async || {
            let (_, entry) = self.jobs.get(id).await.expect("the bucket answers")?;
            (entry.job.seq >= seq).then_some(entry)
        })
        .await
    }

    pub(crate) async fn send(&self, url: &str, method: Method, path: &str, bearer: &str, body: &Value) -> Response {
        let request = self.http.request(method, format!("{url}{path}")).bearer_auth(bearer);
        request.json(body).send().await.expect("it is answered")
    }

    pub(crate) async fn claim(&self, url: &str, id: JobId, attempt: u16, body: &Value) -> (u16, Value) {
        let path = format!("/api/render/{id}/claim");
        told(self.send(url, Method::POST, &path, &right(id, attempt), body).await).await
    }

    pub(crate) async fn progress(&self, url: &str, id: JobId, attempt: u16, body: &Value) -> (u16, Value) {
        let path = format!("/api/render/{id}");
        told(self.send(url, Method::PATCH, &path, &right(id, attempt), body).await).await
    }

    pub(crate) async fn report(&self, url: &str, id: JobId, attempt: u16, body: &Value) -> (u16, Value) {
        told(self.send(url, Method::POST, "/api/webhooks/worker", &right(id, attempt), body).await).await
    }
}

pub(crate) fn call(id: &str) -> Dispatched {
    Dispatched { call_id: id.into(), gpu: false }
}

/// The status and the body, without the request's name.
pub(crate) async fn told(response: Response) -> (u16, Value) {
    let status = response.status().as_u16();
    let mut body: Value = response.json().await.unwrap_or(Value::Null);
    if let Some(body) = body.as_object_mut() {
        body.remove("requestId");
    }
    (status, body)
}
