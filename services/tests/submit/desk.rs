//! The api alone, with a log and a store of its own.

use std::collections::VecDeque;
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use axum::extract::Request;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use events::JobId;
use kiln::api::Api;
use kiln::bucket::Bucket;
use kiln::http::gate::Gate;
use nats::server::Options;
use nats::topology::Tunables;
use nats::{Bus, Jobs, Log, Settings};
use reqwest::{RequestBuilder, StatusCode};
use serde_json::Value;
use tokio::process::{Child, Command};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::stage::{Store, wav};
use crate::support::{Server, kiln, nowhere, serve, wait_for};

/// What the store does wrong.
#[derive(Clone)]
pub(crate) enum Fault {
    /// It fails, and does nothing.
    Fail,
    /// It does it, and says that it failed.
    LoseAnswer,
    /// It breaks off in the middle of its answer.
    Reset,
    /// It says this.
    Say(String),
    /// It does it, and answers only when it is told to. The first is told when it was done.
    Hold(Arc<Notify>, Arc<Notify>),
}

/// The faults that wait for a request: part of its method and address, and what happens to it.
type Faults = Arc<Mutex<VecDeque<(&'static str, Fault)>>>;

pub(crate) struct Desk {
    pub(crate) nats: nats::server::Server,
    pub(crate) log: Log,
    pub(crate) store: Store,
    pub(crate) http: reqwest::Client,
    pub(crate) url: String,
    faults: Faults,
    processes: Vec<Server>,
    _folder: tempfile::TempDir,
}

impl Desk {
    pub(crate) async fn new() -> Self {
        Self::with(&Tunables::default()).await
    }

    pub(crate) async fn with(tunables: &Tunables) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let program = nats::tool::NATS_SERVER.find(&|_| ()).expect("a nats-server");
        let server = nats::server::Server::start(Options::new(program, folder.path())).await.expect("a server");
        let bus = Bus::connect(&Settings::new(server.url(), "operator")).await.expect("connected");
        nats::topology::provision(&bus, tunables).await.expect("provisioned");
        let faults = Faults::default();
        let between = faults.clone();
        let store = Store::behind(|router| {
            router.layer(middleware::from_fn(move |request, next| fault(between.clone(), request, next)))
        })
        .await;
        let mut desk = Self {
            nats: server,
            log: Log::new(bus),
            store,
            http: kiln::client::http_client(std::time::Duration::from_mins(1)),
            url: String::new(),
            faults,
            processes: Vec::new(),
            _folder: folder,
        };
        let nats = desk.nats.url().to_owned();
        desk.url = desk.process(&nats, |api| api).await;
        desk
    }

    /// One more process of the role, which reaches the log at this address.
    pub(crate) async fn process(&mut self, nats: &str, change: impl FnOnce(Api) -> Api) -> String {
        let bus = Bus::connect(&Settings::new(nats, "api")).await.expect("connected");
        let bucket = Bucket::new(&self.store.config).expect("a bucket");
        let api = Api::new(Log::new(bus.clone()), Jobs::new(bus), bucket, CancellationToken::new());
        let server =
            serve(kiln::http::finish(change(api).router(&Gate::open()), None, &kiln::metrics::Metrics::new())).await;
        let url = server.url.clone();
        self.processes.push(server);
        url
    }

    /// The role in a process that can be killed, and its address.
    pub(crate) async fn killable(&self, nats: &str) -> (Child, String) {
        let url = nowhere().await;
        let store = &self.store.config;
        let mut command = Command::new(kiln());
        command.args(["api", "--listen", url.trim_start_matches("http://")]).kill_on_drop(true);
        command
            .env("NATS_URL", nats)
            .env("R2_ENDPOINT", store.r2_endpoint.as_deref().expect("an address"))
            .env("R2_BUCKET_NAME", &store.r2_bucket_name)
            .env("R2_ACCESS_KEY_ID", &store.r2_access_key_id)
            .env("R2_SECRET_ACCESS_KEY", store.r2_secret_access_key.expose())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let child = command.spawn().expect("kiln runs");
        wait_for("readiness", async || {
            let ready = self.http.get(format!("{url}/readyz")).send().await;
            ready.is_ok_and(|answer| answer.status().is_success()).then_some(())
        })
        .await;
        (child, url)
    }

    pub(crate) fn break_next(&self, what: &'static str, fault: Fault) {
        self.faults.lock().expect("faults").push_back((what, fault));
    }

    pub(crate) fn post(&self, path: &str) -> RequestBuilder {
        self.http.post(format!("{}{path}", self.url))
    }

    pub(crate) fn json(&self, key: Option<&str>, body: &Value) -> RequestBuilder {
        keyed(self.post("/api/render"), key).json(body)
    }

    pub(crate) fn form(&self, key: Option<&str>, audio: &[u8]) -> RequestBuilder {
        form(self.post("/api/render"), key, "", audio)
    }

    /// Everything that the bucket holds.
    pub(crate) async fn objects(&self) -> Vec<String> {
        let page = self.store.bucket.page("", None).await.expect("a list");
        page.objects.into_iter().map(|listed| listed.key).collect()
    }

    /// Uploads in parts that are neither finished nor given up.
    pub(crate) fn unfinished(&self) -> usize {
        let files = crate::support::files_in(self.store.folder.path());
        files.iter().filter(|file| file.to_string_lossy().contains("/.upload-")).count()
    }

    /// How often each job was requested.
    pub(crate) async fn kinds(&self, job: JobId) -> Vec<String> {
        let history = self.log.history(job).await.expect("a history");
        history.iter().filter_map(|recorded| Some(recorded.event.kind()?.name().to_owned())).collect()
    }
}

