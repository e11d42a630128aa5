//! The log: every fact about a job, once.
//!
//! Whoever decides something loads the job, decides, and appends with the version it decided upon. A conflict means:
//! load and decide again. An answer that leaves open whether the fact was stored is resolved by looking for it.

#[cfg(test)]
mod tests;

use std::time::{Duration, SystemTime};

use async_nats::HeaderMap;
use bytes::Bytes;
use events::event::Progressed;
use events::{Event, Job, JobId, Kind, Recorded, Timestamp, subject};

use crate::counts::Counters;
use crate::stored::{Stored, last, last_of_each, last_of_leader, next_of_leader};
use crate::topology::{RENDER, RENDER_PROGRESS};
use crate::{Bus, Cause, Error};

/// Times that a decision is made anew before somebody else has to try: each time another writer was first.
const MAX_DECISIONS: usize = 16;
/// Before a decision is made anew although nothing new was found.
const CATCH_UP_PAUSE: Duration = Duration::from_millis(20);

/// The server's error numbers after which only a look at the log tells what happened.
const WRONG_LAST_SEQUENCE: [u64; 2] = [10_071, 10_164];
const DUPLICATE_IN_FLIGHT: u64 = 10_158;
const STORE_FAILED: u64 = 10_077;

/// Reads and writes jobs.
#[derive(Debug, Clone)]
pub struct Log {
    bus: Bus,
    traceparent: Option<String>,
}

/// What became of an append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Append {
    /// The fact is in the log, at this sequence.
    Stored(u64),
    /// The job has changed since: load and decide again.
    Conflict,
}

/// The same, with the job as it was found after a conflict, if it was.
enum Tried {
    Stored(u64),
    Conflict(Option<Box<Job>>),
}

/// What became of a decision.
#[derive(Debug)]
pub enum Outcome<R> {
    /// The fact is in the log.
    Appended {
        /// The job that it was decided upon, without the fact.
        job: Job,
        /// Its sequence.
        seq: u64,
    },
    /// The decision was that nothing is to be written.
    Rejected {
        /// The job that it was decided upon.
        job: Job,
        /// Why.
        rejection: R,
    },
}

impl Log {
    /// The log behind a connection.
    pub fn new(bus: Bus) -> Self {
        Self { bus, traceparent: None }
    }

    /// The connection.
    pub fn bus(&self) -> &Bus {
        &self.bus
    }

    /// The same log, for writing on behalf of a traced request.
    #[must_use]
    pub fn traced(&self, traceparent: Option<String>) -> Self {
        Self { bus: self.bus.clone(), traceparent }
    }

    /// The job as some replica knows it; the job that nobody asked for, if there is nothing.
    pub async fn load(&self, id: JobId) -> Result<Job, Error> {
        Ok(fold(&self.history(id).await?))
    }

    /// The job's facts in the order of the log.
    pub async fn history(&self, id: JobId) -> Result<Vec<Recorded>, Error> {
        let found = last_of_each(&self.bus, RENDER, &[subject::of_job(id)]).await;
        let found = found.map_err(|cause| Error::Load(id, cause))?;
        Ok(found.iter().filter_map(|stored| Some(stored.recorded()?.1)).collect())
    }

    /// The job at this version or a later one, if there is one: asks the leader if the replica that answered lags.
    pub async fn load_at_least(&self, id: JobId, version: u64) -> Result<Job, Error> {
        let mut job = self.load(id).await?;
        if job.seq < version {
            self.join_leader(id, &mut job).await?;
        }
        if job.seq < version {
            // Another writer's fact is on its way, or the oldest facts have aged out.
            tokio::time::sleep(CATCH_UP_PAUSE).await;
            job.join(&self.load(id).await?);
        }
        Ok(job)
    }

    /// Appends a fact, if the job is still at this version. The same fact again counts as stored.
    pub async fn append(&self, id: JobId, version: u64, event: &Event) -> Result<Append, Error> {
        Ok(match self.try_append(id, version, event).await? {
            Tried::Stored(seq) => Append::Stored(seq),
            Tried::Conflict(_) => Append::Conflict,
        })
    }

