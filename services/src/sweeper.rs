//! What nobody will ever ask for again is removed from the bucket: uploads that were never submitted, audio whose request
//! never came into the log or has aged out of it, uploads in parts that were never finished. Videos are never removed.
//!
//! Nothing that is younger than a day is touched. A request names only what lies there for less than twenty hours, and a
//! request that a client's library still holds back arrives within minutes; so what is a day old and not in the log will
//! never be. The log is asked right before each removal.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use events::spec::Audio;
use events::{AudioKey, Job, JobId, Timestamp, key};
use nats::Log;
use tokio_util::sync::CancellationToken;

use crate::bucket::{self, Bucket, Listed};
use crate::fence::{Keeper, Watch};
use crate::{clock, config, roles};

/// What is younger is left alone.
pub const AGE: Duration = Duration::from_hours(24);
/// Between two sweeps; up to a quarter more, so that workers do not sweep in step.
const EVERY: Duration = Duration::from_hours(1);
/// Pages of a thousand objects that one sweep looks at in each folder; the next one goes on from there.
const PAGES: usize = 100;
/// What stands before all that belongs to jobs.
const RENDERS: &str = "renders/";
/// What stands before all uploads.
const UPLOADS: &str = "uploads/";

/// A sweep did not get to its end; what it removed was right.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The bucket.
    #[error(transparent)]
    Bucket(#[from] bucket::Error),
    /// The log.
    #[error(transparent)]
    Log(#[from] nats::Error),
    /// The log is not the one that was written before: what it does not know may be needed all the same.
    #[error("nothing is swept while the log cannot be trusted: {0}")]
    Fenced(Arc<str>),
}

/// What a sweep found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// The keys of removed objects.
    pub objects: Vec<String>,
    /// The keys of uploads in parts that were given up.
    pub uploads: Vec<String>,
}

impl fmt::Display for Swept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for key in &self.objects {
            writeln!(f, "{key}")?;
        }
        for key in &self.uploads {
            writeln!(f, "{key} (unfinished)")?;
        }
        write!(f, "{} objects, {} unfinished uploads", self.objects.len(), self.uploads.len())
    }
}

/// One who sweeps.
pub struct Sweeper {
    log: Log,
    bucket: Bucket,
    /// What is older may be removed.
    age: Duration,
    is_dry: bool,
    /// The last keys that were looked at, where a sweep was cut short.
    resume: [Option<String>; 2],
}

impl Sweeper {
    /// Removes what is older than `age`; with `is_dry` it only says what it would remove.
    pub fn new(log: Log, bucket: Bucket, age: Duration, is_dry: bool) -> Self {
        Self { log, bucket, age, is_dry, resume: [None, None] }
    }

