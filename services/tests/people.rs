//! The commands for people: the real binary, as it is typed.

mod found;
mod lives;
mod relay;
mod shell;
mod troubles;

use std::path::Path;
use std::process::{Output, Stdio};

use serde_json::Value;
use tokio::process::Command;

use crate::support::kiln;
use crate::world::TestWorld;

/// What a command left.
pub(crate) struct Ran {
    pub(crate) code: i32,
    /// Standard output.
    pub(crate) told: String,
    /// Standard error.
    pub(crate) log: String,
}

impl Ran {
    pub(crate) fn of(output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let code = output.status.code().expect("it ended by itself");
        Self { code, told: text(&output.stdout), log: text(&output.stderr) }
    }

    /// The output, if that is the exit code.
    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> String {
        assert_eq!(self.code, code, "{}\n{}", self.told, self.log);
        self.told
    }

    /// The one sentence of a command that was not done, if that is the exit code.
    #[track_caller]
    pub(crate) fn sentence(self, code: i32) -> String {
        assert_eq!((self.code, self.told.as_str()), (code, ""), "{}", self.log);
        let sentences: Vec<_> = self.log.lines().filter(|line| line.starts_with("kiln: ")).collect();
        assert_eq!(sentences.len(), 1, "{}", self.log);
        sentences[0].trim_start_matches("kiln: ").to_owned()
    }

    /// Each line of the output, which is JSON and nothing else.
    #[track_caller]
    pub(crate) fn json(self, code: i32) -> Vec<Value> {
        let told = self.expect(code);
        told.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}"))).collect()
    }
}

/// `kiln ARGS`, in this folder, by somebody who has set nothing but the address.
pub(crate) fn command(folder: &Path, url: &str, args: &[&str]) -> Command {
    let mut command = Command::new(kiln());
    command.args(args).current_dir(folder).env("KILN_URL", url).env("XDG_RUNTIME_DIR", folder).env("TMPDIR", folder);
    for variable in ["KILN_API_KEY", "COLUMNS", "NO_COLOR", "CLICOLOR_FORCE"] {
        command.env_remove(variable);
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

pub(crate) async fn run(folder: &Path, url: &str, args: &[&str]) -> Ran {
    Ran::of(&command(folder, url, args).output().await.expect("kiln runs"))
}

impl TestWorld {
    /// `kiln ARGS` against this world, in its folder.
    pub(crate) async fn kiln(&self, args: &[&str]) -> Ran {
        run(self.folder.path(), &self.url(""), args).await
    }
}
