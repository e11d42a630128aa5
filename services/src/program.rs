//! Runs one program to its end: its output line by line, the tail of its complaints, and its death when asked to stop.

use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio_util::sync::CancellationToken;

/// How long a program may take to end by itself once it is asked to.
const GRACE: Duration = Duration::from_millis(700);
/// How much of its complaints is kept, from the end.
const TAIL_BYTES: usize = 4096;
/// How much of them is told.
const COMPLAINT_BYTES: usize = 400;

/// Why a program did not do its work.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It could not be started.
    #[error("`{0}` cannot be started")]
    Start(String, #[source] io::Error),
    /// We were asked to stop, and stopped it.
    #[error("stopped")]
    Stopped,
    /// It ended with an error, or was killed.
    #[error("{complaint}")]
    Failed {
        /// Its exit code; none if a signal ended it.
        code: Option<i32>,
        /// The end of its standard error, without addresses and folders.
        complaint: String,
    },
}

/// Runs `command` in a process group of its own; `on_line` gets each line of its standard output.
///
/// When it ends, when `stop` is cancelled, or when the returned future is dropped, nothing of the group is left.
pub async fn run(mut command: Command, on_line: impl FnMut(&str), stop: &CancellationToken) -> Result<(), Error> {
    let name = command.as_std().get_program().to_string_lossy().into_owned();
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0).kill_on_drop(true);
    let mut child = command.spawn().map_err(|error| Error::Start(without_folders(&name), error))?;
    let group = Group::of(&child);
    let (output, errors) = (child.stdout.take(), child.stderr.take());
    let ended = async {
        let ended = child.wait().await;
        group.signal(Signal::KILL);
        ended
    };
    let done = tokio::select! {
        (ended, (), tail) = async { tokio::join!(ended, lines(output, on_line), tail(errors)) } => Some((ended, tail)),
        () = stop.cancelled() => None,
    };
    match done {
        Some((ended, tail)) => judge(ended.map_err(|error| Error::Start(without_folders(&name), error))?, &tail),
        None => Err(end(child, &group).await),
    }
}

fn judge(status: ExitStatus, tail: &str) -> Result<(), Error> {
    if status.success() {
        return Ok(());
    }
    let complaint = match complaint(tail) {
        text if text.is_empty() => format!("it ended without a word ({status})"),
        text => text,
    };
    Err(Error::Failed { code: status.code(), complaint })
}

async fn end(mut child: Child, group: &Group) -> Error {
    group.signal(Signal::TERM);
    // Whatever is left after that is killed with the group.
    let _ = tokio::time::timeout(GRACE, child.wait()).await;
    Error::Stopped
}

/// A process group, killed with this value.
struct Group(Option<Pid>);

impl Group {
    fn of(child: &Child) -> Self {
        Self(child.id().and_then(|id| Pid::from_raw(id.cast_signed())))
    }

    /// A group that is gone already needs no signal.
    fn signal(&self, signal: Signal) {
        if let Some(group) = self.0 {
            let _ = kill_process_group(group, signal);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}

async fn lines(output: Option<impl AsyncRead + Unpin>, mut on_line: impl FnMut(&str)) {
    let Some(output) = output else { return };
    let mut reader = BufReader::new(output);
    let mut line = Vec::new();
    while matches!(reader.read_until(b'\n', &mut line).await, Ok(1..)) {
        on_line(String::from_utf8_lossy(&line).trim_end());
        line.clear();
    }
}

/// The last [`TAIL_BYTES`] or a little more.
async fn tail(errors: Option<impl AsyncRead + Unpin>) -> String {
    let Some(mut errors) = errors else { return String::new() };
    let (mut tail, mut part) = (Vec::new(), [0; 1024]);
    while let Ok(read @ 1..) = errors.read(&mut part).await {
        tail.extend_from_slice(&part[..read]);
        tail.drain(..tail.len().saturating_sub(TAIL_BYTES));
    }
    String::from_utf8_lossy(&tail).into_owned()
}

/// The last three lines that say something, as one, without what only this machine knows.
fn complaint(tail: &str) -> String {
    let lines: Vec<&str> = tail.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let last = &lines[lines.len().saturating_sub(3)..];
    events::clean(&last.iter().map(|line| without_folders(line)).collect::<Vec<_>>().join("; "), COMPLAINT_BYTES)
}

/// Paths become file names, and addresses `(address)`.
fn without_folders(line: &str) -> String {
    let word = |word: &str| match word {
        _ if word.contains("://") => "(address)".to_owned(),
        _ if word.starts_with("0x") || word.contains("@0x") => String::new(),
        _ => word.rsplit('/').next().unwrap_or_default().to_owned(),
    };
    line.split_whitespace().map(word).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::{Error, complaint, run};
    use rustix::process::{Pid, test_kill_process};
    use tokio::process::Command;
    use tokio_util::sync::CancellationToken;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn complaints_tell_no_folders_and_no_addresses() {
        let tail = "one\n\n[in#0 @ 0x55] /tmp/x/audio.wav: broken\nGET https://u:p@host/a?X-Amz-Signature=1 failed\n";
        assert_eq!(complaint(tail), "one; [in#0 @  audio.wav: broken; GET (address) failed");
        assert!(complaint(&"é ".repeat(9000)).len() <= 400);
    }

    #[tokio::test]
    async fn lines_arrive_and_a_failure_tells_its_last_words() {
        let mut seen = Vec::new();
        let script = shell("echo one; printf two; echo bad luck >&2; exit 3");
        let ended = run(script, |line| seen.push(line.to_owned()), &CancellationToken::new()).await;
        assert_eq!(seen, ["one", "two"]);
        assert!(matches!(ended, Err(Error::Failed { code: Some(3), complaint }) if complaint == "bad luck"));
    }

    #[tokio::test]
    async fn a_stop_ends_the_whole_group_within_a_second() {
        let stop = CancellationToken::new();
        let begun = tokio::time::Instant::now();
        let stubborn = shell("trap '' TERM; sh -c \"trap '' TERM; echo $$; sleep 60\" & wait; sleep 60");
        let mut grandchild = 0;
        let told = |line: &str| {
            grandchild = line.parse().unwrap_or_default();
            stop.cancel();
        };
        assert!(matches!(run(stubborn, told, &stop).await, Err(Error::Stopped)));
        assert!(begun.elapsed().as_millis() < 1000);
        let grandchild = Pid::from_raw(grandchild).expect("it printed its id");
        let gone = async {
            while !is_dead(grandchild) {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(5), gone).await.expect("it is killed with its group");
    }

    /// A process that was killed but not yet collected is dead as well.
    fn is_dead(pid: Pid) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).unwrap_or_default();
        test_kill_process(pid).is_err() || stat.contains(") Z ")
    }
}