    /// Sweeps once an hour until `stop`. A sweep that fails is tried again at the next one.
    pub async fn run(mut self, stop: CancellationToken) {
        loop {
            let jitter = u32::from(clock::new_id().as_bytes()[15]);
            let pause = EVERY + EVERY / 4 * jitter / 255;
            if stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
                return;
            }
            match stop.run_until_cancelled(Box::pin(self.sweep())).await {
                None => return,
                Some(Ok(swept)) => {
                    let (objects, uploads) = (swept.objects.len(), swept.uploads.len());
                    tracing::info!(objects, uploads, "the bucket was swept");
                }
                Some(Err(error)) => tracing::warn!(error = crate::chain(&error), "a sweep was not finished"),
            }
        }
    }

    /// Sweeps once.
    pub async fn sweep(&mut self) -> Result<Swept, Error> {
        self.trusted()?;
        let mut swept = Swept::default();
        self.sweep_renders(&mut swept).await?;
        self.sweep_uploads(&mut swept).await?;
        for upload in self.bucket.unfinished().await? {
            if self.is_old(upload.begun) {
                if !self.is_dry {
                    self.bucket.abort(&upload.key, &upload.id).await?;
                }
                swept.uploads.push(upload.key);
            }
        }
        Ok(swept)
    }

    async fn sweep_renders(&mut self, swept: &mut Swept) -> Result<(), Error> {
        for audio in self.old_audio(0, RENDERS).await? {
            // At least at its request: a replica that lags is not believed.
            let job = self.log.load_at_least(audio.owner(), 1).await?;
            if !is_needed(&job, &audio) {
                self.remove_of(&job, &audio).await?;
                swept.objects.push(audio.to_string());
            }
        }
        Ok(())
    }

    /// Publishers may name an upload in the log: only the log as a whole can tell that none did.
    async fn sweep_uploads(&mut self, swept: &mut Swept) -> Result<(), Error> {
        let old = self.old_audio(1, UPLOADS).await?;
        if old.is_empty() {
            return Ok(());
        }
        let needed = self.needed_uploads().await?;
        for upload in old.into_iter().filter(|upload| !needed.contains(upload)) {
            self.remove(&upload.to_string()).await?;
            swept.objects.push(upload.to_string());
        }
        Ok(())
    }

    /// The old audio in a folder, in the order of the keys, from where the last sweep ended.
    async fn old_audio(&mut self, place: usize, folder: &str) -> Result<Vec<AudioKey>, Error> {
        let mut found = Vec::new();
        for _ in 0..PAGES {
            let page = self.bucket.page(folder, self.resume[place].as_deref()).await?;
            let old = page.objects.iter().filter(|Listed { object, .. }| self.is_old(object.modified));
            found.extend(old.filter_map(|listed| AudioKey::parse(&listed.key).ok()));
            self.resume[place] = page.objects.last().map(|listed| listed.key.clone()).filter(|_| page.is_cut);
            if !page.is_cut {
                break;
            }
        }
        Ok(found)
    }

    /// Every upload that a request in the log names.
    async fn needed_uploads(&self) -> Result<HashSet<AudioKey>, Error> {
        let (mut needed, mut after) = (HashSet::new(), 0);
        loop {
            let requests = self.log.requests(after).await?;
            let Some((_, last)) = requests.last() else { return Ok(needed) };
            after = last.seq;
            for (_, recorded) in &requests {
                let mut job = Job::default();
                job.absorb(recorded);
                if let Some(Audio::Stored { key, .. }) = job.spec().map(|spec| &spec.audio)
                    && key.is_upload()
                {
                    needed.insert(key.clone());
                }
            }
        }
    }

    /// A job that aged out leaves a mark, if a client may still ask for it under its key.
    async fn remove_of(&self, job: &Job, audio: &AudioKey) -> Result<(), Error> {
        let owner: JobId = audio.owner();
        if !self.is_dry && job.requested.is_none() && owner.is_derived() {
            self.bucket.put(&key::expired(owner), "application/octet-stream", Bytes::new()).await?;
        }
        self.remove(&audio.to_string()).await
    }

    async fn remove(&self, key: &str) -> Result<(), Error> {
        self.trusted()?;
        if !self.is_dry {
            self.bucket.delete(key).await?;
        }
        Ok(())
    }

    fn trusted(&self) -> Result<(), Error> {
        self.log.bus().refusal().map_or(Ok(()), |reason| Err(Error::Fenced(reason)))
    }

    fn is_old(&self, time: Timestamp) -> bool {
        clock::now().since(time) > self.age
    }
}

/// Settings of `kiln sweep`.
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    /// Show what would be removed, and remove nothing
    #[arg(long)]
    dry_run: bool,
    /// Hours after which what nobody asks for is removed
    #[arg(long, default_value = "24", value_parser = clap::value_parser!(u64).range(24..))]
    older_than_hours: u64,
    #[command(flatten)]
    nats: config::Nats,
    #[command(flatten)]
    bucket: config::Bucket,
}

/// `kiln sweep`
pub async fn run(args: &Args) -> anyhow::Result<String> {
    let bucket = Bucket::new(&args.bucket)?;
    let bus = roles::connect(&args.nats, "operator").await?;
    let _watch = Watch::start(&bus, &bucket, Keeper::No).await;
    let age = Duration::from_hours(args.older_than_hours);
    let mut sweeper = Sweeper::new(Log::new(bus), bucket, age, args.dry_run);
    let swept = Box::pin(sweeper.sweep()).await?;
    Ok(swept.to_string())
}

/// Whether the job may still read it. Another request than the accepted one may have left audio beside the job's own.
fn is_needed(job: &Job, audio: &AudioKey) -> bool {
    match job.spec().map(|spec| &spec.audio) {
        Some(Audio::Stored { key, .. }) => key == audio,
        Some(Audio::Remote { .. }) => true,
        None => false,
    }
}