pub(crate) fn keyed(request: RequestBuilder, key: Option<&str>) -> RequestBuilder {
    match key {
        Some(key) => request.header("idempotency-key", key),
        None => request,
    }
}

/// A form: the request, if it is not empty, and the audio.
pub(crate) fn form(request: RequestBuilder, key: Option<&str>, asked: &str, audio: &[u8]) -> RequestBuilder {
    let mut body = Vec::new();
    if !asked.is_empty() {
        body.extend(part("request", asked.as_bytes()));
    }
    body.extend(part("audio", audio));
    body.extend(b"--b--\r\n");
    keyed(request, key).header("content-type", "multipart/form-data; boundary=b").body(body)
}

pub(crate) fn part(name: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n");
    [head.as_bytes(), body, b"\r\n"].concat()
}

/// Status and body.
pub(crate) async fn answer(request: RequestBuilder) -> (StatusCode, Value) {
    let response = request.send().await.expect("it is answered");
    (response.status(), response.json().await.expect("it is JSON"))
}

pub(crate) fn job_of(body: &Value) -> JobId {
    body["jobId"].as_str().and_then(|id| JobId::parse(id).ok()).unwrap_or_else(|| panic!("a job in {body}"))
}

/// So many bytes that begin like a wav.
pub(crate) fn long_wav(length: usize) -> Vec<u8> {
    let mut bytes = wav();
    bytes.resize(length, 7);
    bytes
}

async fn fault(faults: Faults, request: Request, next: Next) -> Response {
    let what = format!("{} {}", request.method(), request.uri());
    let found = {
        let mut faults = faults.lock().expect("faults");
        let place = faults.iter().position(|(part, _)| part.split(' ').all(|word| what.contains(word)));
        place.and_then(|place| faults.remove(place))
    };
    match found.map(|(_, fault)| fault) {
        None => next.run(request).await,
        Some(Fault::Say(answer)) => answer.into_response(),
        Some(Fault::Fail) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        Some(Fault::LoseAnswer) => {
            next.run(request).await;
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
        Some(Fault::Reset) => {
            let broken = futures_util::stream::iter([Err::<bytes::Bytes, _>(std::io::Error::other("reset"))]);
            axum::body::Body::from_stream(broken).into_response()
        }
        Some(Fault::Hold(done, go)) => {
            let response = next.run(request).await;
            done.notify_one();
            go.notified().await;
            response
        }
    }
}