    async fn try_append(&self, id: JobId, version: u64, event: &Event) -> Result<Tried, Error> {
        let Some(kind) = event.kind() else { return Ok(Tried::Conflict(None)) };
        let to = subject::of(id, kind);
        let mut headers = self.headers(id, kind.name(), &to);
        expect(&mut headers, version, &subject::of_job(id));
        let tried = match self.bus.put(to, headers, payload(event)).await {
            Ok(ack) => Tried::Stored(ack.seq),
            Err(cause) if is_open(&cause) => self.resolve(id, version, event, cause).await?,
            Err(cause) => return Err(Error::Append(id, cause)),
        };
        let counters = self.bus.counters();
        Counters::add(if matches!(tried, Tried::Stored(_)) { &counters.appends } else { &counters.conflicts });
        Ok(tried)
    }

    /// Loads, decides, appends, until the fact is stored or the decision is to write nothing.
    pub async fn transact<R>(
        &self,
        id: JobId,
        decide: impl FnMut(&Job) -> Result<Event, R>,
    ) -> Result<Outcome<R>, Error> {
        let known = self.load(id).await?;
        self.transact_upon(id, known, decide).await
    }

    pub(crate) async fn transact_upon<R>(
        &self,
        id: JobId,
        mut job: Job,
        mut decide: impl FnMut(&Job) -> Result<Event, R>,
    ) -> Result<Outcome<R>, Error> {
        let mut is_current = false;
        for _ in 0..MAX_DECISIONS {
            let event = match decide(&job) {
                Ok(event) => event,
                Err(rejection) if is_current => return Ok(Outcome::Rejected { job, rejection }),
                // The replica that answered may lag; what it does not know may make the decision another one.
                Err(_) => {
                    self.join_leader(id, &mut job).await?;
                    is_current = true;
                    continue;
                }
            };
            job = match self.try_append(id, job.seq, &event).await? {
                Tried::Stored(seq) => return Ok(Outcome::Appended { job, seq }),
                Tried::Conflict(Some(newer)) => *newer,
                Tried::Conflict(None) => self.load_at_least(id, job.seq + 1).await?,
            };
        }
        Err(Error::Contended(id))
    }

    /// The last report of how far the job is, while it is kept.
    pub async fn last_report(&self, id: JobId) -> Result<Option<Progressed>, Error> {
        let found = last(&self.bus, RENDER_PROGRESS, &subject::of(id, Kind::Progressed)).await;
        let recorded = found.map_err(|cause| Error::Load(id, cause))?.and_then(|stored| stored.recorded());
        Ok(recorded.and_then(|(_, recorded)| match recorded.event {
            Event::Progressed(report) => Some(report),
            _ => None,
        }))
    }

    /// Tells how far an attempt is. It may get lost, and never fails anything.
    pub async fn report(&self, id: JobId, progressed: Progressed) {
        let event = Event::Progressed(progressed);
        let kind = event.kind().expect("a kind of our own");
        let to = subject::of(id, kind);
        let headers = self.headers(id, kind.name(), &to);
        if !self.bus.is_connected() || self.bus.may_write().is_err() {
            return;
        }
        if let Err(error) = self.bus.client().publish_with_headers(to, headers, payload(&event)).await {
            tracing::warn!(job.id = %id, %error, "a progress report got lost");
        }
    }

    /// Joins what the leader has beyond the job's version.
    async fn join_leader(&self, id: JobId, job: &mut Job) -> Result<(), Error> {
        while let Some(stored) = self.next(id, job.seq + 1).await? {
            let Some((_, recorded)) = stored.recorded() else { break };
            job.absorb(&recorded);
        }
        Ok(())
    }

    async fn next(&self, id: JobId, seq: u64) -> Result<Option<Stored>, Error> {
        let next = next_of_leader(&self.bus, RENDER, seq, &subject::of_job(id)).await;
        next.map_err(|cause| Error::Load(id, cause))
    }

