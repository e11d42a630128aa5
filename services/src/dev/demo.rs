//! `kiln demo`: the whole line once, in a private world, from a file of audio to a video beside you.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use events::wire::client::Poll;
use events::{JobId, Status};
use tokio_util::sync::CancellationToken;

use super::music;
use super::world::{Options, World};
use crate::bar::Bar;
use crate::client::kiln::Client;
use crate::people::{self, Look};
use crate::probe;
use crate::stdout::print;

/// Length of the piece that the demo plays by itself.
const MUSIC_SECONDS: f32 = 20.0;

/// Settings of `kiln demo`.
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    /// A file of audio; without it, 20 seconds of music that this program makes itself
    audio: Option<PathBuf>,
    /// Where the video goes
    #[arg(long, short, default_value = "demo.mp4")]
    output: PathBuf,
    #[command(flatten)]
    look: Look,
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
    let uploading = bar.clone();
    let accepted = client
        .submit(audio, &args.look.request(), move |part| uploading.show("uploading", part.fraction() * 5.0))
        .await?;
    let id = accepted.job_id;
    watch(&client, id, &bar).await?;
    client.download(id, &args.output, |part| bar.show("downloading", 98.0 + part.fraction() * 2.0)).await?;
    bar.finish();
    Ok(Told { id, timeline: timeline(&client, id).await? })
}

/// Follows it until the video is there.
async fn watch(client: &Client, id: JobId, bar: &Bar) -> anyhow::Result<()> {
    let on_state = |poll: &Poll| {
        bar.show(&people::doing(poll), 5.0 + f32::from(poll.progress) * 0.93);
        Ok(())
    };
    let Poll { status, error, .. } = people::to_end(client, id, on_state, |error| bar.note(&error.to_string())).await?;
    match status {
        Status::Complete => Ok(()),
        Status::Failed => {
            let failure = error.map_or_else(|| "no reason is known".into(), |failure| failure.message);
            bail!("the render failed: {failure}");
        }
        _ => bail!("the render was cancelled"),
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

async fn tell(ffmpeg: &Path, file: &Path, told: &Told) -> anyhow::Result<ExitCode> {
    print(&format!("\njob {}", told.id))?;
    for line in &told.timeline {
        print(&format!("  {line}"))?;
    }
    print(&format!("\n{}", file.display()))?;
    for line in probe::probe(ffmpeg, file).await?.to_string().lines() {
        print(&format!("  {line}"))?;
    }
    Ok(ExitCode::SUCCESS)
}
