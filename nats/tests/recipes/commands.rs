//! Runs a recipe by typing its commands.

use std::ffi::OsString;
use std::fmt::Display;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, LazyLock, Mutex};

use rustix::process::{Pid, Signal, kill_process_group};
use tempfile::TempDir;
use tokio::io::AsyncReadExt;
use tokio::process::{Child, Command};

use crate::recipes::book::blocks_of;
use crate::world::World;

const HINT: &str = "no `nats`: this target runs the commands of `nats/recipes.md`. Put the NATS command line, 0.4.0 or \
                    newer (github.com/nats-io/natscli), on `PATH`, or set `KILN_NATS_CLI` to its path";

/// A `PATH` on which `nats` is the one that is meant.
static PATH: LazyLock<(OsString, TempDir)> = LazyLock::new(|| {
    let folder = crate::world::folder();
    symlink(program(), folder.path().join("nats")).expect("a link");
    let rest = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(folder.path().to_owned()).chain(std::env::split_paths(&rest));
    (std::env::join_paths(folders).expect("plain folders"), folder)
});

fn program() -> PathBuf {
    let named = std::env::var_os("KILN_NATS_CLI").filter(|value| !value.is_empty()).map(PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = || std::env::split_paths(&path).map(|folder| folder.join("nats")).find(|file| file.is_file());
    let found = named.or_else(on_path).expect(HINT);
    found.canonicalize().unwrap_or_else(|error| panic!("{}: {error}; {HINT}", found.display()))
}

/// Where the commands go, and what their variables are.
pub(crate) struct Way {
    server: String,
    values: Vec<(&'static str, String)>,
}

/// A command that goes on until this is dropped, and what it has printed.
pub(crate) struct Followed {
    said: Arc<Mutex<String>>,
    child: Child,
}

impl Followed {
    pub(crate) fn said(&self) -> String {
        self.said.lock().expect("nobody panics").clone()
    }
}

impl Drop for Followed {
    fn drop(&mut self) {
        let group = self.child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        if let Some(group) = group {
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

impl Way {
    pub(crate) fn to(world: &World) -> Self {
        Self { server: world.server.url().to_owned(), values: Vec::new() }
    }

    pub(crate) fn with(mut self, name: &'static str, value: impl Display) -> Self {
        self.values.push((name, value.to_string()));
        self
    }

    /// The server that a recipe calls the other one.
    pub(crate) fn and(self, other: &World) -> Self {
        self.with("OTHER", other.server.url())
    }

    /// What was printed; the error is what was printed until a command failed.
    pub(crate) async fn run(&self, title: &str) -> Result<String, String> {
        let mut said = String::new();
        for block in blocks_of(title).iter().filter(|block| block.tag == "sh") {
            let output = self.shell(block.text).output().await.expect("a shell");
            for part in [&output.stdout, &output.stderr] {
                said.push_str(&String::from_utf8_lossy(part));
            }
            if !output.status.success() {
                return Err(said);
            }
        }
        Ok(said)
    }

    #[expect(clippy::unused_async, reason = "where requests are sent instead, this waits for answers")]
    pub(crate) async fn follow(&self, title: &str) -> Followed {
        let blocks = blocks_of(title);
        let block = blocks.iter().find(|block| block.tag == "sh follow").expect("a command that goes on");
        let mut child = self.shell(block.text).stdout(Stdio::piped()).spawn().expect("a shell");
        let mut output = child.stdout.take().expect("a pipe");
        let said = Arc::new(Mutex::new(String::new()));
        let copy = said.clone();
        tokio::spawn(async move {
            let mut bytes = Vec::new();
            while output.read_buf(&mut bytes).await.is_ok_and(|length| length > 0) {
                *copy.lock().expect("nobody panics") = String::from_utf8_lossy(&bytes).into_owned();
            }
        });
        Followed { said, child }
    }

    /// At the root of the repository, without the contexts of whoever runs the test.
    fn shell(&self, text: &str) -> Command {
        let (path, home) = &*PATH;
        let mut command = Command::new("sh");
        command.args(["-ec", text]).current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
        command.env("PATH", path).env("HOME", home.path()).env("XDG_CONFIG_HOME", home.path());
        command.env_remove("NATS_CONTEXT").env("NATS_URL", &self.server);
        command.envs(self.values.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).process_group(0);
        command
    }
}
