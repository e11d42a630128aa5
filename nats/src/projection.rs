//! The projector: facts and reports joined into the bucket, by few writes per job.
//!
//! An entry only ever grows: what is there is read, joined with what came, and replaced if nobody was faster. So any
//! number of projectors may run, a message may come any number of times, and an entry never goes back.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use async_nats::jetstream::AckKind;
use events::{Entry, Event, Job, JobId, Kind};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::dead::bury;
use crate::jobs::Kept;
use crate::pull::Puller;
use crate::topology::{PROJECTOR, RENDER, RENDER_PROGRESS};
use crate::{Bus, Error, Jobs, Log};

mod news;

use news::{Item, News};

/// Messages that wait to be written at most.
const MAX_HELD: usize = 512;
/// Between two turns, so that a flood is joined and not written one by one: a write costs about as much as a hundred
/// reads. What comes meanwhile waits for the next turn; after a rest it is written at once, and an end always.
const PACE: Duration = Duration::from_millis(3);
/// The same for reports, of which only the last one of a job counts.
const PACE_OF_REPORTS: Duration = Duration::from_millis(50);
/// Before a job that could not be written is tried again.
const RETRY: Duration = Duration::from_secs(1);
/// Times that an entry is read again because another projector was first.
const MAX_TRIES: usize = 32;
/// Entries that are remembered. When there are more, they are forgotten, and read.
const MAX_WRITTEN: usize = 4096;

/// Feeds the bucket from both streams until the stop.
pub async fn project(bus: &Bus, stop: CancellationToken) {
    let projection = Projection::new(bus);
    tokio::join!(projection.run(RENDER, PACE, &stop), projection.run(RENDER_PROGRESS, PACE_OF_REPORTS, &stop));
    bus.flush().await;
}

/// Joins what comes into what is kept.
pub(crate) struct Projection {
    bus: Bus,
    log: Log,
    jobs: Jobs,
    /// What was written last for jobs that live: it is probably still there, and need not be read again.
    written: Mutex<HashMap<JobId, Kept>>,
}

impl Projection {
    pub(crate) fn new(bus: &Bus) -> Self {
        Self { bus: bus.clone(), log: Log::new(bus.clone()), jobs: Jobs::new(bus.clone()), written: Mutex::default() }
    }

    async fn run(&self, stream: &str, pace: Duration, stop: &CancellationToken) {
        let mut puller = Puller::new(&self.bus, stream, PROJECTOR);
        let (mut news, mut writing) = (News::default(), FuturesUnordered::new());
        // What came before it goes as there is room.
        let mut turn = Instant::now();
        // While the log is not the one that was written before, nothing of it goes into the entries.
        while stop.run_until_cancelled(self.bus.writable()).await.is_some() {
            let is_over = news.first(turn).is_none();
            let begin = if is_over { turn + pace } else { Instant::now() };
            // In this order: what is there already is joined before it is written.
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(id) = writing.next() => news.done(id),
                delivery = puller.next(MAX_HELD - news.held()), if news.held() < MAX_HELD => news.add(delivery),
                () = sleep_until(begin), if news.first(Instant::now()).is_some() => {
                    if is_over {
                        turn = Instant::now();
                    }
                    while let Some(item) = news.next(turn) {
                        writing.push(self.settle(item));
                    }
                }
            }
        }
        let _: Vec<_> = writing.collect().await;
        for delivery in puller.close().await.into_iter().chain(news.into_deliveries()) {
            delivery.answer(&self.bus, AckKind::Nak(None)).await;
        }
    }

    /// Writes what came of one job and tells the server; returns whose it was.
    async fn settle(&self, item: Item) -> Option<JobId> {
        let joined = self.take(&item).await;
        if let Err(error) = &joined {
            tracing::warn!(job.id = ?item.id, %error, "an entry is not up to date; it is tried again");
        }
        let answer = if joined.is_ok() { AckKind::Ack } else { AckKind::Nak(Some(RETRY)) };
        for (delivery, _) in item.messages {
            delivery.answer(&self.bus, answer).await;
        }
        item.id
    }

    async fn take(&self, Item { id, job, messages, .. }: &Item) -> Result<(), Error> {
        for (delivery, recorded) in messages {
            if let Some(reason) = dead_because(recorded.as_ref().map(|recorded| &recorded.event)) {
                bury(&self.bus, delivery, reason).await?;
            }
        }
        let Some(id) = id else { return Ok(()) };
        // The request is the first thing that anybody writes of a job, and nobody was given it before.
        let is_new = job.requested.is_some() && messages.iter().all(|(delivery, _)| delivery.deliveries == 1);
        let joined = if is_new { self.create(*id, job).await } else { self.join(*id, job).await };
        joined.map(|_| ())
    }

    /// Whether the entry had to be written.
    pub(crate) async fn join(&self, id: JobId, news: &Job) -> Result<bool, Error> {
        let written = self.written().remove(&id);
        if let Some(kept) = written
            && self.join_into(kept, id, news).await?
        {
            return Ok(true);
        }
        let kept = self.jobs.of_replica(id).await?;
        self.join_into(kept, id, news).await
    }

    /// As [`Projection::join`], where there is probably no entry.
    pub(crate) async fn create(&self, id: JobId, news: &Job) -> Result<bool, Error> {
        self.join_into(Kept::default(), id, news).await
    }

    async fn join_into(&self, mut kept: Kept, id: JobId, news: &Job) -> Result<bool, Error> {
        for _ in 0..MAX_TRIES {
            let known = kept.entry.as_ref().map(|entry| &entry.job);
            // Of a job that is complete nobody is told a report, and the last one often comes after the end.
            if news.seq == 0 && known.is_some_and(|known| known.completed().is_some()) {
                return Ok(false);
            }
            let mut job = known.cloned().unwrap_or_default();
            job.join(news);
            if known.is_none() && (news.requested.is_none() || kept.revision > 0) {
                // The entry was thrown away, or cannot be read: the log has all of it.
                job.join(&self.log.load(id).await?);
            }
            // Nobody asked for it, or nobody can know any more: the request has aged out.
            if job.requested.is_none() {
                return Ok(false);
            }
            let entry = Entry::from(job);
            if kept.entry.as_ref() == Some(&entry) {
                return Ok(false);
            }
            if let Some(revision) = self.jobs.replace(id, &entry, kept.revision).await? {
                self.note(id, Kept { revision, entry: Some(entry) });
                return Ok(true);
            }
            kept = self.jobs.of_leader(id).await?;
        }
        Err(Error::Contended(id))
    }

    fn note(&self, id: JobId, kept: Kept) {
        let lives = kept.entry.as_ref().is_some_and(|entry| entry.job.ended.is_none());
        let mut written = self.written();
        if written.len() >= MAX_WRITTEN {
            written.clear();
        }
        if lives {
            written.insert(id, kept);
        }
    }

    fn written(&self) -> MutexGuard<'_, HashMap<JobId, Kept>> {
        self.written.lock().expect("nothing panics while it holds this lock")
    }
}

/// Why a person should look at a message; a request that cannot be read is for the worker to fail.
fn dead_because(event: Option<&Event>) -> Option<&str> {
    match event {
        None => Some("the subject is no job's"),
        Some(Event::Corrupt(kind, reason)) => (*kind != Kind::Requested).then_some(reason),
        Some(
            Event::Requested(_)
            | Event::Dispatched(..)
            | Event::Started(..)
            | Event::AttemptFailed(..)
            | Event::Completed(_)
            | Event::Cancelled(_)
            | Event::Failed(_)
            | Event::Progressed(_)
            | Event::Unknown,
        ) => None,
    }
}
