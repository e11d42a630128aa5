//! No secret anywhere: not in the streams, the bucket of entries, the logs, the metrics, or what a client is told.

use std::path::Path;
use std::process::Stdio;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use events::wire::client::RenderRequest;
use events::{Status, Timestamp};
use kiln::client::kiln::Client;
use kiln::dev::world::Addresses;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;
use tokio::process::Command;

use crate::support::{kiln, wait_for};

/// What a signed address and a capability look like, whatever is signed.
const SHAPES: [&str; 4] = ["X-Amz-Signature", "X-Amz-Credential", "X-Amz-Security-Token", "kiln1."];

/// The secrets of a world in this folder, and the shapes of those that are made from them.
pub(crate) fn secrets(data: &Path) -> Vec<String> {
    let secrets: Vec<_> = crate::world::secrets(data).into_values().collect();
    assert!(secrets.len() >= 3 && secrets.iter().all(|secret| secret.len() >= 32));
    SHAPES.iter().map(|shape| (*shape).to_owned()).chain(secrets).collect()
}

fn check(place: &str, text: &str, secrets: &[String]) {
    let found = secrets.iter().find(|secret| text.contains(*secret));
    assert!(found.is_none(), "{place} holds {found:?}: {}", events::clean(text, 2000));
}

/// Looks into every message of every stream, headers too. Comes back with their number.
pub(crate) async fn scan(bus: &nats::Bus, secrets: &[String]) -> usize {
    use nats::topology::{KV_JOBS, RENDER, RENDER_DEAD, RENDER_PROGRESS};
    let mut count = 0;
    for stream in [RENDER, RENDER_PROGRESS, RENDER_DEAD, KV_JOBS] {
        for message in messages(bus, stream).await {
            check(&message.subject, &String::from_utf8_lossy(&message.payload()), secrets);
            check(&message.subject, &message.headers(), secrets);
            count += 1;
        }
    }
    count
}

/// A message as the server's API tells of it, whatever its headers are.
#[derive(Deserialize)]
pub(crate) struct Message {
    pub(crate) subject: String,
    pub(crate) seq: u64,
    pub(crate) time: Timestamp,
    #[serde(default)]
    data: String,
    #[serde(default)]
    hdrs: String,
}

impl Message {
    pub(crate) fn headers(&self) -> String {
        String::from_utf8_lossy(&STANDARD.decode(&self.hdrs).expect("base64")).into_owned()
    }

    pub(crate) fn payload(&self) -> Vec<u8> {
        STANDARD.decode(&self.data).expect("base64")
    }
}

/// Every message of a stream; none if it is not there.
pub(crate) async fn messages(bus: &nats::Bus, stream: &str) -> Vec<Message> {
    let (mut found, mut seq): (Vec<Message>, _) = (Vec::new(), 1);
    loop {
        let body = json!({"seq": seq, "next_by_subj": ">"}).to_string();
        let answer = bus.client().request(format!("$JS.API.STREAM.MSG.GET.{stream}"), body.into()).await;
        let Ok(answer) = answer else { return found };
        let mut answer: Value = serde_json::from_slice(&answer.payload).expect("JSON");
        let Ok(message) = serde_json::from_value::<Message>(answer["message"].take()) else { return found };
        seq = message.seq + 1;
        found.push(message);
    }
}

