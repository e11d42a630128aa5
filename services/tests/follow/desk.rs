//! Apis without the rest of a kiln: facts are written by hand, and entries when the test wants them.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::Duration;

use events::event::{Cancelled, Completed, Dispatched, Output, Progressed, Requested, Started};
use events::{Attempt, Event, JobId, Secret, Timestamp};
use kiln::api::Api;
use kiln::bucket::Bucket;
use kiln::http::gate::Gate;
use nats::server::{Options, Server};
use nats::topology::{Tunables, provision};
use nats::{Append, Bus, Jobs, Log, Settings};
use reqwest::{RequestBuilder, Response};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::{AbortHandle, JoinSet};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::support::{serve_until, wait_for};

fn nats_server() -> PathBuf {
    static FOUND: LazyLock<PathBuf> = LazyLock::new(|| nats::tool::NATS_SERVER.find(&|_| ()).expect("a nats-server"));
    FOUND.clone()
}

/// A log of one test's own, and whoever works at it.
pub(crate) struct Desk {
    pub(crate) bus: Bus,
    pub(crate) log: Log,
    tasks: JoinSet<()>,
    pub(crate) server: Server,
    _folder: TempDir,
}

/// One api of several.
pub(crate) struct Office {
    pub(crate) url: String,
    pub(crate) http: reqwest::Client,
    pub(crate) stop: CancellationToken,
    _stop: DropGuard,
}

/// One of those who keep the bucket up to date.
pub(crate) struct Projector {
    stop: DropGuard,
    task: AbortHandle,
}

impl Projector {
    /// From then on it writes nothing.
    pub(crate) async fn end(self) {
        drop(self.stop);
        wait_for("the projector's end", async || self.task.is_finished().then_some(())).await;
    }
}

impl Desk {
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let server = Server::start(Options::new(nats_server(), folder.path())).await.expect("a server");
        let bus = Bus::connect(&Settings::new(server.url(), "operator")).await.expect("connected");
        provision(&bus, &Tunables::default()).await.expect("provisioned");
        Self { log: Log::new(bus.clone()), bus, tasks: JoinSet::new(), server, _folder: folder }
    }

    /// One more api that watches.
    pub(crate) async fn api(&mut self) -> Office {
        self.api_with(true, |api| api).await
    }

    pub(crate) async fn api_with(&mut self, watches: bool, change: impl FnOnce(Api) -> Api) -> Office {
        let bus = Bus::connect(&Settings::new(self.server.url(), "api")).await.expect("connected");
        let stop = CancellationToken::new();
        let bucket = Bucket::new(&kiln::config::Bucket {
            r2_account_id: None,
            r2_access_key_id: "key".into(),
            r2_secret_access_key: Secret::new("secret"),
            r2_bucket_name: "kiln".into(),
            r2_endpoint: Some("http://127.0.0.1:9".into()),
        });
        let (log, jobs) = (Log::new(bus.clone()), Jobs::new(bus));
        let api = change(Api::new(log, jobs, bucket.expect("a bucket that only signs"), stop.clone()));
        if watches {
            let watching = api.clone();
            self.tasks.spawn(async move { watching.listen().await });
        }
        let url = serve_until(
            kiln::http::finish(api.router(&Gate::open()), None, &kiln::metrics::Metrics::new()),
            stop.clone(),
        )
        .await;
        let http = kiln::client::http_client(Duration::from_secs(30));
        let office = Office { url, http, _stop: stop.clone().drop_guard(), stop };
        if watches {
            wait_for("the index", async || (office.list("").await.0 == 200).then_some(())).await;
        }
        office
    }

    /// Keeps the bucket up to date, until what it returns is dropped.
    pub(crate) fn projector(&mut self) -> Projector {
        let (stop, bus) = (CancellationToken::new(), self.bus.clone());
        let token = stop.clone();
        let task = self.tasks.spawn(async move { nats::project(&bus, token).await });
        Projector { stop: stop.drop_guard(), task }
    }

    pub(crate) async fn live(&self, id: JobId, events: &[Event]) {
        for event in events {
            let version = self.log.load(id).await.expect("readable").seq;
            let appended = self.log.append(id, version, event).await.expect("answered");
            assert!(matches!(appended, Append::Stored(_)));
        }
    }

    pub(crate) async fn report(&self, id: JobId, percent: u8) {
        self.log.report(id, Progressed::new(Attempt::FIRST, percent)).await;
        self.bus.flush().await;
    }

    /// Throws the bucket away, as an operator might by mistake.
    pub(crate) async fn lose_bucket(&self) {
        let deleted = self.bus.client().request("$JS.API.STREAM.DELETE.KV_JOBS", "".into()).await.expect("answered");
        assert!(String::from_utf8_lossy(&deleted.payload).contains("\"success\":true"));
        provision(&self.bus, &Tunables::default()).await.expect("made anew");
    }
}

pub(crate) fn job_id(n: u64) -> JobId {
    JobId::new(n, [0; 10])
}

pub(crate) fn requested() -> Event {
    let spec = json!({"audio": {"url": "https://example.com/song.flac"}, "metadata": {"mine": 1}});
    Event::Requested(Requested { spec: serde_json::from_value(spec).expect("a request") })
}

pub(crate) fn cancelled() -> Event {
    Event::Cancelled(Cancelled { reason: "enough".into() })
}

