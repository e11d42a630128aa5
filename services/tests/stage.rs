//! What stands around a container: a store, a webhook that answers as it is told, and a renderer.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use axum::Json;
use axum::extract::{self, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use events::wire::callback::ClaimAnswer;
use events::wire::dispatch::{RenderResult, SubmitBody};
use events::{JobId, RenderConfig, Secret, Timestamp};
use kiln::bucket::Bucket;
use kiln::dev::s3;
use serde_json::{Value, json};
use tempfile::{TempDir, tempdir};
use tokio::process::{Child, Command};

use crate::support::{Server, ffmpeg, files_in, kiln, serve};

pub(crate) const AUDIO: &str = "renders/0193a5c0-7c1e-7b3a-9d52-1f0c8a7be001/audio.wav";
pub(crate) const VIDEO: &str = "renders/0193a5c0-7c1e-7b3a-9d52-1f0c8a7be001/output.mp4";
const HOUR: Duration = Duration::from_hours(1);

pub(crate) fn job() -> JobId {
    JobId::parse("0193a5c0-7c1e-7b3a-9d52-1f0c8a7be001").expect("a job")
}

/// A renderer that makes its video at once.
pub(crate) const COPY: &str = r#"echo progress 0.5; cp FILM "$3""#;
/// One that renders for so long that its progress is told.
pub(crate) const SLOW: &str = r#"echo progress 0.5; sleep 1.5; cp FILM "$3""#;

/// Half a second of silence.
pub(crate) fn wav() -> Vec<u8> {
    silence(4000)
}

/// Silence of so many samples, 8000 a second.
pub(crate) fn silence(length: u32) -> Vec<u8> {
    let rate = 8000_u32;
    let mut bytes = b"RIFF".to_vec();
    bytes.extend((36 + 2 * length).to_le_bytes());
    bytes.extend(b"WAVEfmt \x10\0\0\0\x01\0\x01\0");
    bytes.extend(rate.to_le_bytes());
    bytes.extend((2 * rate).to_le_bytes());
    bytes.extend(b"\x02\0\x10\0data");
    bytes.extend((2 * length).to_le_bytes());
    bytes.resize(bytes.len() + 2 * length as usize, 0);
    bytes
}

/// A video as long as [`wav`], made once for all tests.
pub(crate) fn film() -> &'static Path {
    static FILM: LazyLock<(TempDir, PathBuf)> = LazyLock::new(|| {
        let folder = tempdir().expect("a folder");
        let path = folder.path().join("film.mp4");
        let sources = ["-f", "lavfi", "-i", "color=s=64x64:r=30:d=0.5", "-f", "lavfi", "-i", "anullsrc=d=0.5"];
        let made = std::process::Command::new(ffmpeg()).args(["-v", "error"]).args(sources).arg(&path).status();
        assert!(made.expect("ffmpeg").success());
        (folder, path)
    });
    &FILM.1
}

/// An S3 server and its one bucket.
pub(crate) struct Store {
    pub(crate) bucket: Bucket,
    pub(crate) config: kiln::config::Bucket,
    _server: Server,
    pub(crate) folder: TempDir,
}

impl Store {
    pub(crate) async fn new() -> Self {
        Self::behind(|store| store).await
    }

    /// With something in between.
    pub(crate) async fn behind(wrap: impl FnOnce(axum::Router) -> axum::Router) -> Self {
        let folder = tempdir().expect("a folder");
        let settings = s3::Settings {
            folder: folder.path().to_owned(),
            bucket: "kiln".into(),
            access_key: "key".into(),
            secret_key: Secret::new("secret"),
        };
        let server = serve(wrap(s3::router(&settings).expect("a store"))).await;
        let config = kiln::config::Bucket {
            r2_account_id: None,
            r2_access_key_id: "key".into(),
            r2_secret_access_key: Secret::new("secret"),
            r2_bucket_name: "kiln".into(),
            r2_endpoint: Some(server.url.clone()),
        };
        let bucket = Bucket::new(&config).expect("a bucket");
        Self { bucket, config, _server: server, folder }
    }
}

