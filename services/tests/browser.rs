//! The page in a real Chromium: `cargo test -p kiln --features browser --test browser`. Each test is a scenario of
//! `tests/browser`, which playwright-core plays against a whole kiln of its own.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use events::event::{Completed, Dispatched, Output, Requested};
use events::{Attempt, Entry, Event, Job, JobId, Recorded, Timestamp};
use kiln::config::Clients;
use kiln::dev::world::{Options, World};
use nats::Bus;
use nats::topology::Tunables;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};

/// The longest scenario, on a slow machine.
const LIMIT: Duration = Duration::from_mins(8);
const KILN: &str = env!("CARGO_BIN_EXE_kiln");
const FOLDER: &str = env!("CARGO_MANIFEST_DIR");

#[tokio::test(flavor = "multi_thread")]
async fn dropped_files_become_videos_that_are_watched_played_and_kept() {
    Stage::open().await.play("videos", "dropWatchPlayAndKeep").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_the_store_does_not_take_goes_through_the_api() {
    Stage::open().await.play("videos", "sendThroughTheApi").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_or_fails_says_why_in_words() {
    Stage::open().await.play("videos", "refuseInWords").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_render_is_cancelled_and_asked_for_again() {
    Stage::open().await.play("actions", "cancelAndRetry").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_keyboard_alone_is_enough() {
    Stage::open().await.play("actions", "useTheKeyboardAlone").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_in_the_middle_loses_nothing() {
    Stage::open().await.play("outages", "reloadInTheMiddle").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_outlives_a_restart_of_the_server_without_being_loaded_anew() {
    Stage::open().await.play("outages", "outliveTheServer").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_view_fits_every_screen_and_axe_finds_nothing_serious_in_light_and_dark() {
    Stage::open().await.play("looks", "fitEveryScreen").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_choice_of_colours_outdoes_the_systems_and_is_remembered() {
    Stage::open().await.play("looks", "chooseTheColours").await;
}

/// Makes the picture in the README anew, where `KILN_SCREENSHOT` names the file.
#[tokio::test(flavor = "multi_thread")]
async fn the_page_sits_for_its_portrait() {
    Stage::open().await.play("looks", "sitForThePortrait").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_jobs_are_counted_filtered_and_paged_through() {
    let stage = Stage::open().await;
    fill(&stage.bus().await, 10_000).await;
    stage.play("many", "leafThroughThousands").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_asked_for_in_words_and_sent_in_the_header_alone() {
    Stage::with_keys().await.play("keys", "askForTheKey").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_may_only_look_is_told_so() {
    Stage::with_keys().await.play("keys", "tellWhatAKeyMayNot").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_is_read_and_redriven() {
    let stage = Stage::open().await;
    let bus = stage.bus().await;
    let subject = format!("render.{}.started.1", id(1));
    bus.client().publish(subject, "nobody can read this".into()).await.expect("sent");
    stored(&bus, "RENDER_DEAD", 1).await;
    stage.play("letters", "readADeadLetter").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_health_of_every_part_is_told() {
    Stage::open().await.play("letters", "tellTheHealth").await;
}

/// A kiln, and what a scenario is told of it.
struct Stage {
    folder: TempDir,
    listen: SocketAddr,
    clients: Clients,
    variables: Vec<(&'static str, String)>,
    world: Option<World>,
}

impl Stage {
    async fn open() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        Self::start_in(folder, Clients::default(), Vec::new()).await
    }

    /// A kiln that knows a key for all and a key for looking.
    async fn with_keys() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let file = folder.path().join("keys.json");
        let variables = vec![("KILN_KEY", key(&file, "admin")), ("KILN_READ_KEY", key(&file, "read"))];
        let clients = Clients { api_keys_file: Some(file), ..Clients::default() };
        Self::start_in(folder, clients, variables).await
    }

    async fn start_in(folder: TempDir, clients: Clients, variables: Vec<(&'static str, String)>) -> Self {
        let mut stage = Self { folder, listen: ports().await, clients, variables, world: None };
        stage.start().await;
        stage
    }

    async fn start(&mut self) {
        let found = Options::new(&self.folder.path().join("data"), &|_| {}).expect("the programs are found or fetched");
        // As many as the stand-in runs at once, so that others are seen to wait.
        let tunables = Tunables { max_renders: Some(2), ..Tunables::default() };
        let clients = self.clients.clone();
        let options = Options { kiln: KILN.into(), listen: self.listen, clients, tunables, ..found };
        self.world = Some(World::start(options).await.expect("the world starts"));
    }

    fn world(&self) -> &World {
        self.world.as_ref().expect("it runs")
    }

    async fn bus(&self) -> Bus {
        self.world().bus().await.expect("the log is there")
    }

    /// Plays a scenario, and does with the world what it asks for.
    async fn play(mut self, file: &str, name: &str) {
        let mut node = self.spawn(file, name);
        let mut wishes = node.stdin.take().expect("it is piped");
        let mut lines = BufReader::new(node.stdout.take().expect("it is piped")).lines();
        let mut told = String::new();
        let playing = async {
            while let Some(line) = lines.next_line().await.expect("it can be read") {
                match line.strip_prefix("world: ") {
                    Some("stop") => self.world.take().expect("it runs").stop().await,
                    Some("start") => self.start().await,
                    _ => {
                        told.push_str(&line);
                        told.push('\n');
                        continue;
                    }
                }
                wishes.write_all(b"done\n").await.expect("it listens");
            }
            node.wait().await.expect("it ends")
        };
        let status = tokio::time::timeout(LIMIT, playing).await.expect("the scenario ends in time");
        assert!(status.success(), "{told}");
        self.world.take().expect("it runs").stop().await;
    }

    fn spawn(&self, file: &str, name: &str) -> Child {
        let mut node = Command::new("node");
        node.arg(Path::new(FOLDER).join("tests/browser/run.mjs")).args([file, name]);
        node.env("KILN_URL", &self.world().addresses.api).env("KILN_STORE", &self.world().addresses.s3);
        node.env("KILN_CHROMIUM", chromium()).env("KILN_BROWSER_TOOLS", tools());
        node.envs(self.variables.iter().map(|(name, value)| (name, value)));
        node.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        node.spawn().expect("`node` 20 or newer is on PATH")
    }
}

fn chromium() -> PathBuf {
    let program = std::env::var_os("KILN_CHROMIUM").map_or_else(|| "/usr/bin/chromium".into(), PathBuf::from);
    assert!(
        program.exists(),
        "there is no {}: install it (`apt-get install chromium`), or name another one in `KILN_CHROMIUM`",
        program.display()
    );
    program
}

/// Where `.ci/run` puts the packages of `package.json`.
fn tools() -> PathBuf {
    let usual = || Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("tools").join("browser");
    let tools = std::env::var_os("KILN_BROWSER_TOOLS").map_or_else(usual, PathBuf::from);
    assert!(
        tools.join("node_modules/playwright-core").exists(),
        "there is no playwright-core in {}: copy `services/tests/browser/package*.json` there, and run `npm ci` in it",
        tools.display()
    );
    tools
}

/// The first of four free ports in a row, so that a world can come back to where it was.
async fn ports() -> SocketAddr {
    loop {
        let first = TcpListener::bind("127.0.0.1:0").await.expect("there is a free port");
        let address = first.local_addr().expect("it listens");
        let mut all = vec![first];
        for offset in 1..4 {
            let Some(port) = address.port().checked_add(offset) else { break };
            all.extend(TcpListener::bind((address.ip(), port)).await.ok());
        }
        if all.len() == 4 {
            return address;
        }
    }
}

fn key(file: &Path, scope: &str) -> String {
    let mut kiln = std::process::Command::new(KILN);
    kiln.args(["keys", "create", "--label", scope, "--scopes", scope]).env("KILN_API_KEYS_FILE", file);
    let output = kiln.output().expect("kiln runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("it is text");
    text.lines().last().expect("there is a secret").to_owned()
}

fn id(n: u64) -> JobId {
    JobId::new(n, n.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes().repeat(2)[..10].try_into().expect("ten bytes"))
}

/// Entries of so many jobs, as the projector would write them: every tenth waits, the others are complete.
async fn fill(bus: &Bus, jobs: u64) {
    for n in 1..=jobs {
        let subject = format!("$KV.JOBS.{}", id(n));
        bus.client().publish(subject, entry(n).into()).await.expect("sent");
    }
    stored(bus, "KV_JOBS", jobs).await;
}

fn entry(n: u64) -> Vec<u8> {
    let id = id(n);
    let audio = serde_json::json!({"key": format!("renders/{id}/audio.flac")});
    let spec = serde_json::json!({"audio": audio, "metadata": {"filename": format!("song {n}.flac")}});
    let output = Output::video(format!("renders/{id}/output.mp4"), 12_345_678);
    let life = [
        Event::Requested(Requested { spec: serde_json::from_value(spec).expect("a request") }),
        Event::Dispatched(Attempt::FIRST, Dispatched { call_id: "fc-0123456789".into(), gpu: true }),
        Event::Completed(Completed { attempt: Attempt::FIRST, output }),
    ];
    let mut job = Job::default();
    let events = if n.is_multiple_of(10) { 1 } else { 3 };
    for (event, step) in life.into_iter().take(events).zip(0..) {
        let time = Timestamp::from_unix_ms(1_795_348_800_000 + i64::try_from(n).unwrap_or(0));
        job.absorb(&Recorded { seq: 4 * n + step, time, event });
    }
    serde_json::to_vec(&Entry::from(job)).expect("JSON")
}

/// Waits until a stream holds so many messages.
async fn stored(bus: &Bus, stream: &str, messages: u64) {
    let subject = format!("$JS.API.STREAM.INFO.{stream}");
    let holds = async || {
        let info = bus.client().request(subject.clone(), "".into()).await.expect("answered");
        let info: serde_json::Value = serde_json::from_slice(&info.payload).expect("JSON");
        info["state"]["messages"].as_u64()
    };
    let filling = async { while holds().await != Some(messages) {} };
    tokio::time::timeout(Duration::from_mins(1), filling).await.expect("the messages arrive");
}
