//! The bucket, made again from the log or compared with it.
//!
//! Nothing is deleted: a bucket that is deleted and made anew blinds those who watch it. Each job's facts are joined into
//! what is there, so a rebuild may run beside projectors, be stopped anywhere, and run again.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use events::{Entry, Job, JobId, subject};
use futures_util::{StreamExt, TryStreamExt};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::projection::Projection;
use crate::pull::Delivery;
use crate::replay::Replay;
use crate::topology::{KV_JOBS, RENDER, RENDER_PROGRESS};
use crate::{Bus, Error, Jobs, Log};

/// A difference counts only if it is still there after this pause: a projector may be about to write.
const SECOND_LOOK: Duration = Duration::from_secs(1);

/// Entries that are written at once.
const WRITES: usize = 64;
/// Jobs that are compared at once.
const READS: usize = 64;

/// What a rebuild did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rebuilt {
    /// Messages read.
    pub messages: u64,
    /// Entries that had to be written.
    pub written: u64,
}

/// What a verification found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verified {
    /// Jobs compared.
    pub jobs: u64,
    /// Those whose entry is not the fold of the log.
    pub differences: Vec<Difference>,
}

#[derive(Deserialize)]
struct Info {
    state: State,
}

#[derive(Deserialize)]
struct State {
    messages: u64,
}

/// A job whose entry is not the fold of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The job.
    pub job: JobId,
    /// The fields that differ; empty if there is no entry that can be read.
    pub fields: Vec<String>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.fields.as_slice() {
            [] => write!(f, "{}: no readable entry", self.job),
            fields => write!(f, "{}: `{}`", self.job, fields.join("`, `")),
        }
    }
}

/// Joins everything in both streams into the bucket, as of now; tells how many messages it has read, and of how many.
pub async fn rebuild(bus: &Bus, tell: &(dyn Fn(u64, u64) + Sync)) -> Result<Rebuilt, Error> {
    let (projection, is_empty) = (Projection::new(bus), is_empty(bus).await?);
    let mut rebuilt = Rebuilt::default();
    for stream in [RENDER, RENDER_PROGRESS] {
        let mut replay = Replay::start(bus, stream, "").await?;
        let mut window = replay.window().await?;
        while !window.is_empty() {
            let joining = join(&projection, &window, is_empty && stream == RENDER);
            let (written, next) = tokio::try_join!(joining, replay.window())?;
            rebuilt.messages += window.len() as u64;
            rebuilt.written += written;
            window = next;
            tell(rebuilt.messages, rebuilt.messages + window.len() as u64 + replay.pending());
        }
    }
    Ok(rebuilt)
}

/// Whether there is nothing in the bucket that would have to be read before it is written.
async fn is_empty(bus: &Bus) -> Result<bool, Error> {
    let info: Result<Info, _> = bus.ask(&format!("STREAM.INFO.{KV_JOBS}"), &json!({})).await;
    info.map(|info| info.state.messages == 0).map_err(|cause| Error::Pull(KV_JOBS.to_owned(), cause))
}

async fn join(projection: &Projection, window: &[Delivery], is_first: bool) -> Result<u64, Error> {
    let mut news: BTreeMap<JobId, Job> = BTreeMap::new();
    for (id, recorded) in window.iter().filter_map(Delivery::recorded) {
        news.entry(id).or_default().absorb(&recorded);
    }
    let joining = news.iter().map(async |(id, news)| {
        // The job's first facts, and it has no entry.
        let is_new = is_first && news.requested.is_some();
        if is_new { projection.create(*id, news).await } else { projection.join(*id, news).await }
    });
    let written = futures_util::stream::iter(joining).buffer_unordered(WRITES);
    written.try_fold(0, async |count, was_written| Ok(count + u64::from(was_written))).await
}

/// Compares each job's entry with the fold of the log, progress, stage and what it waits for aside; tells how many jobs
/// it has compared, and of how many.
pub async fn verify(bus: &Bus, tell: &(dyn Fn(u64, u64) + Sync)) -> Result<Verified, Error> {
    let (log, jobs) = (Log::new(bus.clone()), Jobs::new(bus.clone()));
    let mut verified = Verified::default();
    let mut replay = Replay::start(bus, RENDER, subject::ALL_REQUESTED).await?;
    loop {
        let window = replay.window().await?;
        if window.is_empty() {
            return Ok(verified);
        }
        let ids: Vec<_> = window.iter().filter_map(Delivery::recorded).map(|(id, _)| id).collect();
        verified.jobs += ids.len() as u64;
        let mut differences = compare(&log, &jobs, ids).await?;
        if !differences.is_empty() {
            tokio::time::sleep(SECOND_LOOK).await;
            differences = compare(&log, &jobs, differences.iter().map(|difference| difference.job).collect()).await?;
        }
        verified.differences.append(&mut differences);
        tell(verified.jobs, verified.jobs + replay.pending());
    }
}

async fn compare(log: &Log, jobs: &Jobs, ids: Vec<JobId>) -> Result<Vec<Difference>, Error> {
    let comparing = ids.into_iter().map(|id| compare_one(log, jobs, id));
    let found = futures_util::stream::iter(comparing).buffered(READS);
    found.try_filter_map(async |difference| Ok(difference)).try_collect().await
}

async fn compare_one(log: &Log, jobs: &Jobs, id: JobId) -> Result<Option<Difference>, Error> {
    let job = log.load(id).await?;
    if job.requested.is_none() {
        return Ok(None);
    }
    let Some((_, entry)) = jobs.get(id).await? else {
        return Ok(Some(Difference { job: id, fields: Vec::new() }));
    };
    let (is, wanted) = (comparable(entry), comparable(Entry::from(job)));
    let names = wanted.keys().chain(is.keys().filter(|name| !wanted.contains_key(*name)));
    let fields: Vec<_> = names.filter(|name| is.get(*name) != wanted.get(*name)).cloned().collect();
    Ok((!fields.is_empty()).then_some(Difference { job: id, fields }))
}

/// The fields that the log alone decides, those of the job beside those in front.
fn comparable(mut entry: Entry) -> Map<String, Value> {
    (entry.progress, entry.stage, entry.waiting_for, entry.until) = (0, None, None, None);
    entry.job.progress = None;
    entry.job.updated_at = events::Timestamp::default();
    let mut fields = match serde_json::to_value(entry) {
        Ok(Value::Object(fields)) => fields,
        _ => Map::new(),
    };
    if let Some(Value::Object(job)) = fields.remove("job") {
        fields.extend(job.into_iter().map(|(name, value)| (format!("job.{name}"), value)));
    }
    fields
}
