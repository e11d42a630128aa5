//! A stack as the units start it: their command lines, their files of variables, the secrets that `configure` makes, the
//! servers' own configuration; only paths, ports and the two outside parties are the test's.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use events::Secret;
use kiln::client::http_client;
use kiln::dev::gpu::{self, Executor};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::process::Child;
use tokio_util::sync::CancellationToken;

use super::unit::{Machine, Unit, deploy, read};
use crate::roles::port;
use crate::stage::{Store, wav};
use crate::support::{ffmpeg, files_in, kiln, wait_for};

/// Less than what a wait for a state takes, so that the logs are shown.
const LIMIT: Duration = Duration::from_secs(100);
/// Where a proxy would be.
const CALLBACKS: &str = "https://callbacks.kiln.invalid";
const ROLES: [&str; 4] = ["kiln@api", "kiln@webhook", "kiln@worker", "kiln@projector"];

/// A machine on which `configure` has run, with free ports in the place of the usual ones.
struct Site {
    machine: Machine,
    ports: BTreeMap<u16, u16>,
    folder: tempfile::TempDir,
}

impl Site {
    async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let nats_server = nats::tool::NATS_SERVER.find(&|_| ()).expect("a nats-server");
        let machine = Machine { etc: folder.path().join("etc"), state: folder.path().join("state"), nats_server };
        std::fs::create_dir_all(machine.state.join("kiln-api")).expect("a folder");
        let configured = Command::new("sh").arg(deploy().join("configure")).arg(&machine.etc).status();
        assert!(configured.expect("a shell").success());
        let mut ports = BTreeMap::new();
        for usual in [4222, 8222, 7700, 7701, 7702, 7703] {
            ports.insert(usual, port().await);
        }
        Self { machine, ports, folder }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.machine.etc.join(name)
    }

    fn address(&self, usual: u16) -> String {
        format!("127.0.0.1:{}", self.ports[&usual])
    }

    /// What a person does with an editor.
    fn fill_in(&self, file: &str, values: &[(&str, &str)]) {
        let mut text = read(&self.file(file));
        for (name, value) in values {
            let (set, hidden, line) = (format!("\n{name}="), format!("\n# {name}="), format!("\n{name}={value}"));
            let old = text.find(&set).or_else(|| text.find(&hidden)).unwrap_or_else(|| panic!("no {name} in {file}"));
            let end = text[old + 1..].find('\n').map_or(text.len(), |length| old + 1 + length);
            text.replace_range(old..end, &line);
        }
        std::fs::write(self.file(file), text).expect("written");
    }

    fn fill_in_parties(&self, store: &Store, modal: &str) {
        let endpoint = store.config.endpoint().expect("an address");
        let bucket = [("R2_ENDPOINT", &*endpoint), ("R2_ACCESS_KEY_ID", "key"), ("R2_SECRET_ACCESS_KEY", "secret")];
        self.fill_in("kiln.env", &bucket);
        let keys = [("MODAL_ENDPOINT_URL", modal), ("MODAL_KEY", "key"), ("MODAL_SECRET", "secret")];
        self.fill_in("worker.env", &keys);
        self.fill_in("worker.env", &[("CALLBACK_URL", CALLBACKS)]);
    }

    /// The only thing that the test changes in what is delivered.
    fn move_ports_and_folders(&self) {
        let state = self.machine.state.to_string_lossy();
        for file in ["kiln.env", "api.env", "worker.env", "webhook.env", "projector.env", "nats/single.conf"] {
            let mut text = read(&self.file(file)).replace("/var/lib", &state);
            for usual in self.ports.keys() {
                text = text.replace(&format!("127.0.0.1:{usual}"), &self.address(*usual));
            }
            std::fs::write(self.file(file), text).expect("written");
        }
    }

    fn kiln_ready(&self, usual: u16) -> bool {
        let mut command = Command::new(kiln());
        command.env_clear().args(["ready", &self.address(usual)]);
        command.output().expect("kiln runs").status.success()
    }

    /// What is said to have happened, for a test that failed.
    fn logs(&self) -> String {
        let roles = ROLES.iter().map(|role| read(&Unit::open(role).log(&self.machine)));
        let containers = files_in(&self.folder.path().join("gpu/logs"));
        roles.chain(containers.iter().map(|file| read(file))).collect()
    }
}

/// The stand-in for Modal. A proxy would end the encryption before the webhook, and lead its containers there.
async fn provider(folder: &Path, webhook: String, stop: CancellationToken) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let settings = gpu::Settings {
        folder: folder.join("gpu"),
        kiln: kiln().to_owned(),
        ffmpeg: Some(ffmpeg()),
        parallel: 1,
        key: "key".into(),
        secret: Secret::new("secret"),
        variables: BTreeMap::new(),
        own_url: url.clone(),
        faults: Vec::new(),
        seed: 1,
    };
    let executor = Executor::open(settings).expect("a stand-in");
    let proxied = from_fn(move |request: Request, next: Next| {
        let plain = format!("http://{webhook}");
        async move {
            let (head, body) = request.into_parts();
            let body = axum::body::to_bytes(body, 1 << 20).await.expect("a body");
            let body = String::from_utf8(body.to_vec()).expect("text").replace(CALLBACKS, &plain);
            next.run(Request::from_parts(head, body.into())).await
        }
    });
    tokio::spawn(async move {
        let router = executor.router().layer(proxied);
        tokio::join!(kiln::http::serve(listener, router, stop.clone()), executor.run(&stop));
    });
    url
}

