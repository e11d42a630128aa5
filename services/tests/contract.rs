//! One contract, two providers: what is asked of kiln's own executor is asked of the Modal app, which runs under Modal's
//! own client and container program. `cargo test -p kiln --test main contract -- --nocapture` prints the table.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use events::wire::dispatch::{CallState, CallStatus, CancelAnswer, StatusAnswer, SubmitAnswer};
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, join_all};
use kiln::client::http_client;
use reqwest::{Response, StatusCode};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Child;

use crate::gpu::Provider;
use crate::python::{app, python};
use crate::stage::{Stage, VIDEO, config, job};
use crate::support::{ffmpeg, kiln, wait_for, wait_for_pid, wait_until_gone};

mod ask;

/// Attempts of these numbers never end by themselves; 70 fails, every other one succeeds.
const ENDLESS: [u16; 2] = [90, 91];
const FAILING: u16 = 70;

/// A provider behind an address, and the stage around it.
pub(crate) struct Endpoint<'a> {
    stage: &'a Stage,
    url: String,
}

impl Endpoint<'_> {
    async fn send(&self, door: &str, kind: &str, key: [&str; 2], body: String) -> Response {
        let http = http_client(Duration::from_mins(1));
        let request = http.post(format!("{}/{door}", self.url)).header("content-type", kind).body(body);
        request.header("Modal-Key", key[0]).header("Modal-Secret", key[1]).send().await.expect("an answer")
    }

    async fn post(&self, door: &str, body: &Value) -> Response {
        self.send(door, "application/json", ["key", "secret"], body.to_string()).await
    }

    /// The answer to a good request.
    async fn ask<T: serde::de::DeserializeOwned>(&self, door: &str, body: &Value) -> T {
        let answer = self.post(door, body).await;
        assert_eq!(answer.status(), StatusCode::OK);
        let text = answer.text().await.expect("a text");
        assert!(!text.contains("capability") && !text.contains("X-Amz"), "{text}");
        serde_json::from_str(&text).expect("an answer")
    }

    fn body(&self, attempt: u16) -> Value {
        let claim = self.stage.claim();
        let webhook = &self.stage.webhook.url;
        json!({
            "job_id": job(), "attempt": attempt, "idempotency_key": format!("{}:{attempt}", job()),
            "config": config(), "audio_signed_url": claim.audio_url.expose(), "audio_ext": "wav",
            "r2_upload_key": VIDEO, "upload_signed_url": claim.upload_url.expose(),
            "callback_url": webhook, "webhook_url": format!("{webhook}/api/webhooks/worker"),
            "webhook_secret": "capability", "gpu": false,
        })
    }

    async fn submit(&self, attempt: u16) -> SubmitAnswer {
        self.ask("submit", &self.body(attempt)).await
    }

    async fn state(&self, call: &str) -> CallState {
        let mut answer: StatusAnswer = self.ask("status", &json!({"call_ids": [call]})).await;
        answer.calls.remove(call).expect("the call")
    }

    async fn ended(&self, call: &str) -> CallState {
        let state = || async { Some(self.state(call).await).filter(|state| state.status != CallStatus::Running) };
        wait_for("the end of a call", state).await
    }

    async fn cancel(&self, attempt: u16, calls: &[&str]) -> BTreeMap<String, CallStatus> {
        let body = json!({"job_id": job(), "attempt": attempt, "call_ids": calls});
        self.ask::<CancelAnswer>("cancel", &body).await.calls
    }
}

type Check = for<'a> fn(&'a Endpoint<'a>) -> BoxFuture<'a, ()>;

const CHECKS: &[(&str, Check)] = &[
    ("both credentials are asked for", |endpoint| ask::credentials(endpoint).boxed()),
    ("a body that is not as it must be is refused with 422", |endpoint| ask::bad_bodies(endpoint).boxed()),
    ("a wrong type, a body too long, other doors", |endpoint| ask::bad_requests(endpoint).boxed()),
    ("at most 100 calls in one question", |endpoint| ask::many_calls(endpoint).boxed()),
    ("unknown calls are `unknown`, also to a cancel", |endpoint| ask::unknown_calls(endpoint).boxed()),
    ("a submit's answer, field by field", |endpoint| ask::submit_answer(endpoint).boxed()),
    ("one key is one call, also 20 times at once", |endpoint| ask::duplicates(endpoint).boxed()),
    ("the result is what the webhook was told", |endpoint| ask::result(endpoint).boxed()),
    ("a failed render is a completed call with its code", |endpoint| ask::failing(endpoint).boxed()),
    ("`claimed_elsewhere` and `over` are told as such", |endpoint| ask::not_ours(endpoint).boxed()),
    ("a cancel ends every process, and may be repeated", |endpoint| ask::cancel(endpoint).boxed()),
    ("kiln's own client understands all of it", |endpoint| ask::own_client(endpoint).boxed()),
];

