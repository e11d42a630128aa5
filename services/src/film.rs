//! Music into pictures: `kiln render`'s own work, done by ffmpeg.
//!
//! Two looks (`film/flame.rs`, `film/mist.rs`), drawn as ffmpeg filter graphs on the spectrum and the waveform. Whoever has a renderer of
//! their own names it in `KILN_RENDER_COMMAND` (`film/own.rs`).

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use events::{Mode, RenderConfig};
use tokio_util::sync::CancellationToken;

use crate::probe::{self, address};
use crate::program;

mod canvas;
mod encoder;
mod filters;
mod flame;
mod mist;
mod own;
pub mod settings;
mod sound;
mod sphere;

use canvas::Canvas;
use encoder::Encoder;
use settings::Settings;
use sound::Sound;

/// ffmpeg's exit codes where a file could not grow: the error's number, counted down from 256.
const NO_SPACE: [i32; 2] = [256 - 28, 256 - 27];
/// How much of the work is done when every frame is encoded; the rest is moving `moov` to the front.
const ENCODED: f32 = 0.97;

/// What was rendered.
#[derive(Debug, Clone, PartialEq)]
pub struct Film {
    /// The length of the music.
    pub duration_seconds: f64,
    /// In pixels.
    pub width: u32,
    /// In pixels.
    pub height: u32,
    /// Of the file.
    pub size_bytes: u64,
    /// ffmpeg's encoder (`libx264`, `hevc_nvenc`, …), or the name of one's own renderer.
    pub encoder: String,
}

/// Why there is no film.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// We were asked to stop.
    #[error("stopped")]
    Stopped,
    /// The settings: the user's to correct.
    #[error(transparent)]
    Settings(#[from] settings::Error),
    /// The audio is no sound that can be read: the user's to correct.
    #[error("the audio cannot be read as sound")]
    Audio,
    /// The renderer, or what it made; in words for the user.
    #[error("{0}")]
    Failed(String),
    /// The disk, or a program that cannot be started.
    #[error("a file cannot be read or written")]
    Disk(#[source] std::io::Error),
}

impl From<program::Error> for Error {
    fn from(error: program::Error) -> Self {
        match error {
            program::Error::Stopped => Self::Stopped,
            program::Error::Start(_, error) => Self::Disk(error),
            program::Error::Failed { complaint, .. } => Self::Failed(complaint),
        }
    }
}

/// What an end of ffmpeg means: a full disk has exit codes of its own in newer versions; older ones exit with 1.
fn of_ffmpeg(error: program::Error) -> Error {
    match error {
        program::Error::Failed { code: Some(code), .. } if NO_SPACE.contains(&code) => {
            Error::Disk(std::io::ErrorKind::StorageFull.into())
        }
        error => error.into(),
    }
}

impl From<probe::Error> for Error {
    fn from(error: probe::Error) -> Self {
        match error {
            probe::Error::Ffmpeg(error) => error.into(),
            probe::Error::Open(_, error) => Self::Disk(error),
            error => Self::Failed(error.to_string()),
        }
    }
}

impl From<sound::Error> for Error {
    fn from(error: sound::Error) -> Self {
        match error {
            sound::Error::Unreadable => Self::Audio,
            sound::Error::Open(error) => Self::Disk(error),
            sound::Error::Probe(error) => error.into(),
        }
    }
}

/// Renders `audio` to `output`, an MP4 file as long as the music. `on_progress` gets 0 to 1, never falling.
///
/// `KILN_RENDER_COMMAND`, if set, is called instead of the built-in pictures. Nothing is left at `output` unless it succeeds.
pub async fn render(
    ffmpeg: &Path,
    config: &RenderConfig,
    audio: &Path,
    output: &Path,
    on_progress: impl FnMut(f32),
    stop: &CancellationToken,
) -> Result<Film, Error> {
    let command = std::env::var_os("KILN_RENDER_COMMAND").filter(|command| !command.is_empty());
    render_with(command.as_deref(), &Job { ffmpeg, config, audio, output }, on_progress, stop).await
}

/// What to render, with what, and where to.
pub(crate) struct Job<'a> {
    pub(crate) ffmpeg: &'a Path,
    pub(crate) config: &'a RenderConfig,
    pub(crate) audio: &'a Path,
    pub(crate) output: &'a Path,
}

async fn render_with(
    command: Option<&OsStr>,
    job: &Job<'_>,
    on_progress: impl FnMut(f32),
    stop: &CancellationToken,
) -> Result<Film, Error> {
    let draft = Draft::of(job.output);
    let sound = unless(stop, async { Ok(Sound::listen(job.ffmpeg, job.audio).await?) }).await?;
    let on_progress = rising(on_progress);
    let encoder = match command {
        Some(command) => own::render(command, job, &draft.0, on_progress, stop).await?,
        None => draw(job, &sound, &draft.0, on_progress, stop).await?.to_owned(),
    };
    unless(stop, finish(job, &draft.0, sound.seconds, encoder)).await
}

/// `work`, which is dropped, and with it what it runs, when it is to stop.
async fn unless<T>(stop: &CancellationToken, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    tokio::select! {
        done = work => done,
        () = stop.cancelled() => Err(Error::Stopped),
    }
}

