//! Python for tests: pinned packages are put into kiln's cache, once.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use nats::tool::{FFMPEG, Search};
use sha2::{Digest, Sha256};

/// Where the app is.
pub(crate) fn app() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/modal"))
}

/// `python3` with the app's packages.
pub(crate) fn python() -> Command {
    static PACKAGES: LazyLock<PathBuf> = LazyLock::new(|| packages(&app().join("requirements.txt")));
    with(&PACKAGES)
}

/// `python3` with schemathesis.
pub(crate) fn schemathesis() -> Command {
    let mut command = with_schemathesis();
    command.args(["-m", "schemathesis.cli"]);
    command
}

/// A YAML file as JSON, by the reader that schemathesis brings.
pub(crate) fn yaml(file: &Path) -> serde_json::Value {
    const READ: &str = "import json, sys, yaml; json.dump(yaml.safe_load(open(sys.argv[1])), sys.stdout)";
    let text = tell(with_schemathesis().args(["-c", READ]).arg(file)).unwrap_or_else(|problem| panic!("{problem}"));
    serde_json::from_str(&text).expect("it is JSON")
}

fn with_schemathesis() -> Command {
    let requirements = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/schemathesis.txt"));
    with(&packages(requirements))
}

fn with(packages: &Path) -> Command {
    let mut python = Command::new("python3");
    python.env("PYTHONPATH", packages).env("PYTHONDONTWRITEBYTECODE", "1");
    python
}

fn packages(requirements: &Path) -> PathBuf {
    found(requirements).unwrap_or_else(|problem| panic!("{problem}"))
}

fn found(requirements: &Path) -> Result<PathBuf, String> {
    let text = fs::read(requirements).map_err(|error| format!("{}: {error}", requirements.display()))?;
    let version = tell(Command::new("python3").args(["-c", "import sys; print(sys.version_info[:2], sys.platform)"]))?;
    let name = events::hex(&Sha256::digest([text, version.into_bytes()].concat()));
    let cache = Search::of_process(&FFMPEG).cache.ok_or("set `KILN_CACHE` to a folder for Python packages")?;
    put(requirements, &cache.join(format!("python-{}", &name[..16])))
}

/// Installs beside and renames, under a lock, so that there is all of it or nothing.
fn put(requirements: &Path, folder: &Path) -> Result<PathBuf, String> {
    let at = |error: io::Error| format!("cannot write to {}: {error}", folder.display());
    fs::create_dir_all(folder).map_err(at)?;
    let lock = File::create(folder.join("lock")).map_err(at)?;
    lock.lock().map_err(at)?;
    let (partial, packages) = (folder.join("partial"), folder.join("packages"));
    if !packages.exists() {
        if partial.exists() {
            fs::remove_dir_all(&partial).map_err(at)?;
        }
        let install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"];
        let mut pip = Command::new("python3");
        pip.args(install).args(["--only-binary=:all:", "--target"]).arg(&partial).arg("-r").arg(requirements);
        tell(&mut pip)?;
        fs::rename(&partial, &packages).map_err(at)?;
    }
    Ok(packages)
}

fn tell(command: &mut Command) -> Result<String, String> {
    const HINT: &str = "these tests need Python 3.10 or newer with pip, and once a network for its packages";
    let output = command.output().map_err(|error| format!("{HINT}: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(format!("{HINT}: {}", String::from_utf8_lossy(&output.stderr).trim()))
}

/// Runs it to its end; what it said is shown if it failed.
pub(crate) fn check(command: &mut Command) {
    let output = command.output().expect("python3");
    let (out, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}{errors}");
}
