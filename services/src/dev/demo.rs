//! `kiln demo`: the whole line once, in a private world, from a file of audio to a video beside you.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use events::wire::client::{Poll, RenderRequest};
use events::{JobId, Mode, OutputFormat, Secret, Status};
use serde::de::{DeserializeOwned, IntoDeserializer};
use tokio_util::sync::CancellationToken;

use super::music;
use super::world::{Options, World};
use crate::bar::Bar;
use crate::client::kiln::Client;
use crate::probe;

/// Length of the piece that the demo plays by itself.
const MUSIC_SECONDS: f32 = 20.0;
/// Between two polls.
const POLL_EVERY: Duration = Duration::from_millis(200);

/// Settings of `kiln demo`.
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    /// A file of audio; without it, 20 seconds of music that this program makes itself
    audio: Option<PathBuf>,
    /// Where the video goes
    #[arg(long, short, default_value = "demo.mp4")]
    output: PathBuf,
    /// Shape and size of the video, such as flat-1080p-square
    #[arg(long, default_value = "flat-1080p-landscape", value_parser = word::<OutputFormat>)]
    format: OutputFormat,
    /// The look: flame or mist
    #[arg(long, default_value = "flame", value_parser = word::<Mode>)]
    mode: Mode,
    /// Frames per second: 30 or 60
    #[arg(long, default_value_t = 30)]
    fps: u32,
}

/// Reads a word as the wire spells it.
fn word<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    T::deserialize(text.into_deserializer()).map_err(|error: serde::de::value::Error| error.to_string())
}

/// Runs the demo. Success means that the file is a playable mp4 as long as the audio.
#[expect(clippy::print_stderr, reason = "people read it")]
pub async fn run(args: &Args, stop: CancellationToken) -> anyhow::Result<ExitCode> {
    let folder = tempfile::Builder::new().prefix("kiln-demo-").tempdir()?;
    let options = Options::new(folder.path(), &|line| eprintln!("{line}"))?;
    let ffmpeg = options.ffmpeg.clone();
    let audio = match &args.audio {
        Some(file) => file.clone(),
        None => compose(folder.path())?,
    };
    let seconds = probe::audio_seconds(&ffmpeg, &audio).await?;
    let world = World::start(options).await?;
    let done = tokio::select! {
        done = film(&world, args, &audio) => done,
        () = stop.cancelled() => Err(anyhow::anyhow!("interrupted; nothing is kept")),
    };
    world.stop().await;
    let job = done?;
    verify(&ffmpeg, &args.output, seconds).await?;
    tell(&ffmpeg, &args.output, &job).await
}

fn compose(folder: &Path) -> anyhow::Result<PathBuf> {
    let file = folder.join("music.wav");
    std::fs::write(&file, music::wav(MUSIC_SECONDS)).context("cannot write the music")?;
    Ok(file)
}

/// What is left to tell once the world is gone.
struct Told {
    id: JobId,
    timeline: Vec<String>,
}

/// Submit, watch, download.
async fn film(world: &World, args: &Args, audio: &Path) -> anyhow::Result<Told> {
    let client = Client::new(&world.addresses.api);
    let bar = Bar::new();
    let request = RenderRequest {
        output_format: Some(args.format),
        mode: Some(args.mode),
        fps: Some(args.fps),
        ..RenderRequest::default()
    };
    let uploading = bar.clone();
    let accepted = client.submit(audio, &request, move |part| uploading.show("uploading", part * 5.0)).await?;
    let url = watch(&client, accepted.job_id, &bar).await?;
    client.download(&url, &args.output, |part| bar.show("downloading", 98.0 + part * 2.0)).await?;
    bar.finish();
    Ok(Told { id: accepted.job_id, timeline: timeline(&client, accepted.job_id).await? })
}

/// Polls until the end; the address of the video.
async fn watch(client: &Client, id: JobId, bar: &Bar) -> anyhow::Result<Secret> {
    loop {
        let Poll { status, progress, stage, waiting_for, error, download_url, .. } = client.poll(id).await?;
        match status {
            Status::Pending | Status::Processing => {
                let waiting =
                    || waiting_for.map_or("queued".into(), |reason| format!("waiting for {reason:?}").to_lowercase());
                bar.show(&stage.unwrap_or_else(waiting), 5.0 + f32::from(progress) * 0.93);
            }
            Status::Complete => return download_url.context("the job is complete, but no address could be signed"),
            Status::Failed => {
                let failure = error.map_or_else(|| "no reason is known".into(), |failure| failure.message);
                bail!("the render failed: {failure}");
            }
            Status::Cancelled => bail!("the render was cancelled"),
        }
        tokio::time::sleep(POLL_EVERY).await;
    }
}

/// Each event with its time since the request.
async fn timeline(client: &Client, id: JobId) -> anyhow::Result<Vec<String>> {
    let events = client.history(id).await?.events;
    let first = events.first().map(|event| event.time).unwrap_or_default();
    let line = |event: &events::wire::client::HistoryEvent| {
        let attempt = event.attempt.map_or_else(String::new, |attempt| format!(".{attempt}"));
        format!("{:>8.3} s  {}{attempt}", event.time.since(first).as_secs_f64(), event.event)
    };
    Ok(events.iter().map(line).collect())
}

async fn verify(ffmpeg: &Path, file: &Path, seconds: f64) -> anyhow::Result<()> {
    probe::check_playable(ffmpeg, file, seconds)
        .await
        .with_context(|| format!("{} is not what it should be", file.display()))
}

#[expect(clippy::print_stdout, reason = "people read it")]
async fn tell(ffmpeg: &Path, file: &Path, told: &Told) -> anyhow::Result<ExitCode> {
    println!("\njob {}", told.id);
    for line in &told.timeline {
        println!("  {line}");
    }
    println!("\n{}", file.display());
    for line in probe::probe(ffmpeg, file).await?.to_string().lines() {
        println!("  {line}");
    }
    Ok(ExitCode::SUCCESS)
}