/// What the webhook heard, and what it says.
#[derive(Default)]
pub(crate) struct Script {
    /// Whether a claim by another input than the first one's is answered with 409.
    pub(crate) is_exclusive: bool,
    /// The body of a claim's 200; without it the claim is answered with `claim_status`.
    pub(crate) claim: Option<ClaimAnswer>,
    pub(crate) claim_status: StatusCode,
    pub(crate) progress_status: StatusCode,
    /// Answers to reports of the end, one after the other; then 200.
    pub(crate) report_statuses: Vec<StatusCode>,
    pub(crate) claims: Vec<Value>,
    pub(crate) progress: Vec<Value>,
    pub(crate) reports: Vec<Value>,
}

type Shared = Arc<Mutex<Script>>;

/// A stage for one test.
pub(crate) struct Stage {
    pub(crate) store: Store,
    pub(crate) webhook: Server,
    pub(crate) script: Shared,
    pub(crate) folder: TempDir,
}

impl Stage {
    pub(crate) async fn new() -> Self {
        let store = Store::new().await;
        store.bucket.put(AUDIO, "audio/wav", wav().into()).await.expect("audio");
        let script = Shared::default();
        script.lock().expect("a script").progress_status = StatusCode::NO_CONTENT;
        let router = axum::Router::new()
            .route("/api/render/{job}/claim", post(claim))
            .route("/api/render/{job}", axum::routing::patch(progress))
            .route("/api/webhooks/worker", post(report))
            .with_state(script.clone());
        let stage = Self { store, webhook: serve(router).await, script, folder: tempdir().expect("a folder") };
        std::fs::create_dir(stage.temporary()).expect("a folder");
        stage.grant(&stage.claim());
        stage
    }

    /// The answer to a good claim.
    pub(crate) fn claim(&self) -> ClaimAnswer {
        ClaimAnswer {
            attempt: events::Attempt::FIRST,
            audio_url: self.store.bucket.sign_get(AUDIO, HOUR),
            audio_ext: "wav".into(),
            audio_sha256: None,
            audio_size_bytes: None,
            upload_url: self.store.bucket.sign_put(VIDEO, HOUR),
            upload_headers: BTreeMap::new(),
            upload_key: VIDEO.into(),
            expires_at: Timestamp::from_unix_ms(0),
            config: config(),
        }
    }

    pub(crate) fn grant(&self, claim: &ClaimAnswer) {
        self.edit(|script| script.claim = Some(claim.clone()));
    }

    pub(crate) fn edit<T>(&self, edit: impl FnOnce(&mut Script) -> T) -> T {
        edit(&mut self.script.lock().expect("a script"))
    }

    pub(crate) fn temporary(&self) -> PathBuf {
        self.folder.path().join("tmp")
    }

    /// A renderer of two lines of shell: `$3` is where the video goes, and `FILM` one that will do.
    pub(crate) fn renderer(&self, script: &str) -> PathBuf {
        let path = self.folder.path().join("renderer");
        std::fs::write(&path, format!("#!/bin/sh\n{}\n", script.replace("FILM", &film().display().to_string())))
            .expect("a script");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("permissions");
        path
    }

    /// One that says its process id and then takes for ever.
    pub(crate) fn endless(&self) -> PathBuf {
        let pid = self.pid_file();
        self.renderer(&format!("echo progress 0.5; echo $$ > {0}.new; mv {0}.new {0}; sleep 1000; :", pid.display()))
    }

    pub(crate) fn pid_file(&self) -> PathBuf {
        self.folder.path().join("pid")
    }

