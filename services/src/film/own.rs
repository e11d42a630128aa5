//! A renderer of one's own, in the place of the built-in pictures.
//!
//! `KILN_RENDER_COMMAND` is split at white space (no quotes, no shell) into a program and its first arguments. It is called as
//!
//! ```text
//! PROGRAM [ARGUMENT…] CONFIG AUDIO OUTPUT
//! ```
//!
//! with three paths: the config as a JSON file (`{"version": 1, "outputFormat": …}`), the audio, and where the MP4 file is to be
//! written. A line `progress 0.42` on its standard output moves the job's progress. Exit code 0 means that the video is there, 3 that the audio
//! cannot be read, anything else a failure, told with the end of its standard error. It is stopped with SIGTERM, and killed 0.7 s later.

use std::ffi::OsStr;
use std::path::Path;

use tokio::process::Command;
use tokio_util::sync::CancellationToken;

use super::{Draft, Error, Job};
use crate::program;

/// The exit code that blames the audio.
const UNREADABLE: i32 = 3;

/// Runs it; its name.
pub(super) async fn render(
    command: &OsStr,
    job: &Job<'_>,
    draft: &Path,
    mut on_progress: impl FnMut(f32),
    stop: &CancellationToken,
) -> Result<String, Error> {
    let text = command.to_string_lossy();
    let mut words = text.split_whitespace();
    let program = words.next().ok_or_else(|| Error::Failed("`KILN_RENDER_COMMAND` names no program".into()))?;
    let config = Draft(job.output.with_extension("config.json"));
    let json = serde_json::to_vec(job.config).map_err(|error| Error::Disk(error.into()))?;
    tokio::fs::write(&config.0, json).await.map_err(Error::Disk)?;
    let mut call = Command::new(program);
    call.args(words).args([&config.0, job.audio, draft]);
    let ended = program::run(call, |line| progress(line).into_iter().for_each(&mut on_progress), stop).await;
    match ended {
        Ok(()) => Ok(Path::new(program).file_name().unwrap_or_default().to_string_lossy().into_owned()),
        Err(program::Error::Failed { code: Some(UNREADABLE), .. }) => Err(Error::Audio),
        Err(error) => Err(error.into()),
    }
}

fn progress(line: &str) -> Option<f32> {
    line.strip_prefix("progress ")?.trim().parse().ok().filter(|done| (0.0..=1.0).contains(done))
}
