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

use crate::projection::{Projection, WRITES};
use crate::pull::{Delivery, Puller};
use crate::stored::next_of_leader;
use crate::topology::{RENDER, RENDER_PROGRESS};
use crate::{Bus, Error, Jobs, Log};

/// Messages of which the facts of one job are joined before they are written.
const WINDOW: usize = 32_768;
/// Messages that are asked for at once.
const PULL: usize = 2_048;
/// A difference counts only if it is still there after this pause: a projector may be about to write.
const SECOND_LOOK: Duration = Duration::from_secs(1);

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

/// Joins everything in both streams into the bucket, as of now.
pub async fn rebuild(bus: &Bus) -> Result<Rebuilt, Error> {
    let projection = Projection::new(bus);
    let mut rebuilt = Rebuilt::default();
    for stream in [RENDER, RENDER_PROGRESS] {
        let mut replay = Replay::start(bus, stream, "").await?;
        loop {
            let window = replay.window().await?;
            if window.is_empty() {
                break;
            }
            rebuilt.messages += window.len() as u64;
            rebuilt.written += join(&projection, &window).await?;
        }
    }
    Ok(rebuilt)
}

async fn join(projection: &Projection, window: &[Delivery]) -> Result<u64, Error> {
    let mut news: BTreeMap<JobId, Job> = BTreeMap::new();
    for (id, recorded) in window.iter().filter_map(Delivery::recorded) {
        news.entry(id).or_default().absorb(&recorded);
    }
    let joining = news.iter().map(|(id, news)| projection.join(*id, news));
    let written = futures_util::stream::iter(joining).buffer_unordered(WRITES);
    written.try_fold(0, async |count, was_written| Ok(count + u64::from(was_written))).await
}

/// Compares each job's entry with the fold of the log, progress, stage and what it waits for aside.
pub async fn verify(bus: &Bus) -> Result<Verified, Error> {
    let (log, jobs) = (Log::new(bus.clone()), Jobs::new(bus.clone()));
    let mut verified = Verified::default();
    let mut replay = Replay::start(bus, RENDER, subject::ALL_REQUESTED).await?;
    loop {
        let window = replay.window().await?;
        if window.is_empty() {
            return Ok(verified);
        }
        let ids = window.iter().filter_map(Delivery::recorded).map(|(id, _)| compare(&log, &jobs, id));
        let mut found = futures_util::stream::iter(ids).buffer_unordered(WRITES);
        while let Some(difference) = found.next().await {
            verified.jobs += 1;
            verified.differences.extend(difference?);
        }
    }
}

async fn compare(log: &Log, jobs: &Jobs, id: JobId) -> Result<Option<Difference>, Error> {
    let difference = compare_once(log, jobs, id).await?;
    if difference.is_none() {
        return Ok(None);
    }
    tokio::time::sleep(SECOND_LOOK).await;
    compare_once(log, jobs, id).await
}

async fn compare_once(log: &Log, jobs: &Jobs, id: JobId) -> Result<Option<Difference>, Error> {
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
    (entry.progress, entry.stage, entry.waiting_for) = (0, None, None);
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

/// A stream from its beginning to what is its end now, read by consumers of its own that leave nothing behind.
struct Replay {
    bus: Bus,
    stream: &'static str,
    filter: &'static str,
    puller: Puller,
    /// Which connection the consumer was made on: what was on its way when that was lost is never sent again.
    connects: u64,
    /// The last message read, in the stream and of this consumer.
    seq: u64,
    read: u64,
    pending: u64,
}

#[derive(Deserialize)]
struct Created {
    name: String,
    num_pending: u64,
}

impl Replay {
    async fn start(bus: &Bus, stream: &'static str, filter: &'static str) -> Result<Self, Error> {
        let (bus, puller) = (bus.clone(), Puller::new(bus, stream, ""));
        let mut replay = Self { bus, stream, filter, puller, connects: 0, seq: 0, read: 0, pending: 0 };
        replay.resume().await?;
        Ok(replay)
    }

    /// A consumer that begins behind what was read.
    async fn resume(&mut self) -> Result<(), Error> {
        let config = json!({
            "deliver_policy": "by_start_sequence", "opt_start_seq": self.seq + 1, "filter_subject": self.filter,
            "ack_policy": "none", "replay_policy": "instant", "mem_storage": true, "num_replicas": 1,
            "inactive_threshold": 60_000_000_000_u64,
        });
        let body = json!({"stream_name": self.stream, "config": config});
        self.connects = self.bus.link().borrow().connects;
        let created: Result<Created, _> = self.bus.ask(&format!("CONSUMER.CREATE.{}", self.stream), &body).await;
        let created = created.map_err(|cause| Error::Pull(self.stream.to_owned(), cause))?;
        self.puller = Puller::new(&self.bus, self.stream, &created.name);
        (self.read, self.pending) = (0, created.num_pending);
        Ok(())
    }

    /// The next messages; none at the end.
    async fn window(&mut self) -> Result<Vec<Delivery>, Error> {
        let mut window = Vec::new();
        while self.pending > 0 && window.len() < WINDOW {
            window.extend(self.next().await?);
        }
        Ok(window)
    }

    /// The next message, or `None` if there is a reason to look again.
    async fn next(&mut self) -> Result<Option<Delivery>, Error> {
        if self.bus.link().borrow().connects != self.connects {
            return self.go_on().await;
        }
        let delivery = self.puller.step(PULL).await?.filter(|delivery| delivery.place == self.read + 1);
        if let Some(delivery) = &delivery {
            (self.seq, self.read, self.pending) = (delivery.seq, delivery.place, delivery.pending);
        }
        Ok(delivery)
    }

    /// After a lost connection. If nothing had come, it may be that the next message cannot be read in this way.
    async fn go_on(&mut self) -> Result<Option<Delivery>, Error> {
        let mut next = None;
        if self.read == 0 {
            let filter = if self.filter.is_empty() { ">" } else { self.filter };
            let found = next_of_leader(&self.bus, self.stream, self.seq + 1, filter).await;
            next = found.map_err(|cause| Error::Pull(self.stream.to_owned(), cause))?;
            self.seq = next.as_ref().map_or(self.seq, |next| next.seq);
        }
        self.resume().await?;
        Ok(next.map(|next| Delivery::of_stored(next, self.stream, String::new())))
    }
}
