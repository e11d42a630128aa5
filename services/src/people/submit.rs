//! `kiln submit`: files in, jobs out; and, where that is wanted, videos.

mod audio;
mod settings;

use std::path::PathBuf;

use ::events::wire::client::{DryRun, RenderRequest};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::board::{Board, ending, patiently};
use super::download::{Place, fetch, places};
use super::error::Error;
use super::{Common, EXIT_CODES, words};
use crate::bar::Bar;
use crate::client::kiln::{Portion, Submission};
use crate::clock;
use audio::Audio;
use settings::Order;

/// Files that are sent at once.
const AT_ONCE: usize = 3;

/// Settings of `kiln submit`.
#[derive(clap::Args, Debug)]
#[command(after_help = format!("\
Examples:
  kiln submit song.flac -o song.mp4          send it, wait, and fetch the video
  kiln submit *.flac --watch -o videos/      many files, each with a bar
  id=$(kiln submit song.flac)                only the job's id; `kiln watch $id` follows it
  kiln submit song.flac --mode mist --settings '{{\"colors\":[\"#ff8800\"]}}'
  ffmpeg -i film.mkv -f flac - | kiln submit - --filename film.flac

What is sent again after a broken connection is the same job: each file has an Idempotency-Key, made anew each time
unless you give one. Ctrl-C ends the watching, never a job that was accepted.

{EXIT_CODES}"))]
pub(crate) struct Args {
    /// Files of audio; `-` is standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    settings: Order,
    /// Name of what comes from standard input, for people
    #[arg(long, value_name = "NAME", default_value = "audio")]
    filename: String,
    /// Sent again under the same key, the same request is the same job; for one file
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
    /// Say what would be done, and do nothing
    #[arg(long, conflicts_with_all = ["watch", "output"])]
    dry_run: bool,
    /// Wait for the end
    #[arg(long, short)]
    watch: bool,
    /// Wait, and fetch the video to this file; a folder (needed for several files) gets one named after each file
    #[arg(long, short, value_name = "FILE|FOLDER")]
    output: Option<PathBuf>,
    /// Replace files that are there
    #[arg(long, requires = "output")]
    force: bool,
    #[command(flatten)]
    common: Common,
}

/// A file that becomes a job.
struct Item {
    audio: Audio,
    request: RenderRequest,
    key: String,
    place: Option<Place>,
}

/// Submits all of them; everything that can be wrong here is found before anything is sent.
pub(super) async fn run(args: &Args, stop: &CancellationToken) -> Result<(), Error> {
    let items = args.items().await?;
    let board = Board::new(args.common.client()?, args.common.out());
    board.client.ping().await?;
    let uploads = Semaphore::new(AT_ONCE);
    let names: Vec<_> = items.iter().map(|item| item.audio.name.clone()).collect();
    let one = async |item: &Item| {
        let bar = board.bar(&item.audio.name, names.iter().map(String::as_str));
        let done = args.one(&board, &uploads, item, &bar).await;
        bar.clear();
        told(&board, &item.audio.name, done)
    };
    board.each(&items, stop, one).await
}

impl Args {
    async fn items(&self) -> Result<Vec<Item>, Error> {
        if self.files.len() > 1 && self.idempotency_key.is_some() {
            return Err(Error::Usage("--idempotency-key is for one file; leave it out for several".into()));
        }
        let request = self.settings.request()?;
        let audio = Audio::open_all(&self.files, &self.filename).await?;
        let names: Vec<_> = audio.iter().map(|audio| audio.name.as_str()).collect();
        let places = places(self.output.as_deref(), &names, self.force)?;
        let key = || self.idempotency_key.clone().unwrap_or_else(clock::random_hex);
        let item = |(audio, place): (Audio, Option<Place>)| {
            let mut request = request.clone();
            let metadata = request.metadata.get_or_insert_default();
            metadata.entry("filename").or_insert_with(|| audio.name.as_str().into());
            Item { audio, request, key: key(), place }
        };
        Ok(audio.into_iter().zip(places).map(item).collect())
    }

    async fn one(&self, board: &Board, uploads: &Semaphore, item: &Item, bar: &Bar) -> Result<(), Error> {
        let name = &item.audio.name;
        let again = |text: &str| bar.note(text);
        let place = uploads.acquire().await.expect("it is never closed");
        if self.dry_run {
            let tried =
                patiently(again, async || board.client.try_submit(item.submission(), sending(bar)).await).await?;
            return told_dry(board, name, &tried);
        }
        let accepted = patiently(again, async || board.client.send(item.submission(), sending(bar)).await).await?;
        drop(place);
        board.out.json(&with_file(name, &accepted))?;
        if !self.watch && self.output.is_none() {
            bar.clear();
            board.note(&format!("{name} is accepted{}", in_queue(accepted.queue_position)));
            return board.say(&accepted.job_id.to_string());
        }
        bar.restart();
        let last = board.to_end(accepted.job_id, name, bar).await?;
        let ended = ending(name, &last)?;
        let Some(place) = &item.place else { return board.say(&format!("{ended} (job {})", accepted.job_id)) };
        let fetched = fetch(board, accepted.job_id, place, bar).await?;
        board.say(&format!("{ended} {fetched}"))
    }
}

/// How it went with one file, named where it did not go well.
fn told(board: &Board, name: &str, done: Result<(), Error>) -> Result<(), Error> {
    match done {
        Err(error @ (Error::Kiln(_) | Error::Ended(_))) => {
            board.out.json(&json!({"file": name, "error": {"message": error.sentence(), "exitCode": error.code()}}))?;
            board.fail(name, &error);
            Err(Error::Told(error.code()))
        }
        done => done,
    }
}

impl Item {
    fn submission(&self) -> Submission<'_> {
        Submission { audio: self.audio.path(), request: &self.request, idempotency_key: &self.key }
    }
}

/// What the bar shows meanwhile.
fn sending(bar: &Bar) -> impl Fn(Portion) + Send + use<> {
    bar.restart();
    let bar = bar.clone();
    move |part| {
        if part.done < part.total {
            let more = format!(", {} of {}", words::size(part.done), words::size(part.total));
            bar.show_more("uploading", &more, part.fraction() * 100.0);
        } else {
            bar.show("waiting for kiln to store it", 100.0);
        }
    }
}

fn in_queue(position: Option<u64>) -> String {
    match position {
        None => String::new(),
        Some(1) => ", the next in the queue".into(),
        Some(n) => format!(", the {} in the queue", words::ordinal(n)),
    }
}

/// What programs are told, with the file that it is about.
fn with_file(name: &str, told: &impl Serialize) -> Value {
    let mut told = serde_json::to_value(told).unwrap_or_default();
    told["file"] = name.into();
    told
}

fn told_dry(board: &Board, name: &str, tried: &DryRun) -> Result<(), Error> {
    board.out.json(&with_file(name, tried))?;
    let again = tried.job_id.map_or_else(String::new, |job| format!("; this key has given the job {job} already"));
    board.say(&format!("{name} would be rendered as {}{again}; nothing was done", words::spec(&tried.spec)))
}