/// The built-in picture; the name of its encoder.
async fn draw(
    job: &Job<'_>,
    sound: &Sound<'_>,
    draft: &Path,
    mut on_progress: impl FnMut(f32),
    stop: &CancellationToken,
) -> Result<&'static str, Error> {
    let Job { ffmpeg, config, .. } = job;
    let settings = Settings::parse(&config.render_settings, config.mode)?;
    let (format, fps) = (config.output_format, config.fps);
    let encoder = encoder::choose(ffmpeg, format.size(), fps, stop).await?;
    let command = encode(job, sound, &settings, encoder, draft);
    program::run(
        command,
        |line| progress(line, sound.seconds).into_iter().for_each(|done| on_progress(done * ENCODED)),
        stop,
    )
    .await
    .map_err(of_ffmpeg)?;
    if format.is_spherical() {
        mark(ffmpeg, draft, format.is_stereo(), stop).await?;
    }
    Ok(encoder.name)
}

fn encode(
    job: &Job<'_>,
    sound: &Sound<'_>,
    settings: &Settings,
    encoder: Encoder,
    draft: &Path,
) -> tokio::process::Command {
    let RenderConfig { output_format: format, fps, mode, .. } = job.config;
    let mut command = probe::command(job.ffmpeg);
    command.args(["-y", "-progress", "pipe:1", "-stats_period", "0.5"]);
    sound.name(&mut command);
    command.arg("-filter_complex").arg(graph(*mode, &Canvas::new(*format, *fps), settings, format.size()));
    command.args(["-map", "[video]", "-map", "0:a:0", "-map_metadata", "-1", "-map_chapters", "-1"]);
    command
        .args(["-frames:v", &sound.frames(*fps).to_string(), "-g", &(fps * 2).to_string()])
        .args(encoder.arguments());
    command.args(["-color_primaries", "bt709", "-color_trc", "bt709", "-colorspace", "bt709", "-color_range", "tv"]);
    command.args(["-c:a", "aac", "-b:a", "192k", "-ar", "48000", "-ac", "2"]);
    if !format.is_spherical() {
        command.args(["-movflags", "+faststart"]);
    }
    command.args(["-f", "mp4"]).arg(address(draft));
    command
}

fn graph(mode: Mode, canvas: &Canvas, settings: &Settings, (width, height): (u32, u32)) -> String {
    let picture = match mode {
        Mode::Flame => flame::graph(canvas, settings),
        Mode::Mist => mist::graph(canvas, settings),
    };
    format!("{picture};{}", filters::finish(canvas, settings, filters::Size(width, height)))
}

/// The share of the work that a line of ffmpeg's `-progress` tells.
fn progress(line: &str, seconds: f64) -> Option<f32> {
    let microseconds: f64 = line.strip_prefix("out_time_us=")?.trim().parse().ok()?;
    #[expect(clippy::cast_possible_truncation, reason = "a share")]
    Some((microseconds / 1e6 / seconds).clamp(0.0, 1.0) as f32)
}

/// Passes on what is more than before.
fn rising(mut on_progress: impl FnMut(f32)) -> impl FnMut(f32) {
    let mut highest = 0.0;
    move |done: f32| {
        if done > highest {
            highest = done.min(1.0);
            on_progress(highest);
        }
    }
}

/// Tells players that it is a sphere, and puts `moov` to the front.
async fn mark(ffmpeg: &Path, draft: &Path, is_stereo: bool, stop: &CancellationToken) -> Result<(), Error> {
    let marked = Draft::of(draft);
    let file = draft.to_owned();
    let written = tokio::task::spawn_blocking(move || sphere::mark(&file, is_stereo)).await;
    written.map_err(std::io::Error::other).flatten().map_err(Error::Disk)?;
    let mut copy = probe::command(ffmpeg);
    copy.args(["-y", "-f", "mov", "-i"]).arg(address(draft)).args(["-map", "0", "-c", "copy", "-strict", "unofficial"]);
    copy.args(["-movflags", "+faststart", "-f", "mp4"]).arg(address(&marked.0));
    program::run(copy, |_| (), stop).await.map_err(of_ffmpeg)?;
    tokio::fs::rename(&marked.0, draft).await.map_err(Error::Disk)
}

/// Looks whether it is a film of that length, and only then gives it its name.
async fn finish(job: &Job<'_>, draft: &Path, seconds: f64, encoder: String) -> Result<Film, Error> {
    let probe = probe::probe(job.ffmpeg, draft).await?;
    probe
        .check_length(seconds)
        .map_err(|problem| Error::Failed(format!("the video is not as it should be: {problem}")))?;
    let (width, height) = probe.video.map_or((0, 0), |video| (video.width, video.height));
    let size_bytes = tokio::fs::metadata(draft).await.map_err(Error::Disk)?.len();
    tokio::fs::rename(draft, job.output).await.map_err(Error::Disk)?;
    Ok(Film { duration_seconds: seconds, width, height, size_bytes, encoder })
}

/// A file next to the one that it will become; removed with this value if it is still there.
struct Draft(PathBuf);

impl Draft {
    fn of(output: &Path) -> Self {
        let mut name = output.file_name().unwrap_or_default().to_owned();
        name.push(".part");
        Self(output.with_file_name(name))
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[cfg(test)]
mod tests;
