//! The examples for those who publish without HTTP, run as they stand.

use std::path::{Path, PathBuf};

use events::Secret;
use events::spec::Audio;
use nats::topology::{self, Tunables};
use nats::{Bus, Log, Login, Settings};
use tokio::process::Command;

use crate::permissions::{passwords, server_file};
use crate::world::{World, job_id};

#[path = "../examples/publish.rs"]
#[expect(dead_code, reason = "its `main` is for the command line")]
mod publish;

use publish::Answer;

const URL: &str = "https://example.com/song.flac";
const KEY: &str = "uploads/0193a1b2-0000-7000-8000-000000000001/audio.flac";

#[derive(Clone, Copy, Debug)]
enum Example {
    Rust,
    Python,
}

impl Example {
    /// What is in the log's favour; the error is a sentence for a person.
    async fn publish(self, server: &str, job: &str, audio: &str) -> Result<Answer, String> {
        match self {
            Self::Rust => publish::publish(server, job, audio).await.map_err(|error| error.to_string()),
            Self::Python => python(server, job, audio).await,
        }
    }
}

async fn python(server: &str, job: &str, audio: &str) -> Result<Answer, String> {
    let mut command = Command::new("python3");
    command.arg(publishers().join("publish.py")).args([job, audio]);
    let output = command.env("PYTHONPATH", packages().await).env("NATS_URL", server).output().await;
    let output = output.expect("python3 is needed for this test");
    let said = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let seq = said.trim().strip_prefix(&format!("{job} is in the log, at "));
    Ok(seq.map_or(Answer::AlreadyThere, |seq| Answer::Stored(seq.parse().expect("a sequence"))))
}

fn publishers() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("publishers")
}

/// Where the pinned client library is: below `target`, fetched if it is not there yet.
async fn packages() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let (packages, partial) = (folder.join("nats-py-2.16.0"), tempfile::tempdir_in(folder).expect("a folder"));
    if !packages.is_dir() {
        let mut pip = Command::new("python3");
        pip.args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--no-deps",
            "--only-binary=:all:",
            "--require-hashes",
            "--target",
        ]);
        let output = pip.arg(partial.path()).arg("-r").arg(publishers().join("requirements.txt")).output().await;
        let output = output.expect("python3 is needed for this test");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        // Another run may have been faster: then this one's folder goes, and that one's is used.
        let _ = std::fs::rename(partial.path(), &packages);
    }
    packages
}

/// A server, as a program of somebody else reaches it, and as the operator does.
struct Place {
    world: World,
    url: String,
    operator: Bus,
}

impl Place {
    /// Where everybody may do everything.
    async fn open() -> Self {
        let world = World::new().await;
        Self { url: world.server.url().to_owned(), operator: world.bus("operator").await, world }
    }

    /// Where publishers have an account of their own, in which nothing but requests leads to the log.
    async fn guarded() -> Self {
        let world = World::with(|options| {
            options.file = Some(server_file("single.conf"));
            options.variables = passwords().into_iter().map(|(name, _)| (name, Secret::new("secret"))).collect();
        })
        .await;
        let login = Login::Password("operator".into(), Secret::new("secret"));
        let operator =
            Bus::connect(&Settings { login, ..world.settings("operator") }).await.expect("the login is right");
        Self { url: world.server.url().replace("://", "://publisher:secret@"), operator, world }
    }
}

/// An address, a key, each twice; then a server without the log, and a log that is full.
async fn check(example: Example, place: Place) {
    let Place { world: _world, url: server, operator } = place;
    topology::provision(&operator, &Tunables::default()).await.expect("provisioned");
    let log = Log::new(operator);
    for (n, audio) in [(1, URL), (2, KEY)] {
        let id = job_id(n);
        let job = id.to_string();
        assert_eq!(example.publish(&server, &job, audio).await, Ok(Answer::Stored(n)), "{example:?}");
        assert_eq!(example.publish(&server, &job, audio).await, Ok(Answer::AlreadyThere), "{example:?}");
        let folded = log.load(id).await.expect("readable");
        let found = match &folded.spec().expect("a request that can be obeyed").audio {
            Audio::Stored { key, .. } => key.to_string(),
            Audio::Remote { url, .. } => url.clone(),
        };
        assert_eq!((found.as_str(), folded.seq, folded.ended), (audio, n, None), "{example:?}");
    }

    let full = Tunables { max_bytes: Some(1), ..Tunables::default() };
    topology::provision(log.bus(), &full).await.expect("provisioned");
    let refused = example.publish(&server, &job_id(3).to_string(), URL).await;
    assert!(refused.as_ref().is_err_and(|error| error.contains("maximum bytes")), "{example:?}: {refused:?}");
    let nobody = example.publish(World::new().await.server.url(), &job_id(3).to_string(), URL).await;
    assert!(nobody.is_err(), "{example:?}: {nobody:?}");
}

#[tokio::test]
async fn the_rust_example_asks_for_a_render_once() {
    check(Example::Rust, Place::open().await).await;
    check(Example::Rust, Place::guarded().await).await;
}

#[tokio::test]
async fn the_python_example_asks_for_a_render_once() {
    check(Example::Python, Place::open().await).await;
    check(Example::Python, Place::guarded().await).await;
}
