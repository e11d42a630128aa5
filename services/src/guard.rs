//! `kiln guard`: runs a program that ends when its parent does.
//!
//! The parent holds the other end of the guard's standard input. When that pipe closes, because the parent closed it or
//! died in whatever way, the program's process group gets `SIGTERM`, and what is left after the grace `SIGKILL`.
//! On Linux the guard also adopts what its program leaves behind in other groups, and ends it too.

use std::ffi::{OsStr, OsString};
use std::io::{self, Read};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{ExitCode, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal};
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

/// How long the sweep waits for killed processes to be gone.
const SWEEP: Duration = Duration::from_secs(2);

/// Runs a program and ends its process group when standard input closes.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Milliseconds between SIGTERM and SIGKILL
    #[arg(long, default_value_t = 1000)]
    pub grace_ms: u64,
    /// The program and its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    pub command: Vec<OsString>,
}

/// `program` under a guard: add arguments, environment and output as to any command. The program lives until the
/// child's `stdin` is dropped; dropping the child itself changes nothing.
pub fn command(kiln: &Path, program: &OsStr) -> Command {
    let mut command = Command::new(kiln);
    command.args(["guard", "--"]).arg(program).stdin(Stdio::piped());
    command
}

/// Runs the program to its end, and gives its exit code; 128 + n if signal n ended it.
///
/// # Errors
/// The program cannot be started or waited for.
pub async fn run(args: &Args) -> io::Result<ExitCode> {
    let stop = asked_to_stop()?;
    adopt_orphans();
    let mut child = Command::new(&args.command[0])
        .args(&args.command[1..])
        .stdin(Stdio::null())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()?;
    let group = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
    let status = tokio::select! {
        status = child.wait() => status?,
        () = stop => end(&mut child, group, Duration::from_millis(args.grace_ms)).await?,
    };
    send(group, Signal::KILL);
    sweep().await;
    Ok(exit_code(status))
}

async fn end(child: &mut Child, group: Option<Pid>, grace: Duration) -> io::Result<ExitStatus> {
    send(group, Signal::TERM);
    if let Ok(status) = tokio::time::timeout(grace, child.wait()).await {
        return status;
    }
    send(group, Signal::KILL);
    child.wait().await
}

/// A group that is gone needs no signal.
fn send(group: Option<Pid>, signal: Signal) {
    if let Some(group) = group {
        let _ = rustix::process::kill_process_group(group, signal);
    }
}

fn exit_code(status: ExitStatus) -> ExitCode {
    let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
    ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX))
}

/// Standard input at its end, or `SIGTERM`. Ctrl-C at a terminal reaches the parent too, which decides in which order
/// its programs end: so the guard takes no notice of it.
fn asked_to_stop() -> io::Result<impl Future<Output = ()>> {
    let (closed, parent_gone) = oneshot::channel::<()>();
    std::thread::Builder::new().name("stdin".into()).spawn(move || {
        let mut bytes = [0; 64];
        while io::stdin().read(&mut bytes).is_ok_and(|length| length > 0) {}
        drop(closed);
    })?;
    let mut terminated = signal(SignalKind::terminate())?;
    let ignored = (signal(SignalKind::interrupt())?, signal(SignalKind::hangup())?);
    Ok(async move {
        let _ignored = ignored;
        tokio::select! {
            _ = parent_gone => (),
            _ = terminated.recv() => (),
        }
    })
}

#[cfg(target_os = "linux")]
fn adopt_orphans() {
    let _ = rustix::process::set_child_subreaper(Some(rustix::process::getpid()));
}

/// Ends what the program left behind, generation after generation: the children of a killed orphan become ours in turn.
#[cfg(target_os = "linux")]
async fn sweep() {
    let all = async {
        let mut ticks = tokio::time::interval(Duration::from_millis(5));
        while has_children() {
            for child in children() {
                let _ = rustix::process::kill_process(child, Signal::KILL);
            }
            ticks.tick().await;
        }
    };
    let _ = tokio::time::timeout(SWEEP, all).await;
}

/// Also takes the exit status of those that ended.
#[cfg(target_os = "linux")]
fn has_children() -> bool {
    use rustix::process::{WaitOptions, wait};
    while let Ok(Some(_)) = wait(WaitOptions::NOHANG) {}
    wait(WaitOptions::NOHANG).is_ok()
}

/// From `/proc/*/stat`: not every kernel lists a process's children.
#[cfg(target_os = "linux")]
fn children() -> Vec<Pid> {
    let own = std::process::id().to_string();
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let ids = processes.filter_map(|process| {
        let stat = std::fs::read_to_string(process.path().join("stat")).ok()?;
        let (head, tail) = stat.rsplit_once(") ")?;
        let parent = tail.split(' ').nth(1)?;
        head.split(' ').next()?.parse().ok().filter(|_| parent == own)
    });
    ids.filter_map(Pid::from_raw).collect()
}

#[cfg(not(target_os = "linux"))]
fn adopt_orphans() {}

#[cfg(not(target_os = "linux"))]
async fn sweep() {}