    /// What became of an append that was not confirmed.
    async fn resolve(&self, id: JobId, version: u64, event: &Event, cause: Cause) -> Result<Tried, Error> {
        // Somebody was faster. One look tells with what, unless the replica that answers lags.
        if matches!(cause, Cause::Refused { code, .. } if WRONG_LAST_SEQUENCE.contains(&code)) {
            let facts = self.history(id).await?;
            if let Some(same) = facts.iter().find(|fact| fact.event == *event) {
                return Ok(Tried::Stored(same.seq));
            }
            let job = fold(&facts);
            if job.seq > version {
                return Ok(Tried::Conflict(Some(job.into())));
            }
        }
        Ok(match self.look_for(id, version, event, cause).await? {
            Append::Stored(seq) => Tried::Stored(seq),
            Append::Conflict => Tried::Conflict(None),
        })
    }

    /// The subject belongs to this fact alone: what lies there tells what happened.
    async fn look_for(&self, id: JobId, version: u64, event: &Event, cause: Cause) -> Result<Append, Error> {
        let to = subject::of(id, event.kind().expect("it was published"));
        // Without an answer nobody knows, whatever the first one was.
        let found = last_of_leader(&self.bus, RENDER, &to).await.map_err(|unknown| Error::Append(id, unknown))?;
        match (found, cause) {
            (Some(found), _) if found.recorded().is_some_and(|(_, recorded)| recorded.event == *event) => {
                Ok(Append::Stored(found.seq))
            }
            (Some(found), _) if found.seq <= version => Err(Error::Occupied(id)),
            (None, Cause::Refused { code: STORE_FAILED, .. }) => Err(Error::Full),
            (Some(_), _) | (None, Cause::Refused { .. }) => Ok(Append::Conflict),
            (None, cause) => Err(Error::Append(id, cause)),
        }
    }

    /// `CloudEvents` in binary mode. A fact's subject is its identity, since the log takes each only once.
    pub(crate) fn headers(&self, id: JobId, kind: &str, to: &str) -> HeaderMap {
        let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_millis();
        let now = Timestamp::from_unix_ms(i64::try_from(now).unwrap_or(i64::MAX));
        let mut headers = HeaderMap::new();
        headers.insert("ce-specversion", "1.0");
        headers.insert("ce-id", to);
        headers.insert("ce-type", format!("kiln.render.{kind}"));
        headers.insert("ce-source", format!("kiln/{}", self.bus.role()));
        headers.insert("ce-subject", id.to_string());
        headers.insert("ce-time", now.to_string());
        headers.insert("content-type", "application/json");
        if let Some(traceparent) = &self.traceparent {
            headers.insert("traceparent", traceparent.as_str());
        }
        headers
    }
}

/// The server takes the message only if nothing came below the filter since this sequence.
pub(crate) fn expect(headers: &mut HeaderMap, version: u64, filter: &str) {
    headers.insert("Nats-Expected-Last-Subject-Sequence", version.to_string());
    headers.insert("Nats-Expected-Last-Subject-Sequence-Subject", filter);
}

/// Whether the answer leaves open if the fact is stored, by us or by somebody else.
fn is_open(cause: &Cause) -> bool {
    match cause {
        Cause::Timeout | Cause::Lost | Cause::Client(_) | Cause::Answer(_) => true,
        Cause::Refused { code, .. } => {
            WRONG_LAST_SEQUENCE.contains(code) || [DUPLICATE_IN_FLIGHT, STORE_FAILED].contains(code)
        }
        Cause::Disconnected | Cause::NoResponders | Cause::Fenced(_) | Cause::Unchecked => false,
    }
}

fn payload(event: &Event) -> Bytes {
    event.payload().to_string().into()
}

fn fold(facts: &[Recorded]) -> Job {
    let mut job = Job::default();
    for recorded in facts {
        job.absorb(recorded);
    }
    job
}
