//! Stand-in until the real module is here: only `KILN_RENDER_COMMAND`, called as `COMMAND CONFIG AUDIO OUTPUT`.

use std::path::Path;
use std::process::Stdio;

use events::RenderConfig;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio_util::sync::CancellationToken;

/// What was rendered.
#[derive(Debug, Clone)]
pub struct Film {
    /// Its length.
    pub duration_seconds: f64,
}

/// Why there is no film.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Asked to.
    #[error("stopped")]
    Stopped,
    /// The audio.
    #[error("the audio cannot be read")]
    Audio,
    /// The renderer.
    #[error("the renderer failed: {0}")]
    Failed(String),
}

/// Renders.
///
/// # Errors
/// See [`Error`].
pub async fn render(
    _ffmpeg: &Path,
    config: &RenderConfig,
    audio: &Path,
    output: &Path,
    mut on_progress: impl FnMut(f32),
    stop: &CancellationToken,
) -> Result<Film, Error> {
    let failed = |error: &dyn std::fmt::Display| Error::Failed(error.to_string());
    let command = std::env::var_os("KILN_RENDER_COMMAND").ok_or(Error::Failed("no renderer".into()))?;
    let mut child = tokio::process::Command::new(command)
        .arg(serde_json::to_string(config).map_err(|e| failed(&e))?)
        .args([audio, output])
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .process_group(0)
        .spawn()
        .map_err(|e| failed(&e))?;
    let group = child.id().and_then(|id| rustix::process::Pid::from_raw(id.cast_signed()));
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    loop {
        tokio::select! {
            () = stop.cancelled() => {
                if let Some(group) = group { let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL); }
                let _ = child.wait().await;
                return Err(Error::Stopped);
            }
            line = lines.next_line() => match line {
                Ok(Some(line)) => if let Some(value) = line.strip_prefix("progress=").and_then(|v| v.parse().ok()) { on_progress(value) },
                _ => break,
            }
        }
    }
    let status = child.wait().await.map_err(|e| failed(&e))?;
    if status.code() == Some(3) {
        return Err(Error::Audio);
    }
    if status.success() { Ok(Film { duration_seconds: 1.0 }) } else { Err(Error::Failed(status.to_string())) }
}
