//! `kiln download`: videos on their way to files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ::events::{JobId, Status};
use serde_json::json;

use super::board::{Board, Worst};
use super::error::Error;
use super::job::Job;
use super::{Common, words};
use crate::bar::Bar;
use crate::client::kiln::Downloaded;

/// Settings of `kiln download`.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  kiln download 0193a5c0-7c1e-7b3a-9d52-1f0c8a7be001
  kiln download 1f0c8a7be001 -o song.mp4     the end of an id will do
  kiln download $(kiln list --status complete --json | jq -r '.jobs[].jobId') -o videos/

A file is there when it is whole, and its size and SHA-256 are what the render said; until then it is called `….part`,
and the same command goes on from there.")]
pub(crate) struct Args {
    /// The jobs
    #[arg(required = true, value_name = "JOB")]
    jobs: Vec<Job>,
    /// Where the video goes; a folder (needed for several jobs) gets one named after each
    #[arg(long, short, value_name = "FILE|FOLDER")]
    output: Option<PathBuf>,
    /// Replace files that are there
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    common: Common,
}

/// Fetches them one after another.
pub(super) async fn run(args: &Args) -> Result<(), Error> {
    let board = Board::new(args.common.client()?, args.common.out());
    let mut wanted = Vec::new();
    for job in &args.jobs {
        let poll = board.client.poll(job.find(&board.client).await?).await?;
        wanted.push((poll.job_id, words::name(&poll).unwrap_or_else(|| poll.job_id.to_string()), poll));
    }
    let names: Vec<_> = wanted.iter().map(|(_, name, _)| name.as_str()).collect();
    let places = places(Some(args.output.as_deref().unwrap_or(Path::new("."))), &names, args.force)?;
    let mut worst = Worst::none();
    for ((job, name, poll), place) in wanted.iter().zip(places) {
        let bar = board.bar(name, names.iter().copied());
        let done = match (poll.status, place) {
            (Status::Complete, Some(place)) => fetch(&board, *job, &place, &bar).await,
            _ => Err(missing(name, *job, poll.status)),
        };
        bar.clear();
        worst.add(done.and_then(|fetched| board.say(&format!("{name}: {} {fetched}", words::doing(poll)))))?;
    }
    worst.result()
}

fn missing(name: &str, job: JobId, status: Status) -> Error {
    match status {
        Status::Pending | Status::Processing => Error::Refused(format!(
            "{name} has no video yet, it is `{status}`: `kiln watch {job}` follows it to the end"
        )),
        _ => Error::Ended(format!("{name} has no video, it is `{status}`: `kiln explain {job}` tells why")),
    }
}

/// Where a video goes.
pub(super) struct Place(PathBuf);

/// A place for the video of each of these names, if there is to be one. What is in the way is found before anything
/// begins.
pub(super) fn places(output: Option<&Path>, names: &[&str], force: bool) -> Result<Vec<Option<Place>>, Error> {
    let Some(output) = output else { return Ok(names.iter().map(|_| None).collect()) };
    let is_folder = output.is_dir() || output.to_string_lossy().ends_with('/');
    if !is_folder && names.len() > 1 {
        let output = output.display();
        return Err(Error::Usage(format!("several videos need a folder: `-o {output}/`")));
    }
    let folder = if output == Path::new(".") { Path::new("") } else { output };
    let in_folder = |name: &&str| folder.join(Path::new(name).with_extension("mp4"));
    let paths: Vec<_> = if is_folder { names.iter().map(in_folder).collect() } else { vec![output.to_owned()] };
    let mut taken = BTreeMap::new();
    for (path, name) in paths.iter().zip(names) {
        let shown = path.display();
        if let Some(other) = taken.insert(path, name) {
            return Err(Error::Usage(format!(
                "`{other}` and `{name}` would both become `{shown}`: fetch one by itself"
            )));
        }
        if path.exists() && !force {
            return Err(Error::File(format!("`{shown}` is there already: choose another name, or --force")));
        }
        if path.is_dir() {
            return Err(Error::File(format!("`{shown}` is a folder")));
        }
    }
    if is_folder {
        let failed = |error| Error::File(format!("cannot make the folder `{}`: {error}", output.display()));
        std::fs::create_dir_all(output).map_err(failed)?;
    }
    Ok(paths.into_iter().map(|path| Some(Place(path))).collect())
}

/// Fetches a video, and says what was done.
pub(super) async fn fetch(board: &Board, job: JobId, place: &Place, bar: &Bar) -> Result<String, Error> {
    bar.restart();
    let shown = bar.clone();
    let on_progress = move |part: crate::client::kiln::Portion| {
        let more = format!(", {} of {}", words::size(part.done), words::size(part.total));
        shown.show_more("downloading", &more, part.fraction() * 100.0);
    };
    let done = board.client.download(job, &place.0, on_progress).await?;
    let Downloaded { size_bytes, resumed_bytes, is_verified } = done;
    bar.clear();
    board.out.json(&json!({
        "jobId": job, "output": place.0, "sizeBytes": size_bytes, "resumedBytes": resumed_bytes, "isVerified": is_verified,
    }))?;
    let resumed = (resumed_bytes > 0).then(|| format!(" ({} of it were there)", words::size(resumed_bytes)));
    let unverified = (!is_verified).then_some(" (the render told no SHA-256 to check)");
    Ok(format!("→ {}{}{}", place.0.display(), resumed.unwrap_or_default(), unverified.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_chosen_before_anything_begins() {
        let folder = tempfile::tempdir().expect("a folder");
        let there = folder.path().join("there.mp4");
        std::fs::write(&there, "x").expect("written");
        let (inside, new) = (folder.path(), folder.path().join("new/"));
        let file = folder.path().join("film.mp4");
        let chosen = |output: &Path, names: &[&str], force| {
            let places = places(Some(output), names, force).map_err(|error| error.code())?;
            let name = |place: Place| place.0.strip_prefix(inside).expect("inside").display().to_string();
            Ok::<_, u8>(places.into_iter().flatten().map(name).collect::<Vec<_>>().join(" "))
        };
        assert_eq!(chosen(&file, &["a.wav"], false).as_deref(), Ok("film.mp4"));
        assert_eq!(chosen(inside, &["a.wav", "b.c.flac"], false).as_deref(), Ok("a.mp4 b.c.mp4"));
        assert_eq!(chosen(&new, &["a.wav"], false).as_deref(), Ok("new/a.mp4"));
        assert!(new.is_dir());
        assert_eq!(chosen(&file, &["a.wav", "b.wav"], false), Err(2), "several into one file");
        assert_eq!(chosen(inside, &["a.wav", "a.flac"], false), Err(2), "two of one name");
        assert_eq!(chosen(&there, &["a.wav"], false), Err(7), "there already");
        assert_eq!(chosen(&there, &["a.wav"], true).as_deref(), Ok("there.mp4"));
        assert!(places(None, &["a"], false).is_ok_and(|places| matches!(places.as_slice(), [None])));
    }
}