/// What a stranger sends: each is refused, and the answer may not hold a secret either.
async fn refusals(http: &reqwest::Client, api: &str, capability: &str) -> Vec<String> {
    let job = "0193a5c0-7c1e-7b3a-9d52-1f0c8a7be001";
    let signed = format!("https://bucket.example.com/x?X-Amz-{}=abc", "Signature");
    let rows = [
        ("POST", "/api/render", json!({"audio": {"url": signed}})),
        ("POST", "/api/render", json!({"audio": {"key": signed}, "fsp": 1})),
        ("PATCH", &format!("/api/render/{job}"), json!({"progress": capability})),
        ("POST", "/api/webhooks/worker", json!({"jobId": capability, "status": "failed", "error": capability})),
        ("POST", &format!("/api/render/{job}/claim"), json!({"callId": capability})),
        ("GET", &format!("/api/render/{capability}"), json!(null)),
        ("GET", "/metrics", json!(null)),
        ("GET", "/readyz", json!(null)),
    ];
    let mut told = Vec::new();
    for (method, path, body) in rows {
        let request = http.request(method.parse().expect("a method"), format!("{api}{path}"));
        let answer = request.bearer_auth(capability).json(&body).send().await.expect("it is answered");
        told.push(format!("{:?} {}", answer.headers().clone(), answer.text().await.unwrap_or_default()));
    }
    told
}

#[tokio::test]
async fn no_secret_is_in_any_stream_entry_log_metric_or_answer_after_jobs_with_every_kind_of_trouble() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let mut command = Command::new(kiln());
    command.args(["dev", "--listen", "127.0.0.1:0", "--seed", "7", "--data"]).arg(&data).kill_on_drop(true);
    for fault in ["refuse-429=0.2", "html=0.2", "redirect-303=0.1", "crash=0.3"] {
        command.args(["--fault", fault]);
    }
    let log = |name: &str| std::fs::File::create(folder.path().join(name)).expect("a file");
    command.stdin(Stdio::null()).stdout(log("out")).stderr(log("err"));
    let mut process = command.spawn().expect("kiln runs");
    let addresses: Addresses =
        wait_for("the world", async || serde_json::from_slice(&std::fs::read(data.join("dev.json")).ok()?).ok()).await;
    let secrets = secrets(&data);
    let http = kiln::client::http_client(std::time::Duration::from_secs(30));
    let client = Client::new(&addresses.api);
    let (audio, broken) = (folder.path().join("music.wav"), folder.path().join("broken.wav"));
    std::fs::write(&audio, kiln::dev::music::wav(1.0)).expect("written");
    std::fs::write(&broken, b"RIFF\x24\0\0\0WAVE, and then nothing that is sound").expect("written");
    let jobs = [&audio, &broken, &audio].map(async |file| {
        let job = client.submit(file, &RenderRequest::default(), |_| {}).await.expect("accepted").job_id;
        wait_for("the end", async || client.poll(job).await.ok().filter(|poll| poll.status.is_final())).await
    });
    futures_util::future::join_all(jobs).await;
    let cancelled = client.submit(&audio, &RenderRequest::default(), |_| {}).await.expect("accepted").job_id;
    let path = format!("{}/api/render/{cancelled}", addresses.api);
    assert_eq!(http.delete(path).send().await.expect("it is answered").status(), 200);
    wait_for("the end", async || client.poll(cancelled).await.ok().filter(|poll| poll.status == Status::Cancelled))
        .await;
    let capability = super::door::right(cancelled, 1);
    for told in refusals(&http, &addresses.api, &capability).await {
        check("an answer", &told, &secrets);
    }
    let bus = nats::Bus::connect(&nats::Settings::new(&addresses.nats, "operator")).await.expect("connected");
    assert!(scan(&bus, &secrets).await >= 12, "there is something to scan");
    nats::rebuild(&bus, &|_, _| ()).await.expect("rebuilt");
    process.start_kill().expect("killed");
    process.wait().await.expect("it ends");
    for name in ["out", "err"] {
        let mut text = String::new();
        let file = tokio::fs::File::open(folder.path().join(name)).await;
        file.expect("a log").read_to_string(&mut text).await.expect("a log");
        assert!(!text.is_empty(), "{name}");
        check(name, &text, &secrets);
    }
}

#[test]
#[should_panic(expected = "holds")]
fn a_secret_would_be_found() {
    check("a log", "GET /output.mp4?X-Amz-Signature=0", &SHAPES.map(str::to_owned));
}