    /// `kiln render` as in a container.
    pub(crate) fn container(&self, renderer: &Path) -> Command {
        let mut command = Command::new(kiln());
        command.arg("render").env_clear();
        command.envs([
            ("PATH", std::env::var("PATH").unwrap_or_default()),
            ("HOME", std::env::var("HOME").unwrap_or_default()),
            ("TMPDIR", self.temporary().display().to_string()),
            ("KILN_FFMPEG", ffmpeg().display().to_string()),
            ("KILN_RENDER_COMMAND", renderer.display().to_string()),
            ("KILN_JOB_ID", job().to_string()),
            ("KILN_ATTEMPT", "1".into()),
            ("KILN_CALL_ID", "fc-1".into()),
            ("KILN_INPUT_ID", "in-1".into()),
            ("KILN_TASK_ID", "ta-1".into()),
            ("KILN_CALLBACK_URL", self.webhook.url.clone()),
            ("KILN_WEBHOOK_SECRET", "capability".into()),
            ("KILN_CONFIG", serde_json::to_string(&config()).expect("JSON")),
        ]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        command
    }

    /// Waits for the end: one line of JSON, no temporary file, no process, no secret in the log.
    pub(crate) async fn end(&self, child: Child) -> RenderResult {
        let result = self.result(child).await;
        assert_eq!(files_in(&self.temporary()), Vec::<PathBuf>::new());
        let mine = format!("TMPDIR={}\0", self.temporary().display());
        let is_left = || async { (!is_in_an_environment(mine.as_bytes())).then_some(()) };
        crate::support::wait_for("the end of every process", is_left).await;
        result
    }

    /// Waits for its end, while others of the same stage may be running.
    pub(crate) async fn result(&self, child: Child) -> RenderResult {
        let output = tokio::time::timeout(Duration::from_mins(1), child.wait_with_output()).await;
        let output = output.expect("an end in time").expect("an end");
        let (out, log) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert_eq!(out.lines().count(), 1, "{out}\n{log}");
        let result: RenderResult = serde_json::from_str(&out).expect("a result");
        for secret in ["capability", "X-Amz-Signature"] {
            assert!(!log.contains(secret) && !out.contains(secret), "{out}\n{log}");
        }
        result
    }

    pub(crate) async fn run(&self, renderer: &str) -> RenderResult {
        let renderer = self.renderer(renderer);
        let child = self.container(&renderer).spawn().expect("a container");
        self.end(child).await
    }
}

/// Whether some process has this in its environment.
fn is_in_an_environment(text: &[u8]) -> bool {
    let environments = files_in(Path::new("/proc")).into_iter().map(|process| process.join("environ"));
    environments
        .filter_map(|file| std::fs::read(file).ok())
        .any(|environment| environment.windows(text.len()).any(|window| window == text))
}

/// A submit of [`job`], whose callbacks go there.
pub(crate) fn submit_body(callback_url: &str) -> SubmitBody {
    let body = json!({
        "job_id": job(), "attempt": 1, "idempotency_key": format!("{}:1", job()), "config": config(),
        "audio_signed_url": callback_url, "audio_ext": "wav", "r2_upload_key": VIDEO, "upload_signed_url": callback_url,
        "callback_url": callback_url, "webhook_url": format!("{callback_url}/api/webhooks/worker"),
        "webhook_secret": "capability", "gpu": false,
    });
    serde_json::from_value(body).expect("a submit")
}

pub(crate) fn config() -> RenderConfig {
    serde_json::from_value(json!({})).expect("a configuration")
}

fn is_ours(headers: &HeaderMap) -> bool {
    headers.get(header::AUTHORIZATION).is_some_and(|value| value == "Bearer capability")
}

async fn claim(State(script): State<Shared>, headers: HeaderMap, Json(body): Json<Value>) -> Response {
    assert!(is_ours(&headers));
    let mut script = script.lock().expect("a script");
    let is_other = script.claims.first().is_some_and(|first| first["inputId"] != body["inputId"]);
    script.claims.push(body);
    if script.is_exclusive && is_other {
        return StatusCode::CONFLICT.into_response();
    }
    match &script.claim {
        Some(claim) => Json(claim).into_response(),
        None => script.claim_status.into_response(),
    }
}

async fn progress(State(script): State<Shared>, headers: HeaderMap, Json(body): Json<Value>) -> StatusCode {
    assert!(is_ours(&headers));
    let mut script = script.lock().expect("a script");
    script.progress.push(body);
    script.progress_status
}

async fn report(State(script): State<Shared>, headers: HeaderMap, body: extract::Json<Value>) -> Response {
    assert!(is_ours(&headers));
    let mut script = script.lock().expect("a script");
    script.reports.push(body.0);
    if script.report_statuses.is_empty() {
        return Json(json!({"success": true})).into_response();
    }
    let status = script.report_statuses.remove(0);
    (status, Json(json!({"code": "output_missing"}))).into_response()
}