fn api_key(site: &Site) -> String {
    let mut command = Command::new(kiln());
    command
        .args(["keys", "create", "--label", "shop"])
        .env("KILN_API_KEYS_FILE", site.machine.state.join("kiln-api/keys.json"));
    let output = command.output().expect("kiln runs");
    let lines = String::from_utf8(output.stdout).expect("text");
    lines.lines().last().expect("a secret").to_owned()
}

/// Submits half a second of silence, and gives the poll at the end.
async fn render(api: &str, key: &str) -> Value {
    let http = http_client(Duration::from_secs(30));
    let part = b"--b\r\nContent-Disposition: form-data; name=\"audio\"; filename=\"song.wav\"\r\n\r\n";
    let body = [part.as_slice(), &wav(), b"\r\n--b--\r\n"].concat();
    let request = http.post(format!("{api}/api/render")).bearer_auth(key);
    let request = request.header("content-type", "multipart/form-data; boundary=b").body(body);
    let accepted: Value = request.send().await.expect("an answer").json().await.expect("JSON");
    let url = format!("{api}{}", accepted["statusUrl"].as_str().unwrap_or_else(|| panic!("{accepted}")));
    wait_for("the end", async || {
        let poll: Value = http.get(&url).bearer_auth(key).send().await.ok()?.json().await.ok()?;
        ["complete", "failed"].contains(&poll["status"].as_str()?).then_some(poll)
    })
    .await
}

/// As systemd stops a unit; afterwards it would kill.
async fn stop(unit: &Unit, child: &mut Child) {
    let id = child.id().and_then(|id| rustix::process::Pid::from_raw(id.cast_signed())).expect("it runs");
    rustix::process::kill_process(id, rustix::process::Signal::TERM).expect("it can be asked to end");
    let ended = tokio::time::timeout(unit.seconds("TimeoutStopSec"), child.wait()).await;
    let ended = ended.unwrap_or_else(|_| panic!("{} would be killed", unit.name)).expect("it ends");
    assert!(ended.success(), "{}: {ended}", unit.name);
}

#[tokio::test]
async fn a_stack_that_the_units_start_makes_a_video_and_stops_in_time() {
    let site = Site::new().await;
    let end = CancellationToken::new();
    let _end = end.clone().drop_guard();
    let store = Store::new().await;
    let modal = provider(site.folder.path(), site.address(7701), end).await;
    site.fill_in_parties(&store, &modal);
    site.move_ports_and_folders();
    let key = api_key(&site);
    assert!(!site.kiln_ready(7700), "nobody listens yet");

    let nats = Unit::open("kiln-nats");
    let mut running = vec![(nats.start(&site.machine), nats)];
    let topology = Unit::open("kiln-provision");
    assert_eq!(topology.one("Restart"), "on-failure", "the log may not listen yet");
    wait_for("the topology", async || {
        topology.start(&site.machine).wait().await.expect("it ends").success().then_some(())
    })
    .await;
    for role in ROLES.map(Unit::open) {
        running.push((role.start(&site.machine), role));
    }
    for usual in [7700, 7701, 7702, 7703] {
        wait_for("readiness", async || site.kiln_ready(usual).then_some(())).await;
    }
    let api = format!("http://{}", site.address(7700));
    let rendered = tokio::time::timeout(LIMIT, render(&api, &key)).await;
    let done = rendered.unwrap_or_else(|_| panic!("no end: {}", site.logs()));
    assert_eq!(done["status"], "complete", "{done} {}", site.logs());
    let video = http_client(Duration::from_secs(30)).get(done["downloadUrl"].as_str().expect("a video"));
    let video = video.send().await.expect("an answer").bytes().await.expect("a video");
    assert_eq!(done["result"]["sizeBytes"], video.len());
    for (mut child, unit) in running.into_iter().rev() {
        stop(&unit, &mut child).await;
    }
    let logs = site.logs();
    // The one about `CALLBACK_URL` is deserved.
    let is_alarm = |line: &&str| line.contains("\"ERROR\"") && !line.contains("CALLBACK_URL");
    assert_eq!(logs.lines().find(is_alarm), None);
    for (name, value, _) in super::unit::variables(&read(&site.file("worker.env"))) {
        let is_secret = name.ends_with("SECRET") || name.ends_with("PASSWORD");
        assert!(!is_secret || value == "secret" || !logs.contains(&value), "{name} is in a log");
    }
}