/// What came of every check: nothing, or what a panic said.
async fn examine(endpoint: &Endpoint<'_>) -> Vec<bool> {
    let mut outcomes = Vec::new();
    for (_, check) in CHECKS {
        outcomes.push(AssertUnwindSafe(check(endpoint)).catch_unwind().await.is_ok());
    }
    outcomes
}

/// A stage whose renderer does what the attempt's number says.
async fn stage() -> (Stage, std::path::PathBuf) {
    let stage = Stage::new().await;
    let [first, second] = ENDLESS;
    let pid = stage.pid_file();
    let renderer = stage.renderer(&format!(
        "case $KILN_ATTEMPT in\n{FAILING}) exit 1;;\n{first}|{second}) echo progress 0.5; echo $$ > {0}$KILN_ATTEMPT.new; \
         mv {0}$KILN_ATTEMPT.new {0}$KILN_ATTEMPT; sleep 1000;;\nesac\necho progress 0.5; cp FILM \"$3\"",
        pid.display()
    ));
    (stage, renderer)
}

async fn of_executor() -> Vec<bool> {
    let (stage, renderer) = stage().await;
    let provider = Provider::new(&stage, &renderer, &[]).await;
    let outcomes = examine(&Endpoint { stage: &stage, url: provider.url.clone() }).await;
    provider.close().await;
    outcomes
}

async fn of_modal() -> Vec<bool> {
    let (stage, renderer) = stage().await;
    let (mut stand_in, url) = stand_in(&stage, &renderer).await;
    let outcomes = examine(&Endpoint { stage: &stage, url }).await;
    drop(stand_in.stdin.take());
    assert!(stand_in.wait().await.expect("an end").success());
    outcomes
}

/// The app, behind a stand-in for Modal's server and proxy, with our program on its containers' path.
async fn stand_in(stage: &Stage, renderer: &Path) -> (Child, String) {
    let folder = kiln().parent().expect("a folder").display().to_string();
    let mut command = tokio::process::Command::from(tokio::task::spawn_blocking(python).await.expect("packages"));
    command.arg(app().join("endpoint.py")).envs([
        ("PATH", format!("{folder}:{}", std::env::var("PATH").unwrap_or_default())),
        ("TMPDIR", stage.temporary().display().to_string()),
        ("KILN_FFMPEG", ffmpeg().display().to_string()),
        ("KILN_RENDER_COMMAND", renderer.display().to_string()),
    ]);
    let log = std::fs::File::create(stage.folder.path().join("stand-in.log")).expect("a file");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log).kill_on_drop(true);
    let mut child = command.spawn().expect("python3");
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let url = lines.next_line().await.expect("a pipe");
    let told = || std::fs::read_to_string(stage.folder.path().join("stand-in.log")).unwrap_or_default();
    (child, url.unwrap_or_else(|| panic!("the stand-in did not start: {}", told())))
}

#[tokio::test]
#[expect(clippy::print_stdout, reason = "the table is what people run this test for")]
async fn the_executor_and_the_modal_app_keep_one_contract() {
    let (executor, modal) = tokio::join!(of_executor(), of_modal());
    let sign = |is_kept: &bool| if *is_kept { "yes" } else { "NO" };
    let rows = CHECKS.iter().zip(&executor).zip(&modal);
    let rows = rows.map(|(((name, _), executor), modal)| format!("| {name} | {} | {} |", sign(executor), sign(modal)));
    println!("| contract | kiln's executor | Modal app |\n|---|---|---|\n{}", rows.collect::<Vec<_>>().join("\n"));
    let outcomes: BTreeSet<&bool> = executor.iter().chain(&modal).collect();
    assert_eq!(outcomes, BTreeSet::from([&true]), "see above");
}

/// Every answer to one request sent so many times at once.
async fn at_once(endpoint: &Endpoint<'_>, attempt: u16, times: usize) -> Vec<SubmitAnswer> {
    let body = endpoint.body(attempt);
    join_all((0..times).map(|_| endpoint.ask::<SubmitAnswer>("submit", &body))).await
}

async fn renderer_of(endpoint: &Endpoint<'_>, attempt: u16) -> u32 {
    wait_for_pid(Path::new(&format!("{}{attempt}", endpoint.stage.pid_file().display()))).await
}

async fn is_gone(pid: u32) {
    wait_until_gone(pid).await;
}