/// From the request to the video.
pub(crate) fn life(id: JobId) -> [Event; 4] {
    let output = Output::video(format!("renders/{id}/output.mp4"), 7);
    [
        requested(),
        Event::Dispatched(Attempt::FIRST, Dispatched { call_id: "fc-1".into(), gpu: true }),
        Event::Started(Attempt::FIRST, Started { call_id: "fc-1".into(), input_id: "in-1".into() }),
        Event::Completed(Completed { attempt: Attempt::FIRST, output }),
    ]
}

/// An answer to a poll.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) etag: String,
    pub(crate) body: Value,
    headers: reqwest::header::HeaderMap,
}

impl Answer {
    async fn of(request: RequestBuilder) -> Self {
        let response = request.send().await.expect("answered");
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let etag = headers.get("etag").map(|etag| etag.to_str().expect("text").to_owned()).unwrap_or_default();
        let body = response.bytes().await.expect("a whole body");
        let body = if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).expect("JSON") };
        Self { status, etag, body, headers }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("text"))
    }
}

impl Office {
    /// The same api, for another client.
    pub(crate) fn again(&self) -> Self {
        let stop = self.stop.clone();
        Self { url: self.url.clone(), http: self.http.clone(), stop, _stop: CancellationToken::new().drop_guard() }
    }

    pub(crate) async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        let request = self.http.get(format!("{}{path}", self.url));
        Answer::of(headers.iter().fold(request, |request, (name, value)| request.header(*name, *value))).await
    }

    pub(crate) async fn poll(&self, id: JobId, headers: &[(&str, &str)]) -> Answer {
        self.get(&format!("/api/render/{id}"), headers).await
    }

    /// With the name of an answer that was seen; an empty one is none.
    pub(crate) async fn poll_after(&self, id: JobId, etag: &str) -> Answer {
        self.poll(id, &[("if-none-match", etag)]).await
    }

    pub(crate) async fn wait_for(&self, id: JobId, fits: impl Fn(&Value) -> bool) -> Answer {
        wait_for("the poll", async || Some(self.poll(id, &[]).await).filter(|answer| fits(&answer.body))).await
    }

    pub(crate) async fn list(&self, query: &str) -> (u16, Value) {
        let Answer { status, body, .. } = self.get(&format!("/api/render?{query}"), &[]).await;
        (status, body)
    }

    pub(crate) async fn cancel(&self, id: JobId) -> Answer {
        Answer::of(self.http.delete(format!("{}/api/render/{id}", self.url))).await
    }

    pub(crate) async fn stream(&self, id: JobId, last: &str) -> Stream {
        let request = self.http.get(format!("{}/api/render/{id}", self.url)).header("accept", "text/event-stream");
        let response = request.header("last-event-id", last).send().await.expect("answered");
        Stream { status: response.status().as_u16(), response, text: String::new(), blocks: VecDeque::new() }
    }
}

/// An open stream of events.
pub(crate) struct Stream {
    pub(crate) status: u16,
    response: Response,
    text: String,
    blocks: VecDeque<String>,
}

impl Stream {
    /// What comes next, comments aside; `None` at the end.
    pub(crate) async fn block(&mut self) -> Option<String> {
        loop {
            while let Some(block) = self.blocks.pop_front() {
                if !block.starts_with(':') {
                    return Some(block);
                }
            }
            let bytes = self.response.chunk().await.expect("an end like any other")?;
            self.text.push_str(std::str::from_utf8(&bytes).expect("text"));
            while let Some(end) = self.text.find("\n\n") {
                let block: String = self.text.drain(..end + 2).collect();
                self.blocks.push_back(block.trim_end().to_owned());
            }
        }
    }

    /// The next state: its id and data.
    pub(crate) async fn state(&mut self) -> (String, Value) {
        loop {
            let block = self.block().await.expect("a state");
            let of = |name: &str| block.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
            if let (Some(id), Some(data)) = (of("id: "), of("data: ")) {
                return (id, serde_json::from_str(&data).expect("JSON"));
            }
        }
    }

    /// The first state that fits; none on the way is older than the one before.
    pub(crate) async fn wait_for(&mut self, fits: impl Fn(&Value) -> bool) -> (String, Value) {
        let mut last = Value::Null;
        loop {
            let (id, state) = self.state().await;
            assert_not_older(&last, &state);
            if fits(&state) {
                return (id, state);
            }
            last = state;
        }
    }
}

/// Whether of two states that one client saw the second is not older.
pub(crate) fn assert_not_older(first: &Value, second: &Value) {
    let rank = |state: &Value| match state["status"].as_str() {
        None => 0,
        Some("pending") => 1,
        Some("processing") => 2,
        Some(_) => 3,
    };
    let progress = |state: &Value| (state["attempt"].as_u64(), state["progress"].as_u64());
    let time = |state: &Value| state["updatedAt"].as_str().map(str::to_owned);
    assert!(rank(first) <= rank(second), "{first} then {second}");
    assert!(progress(first) <= progress(second), "{first} then {second}");
    assert!(time(first) <= time(second), "{first} then {second}");
    assert!(rank(first) < 3 || first["status"] == second["status"], "{first} then {second}");
}

pub(crate) fn time(value: &Value) -> Timestamp {
    Timestamp::parse(value.as_str().expect("a time")).expect("a time")
}
