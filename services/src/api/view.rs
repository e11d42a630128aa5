//! A job as it is told: looked up once per change, written once, and given to everyone who asks.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::http::HeaderValue;
use bytes::Bytes;
use events::event::Output;
use events::wire::client::Poll;
use events::{Job, JobId, Status, Timestamp};
use nats::Row;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::version::Version;
use super::{Api, unavailable};
use crate::bucket::LONGEST_SIGNATURE;
use crate::http::problem::Problem;

/// Addresses are signed as of the beginning of the day, so that they are the same for a day and last for six more.
const DAY_MS: i64 = 24 * 60 * 60 * 1000;
/// What is told is looked up again after this long, should a notice of a change have got lost.
const LONGEST_TRUST: Duration = Duration::from_secs(10);
/// Answers that are kept: twice as many at most. They stay in a processor's cache, which matters more than their number:
/// one that is not kept costs a read that many others share.
const MANY: usize = 1024;

/// In whose form a job is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Form {
    /// Our own.
    Kiln,
    /// As the original's clients read it: `error` is a text.
    Original,
}

/// A job as it is told, and until when that is true.
pub(super) struct View {
    pub(super) version: Version,
    pub(super) status: Status,
    /// Names exactly this answer: the version and a hash of the body, with quotes. An address in the body is a function
    /// of the key, our own key and the day, so the hash changes with the day of signing, and with nothing else unseen.
    pub(super) etag: HeaderValue,
    pub(super) body: Bytes,
    requested: u64,
    position: Option<u64>,
    day: Timestamp,
    /// Where it was read: the bucket's epoch and the entry's revision.
    source: Option<(u64, u64)>,
    read: Instant,
}

impl View {
    /// What an event of a stream is called: the tag without quotes.
    pub(super) fn id(&self) -> &str {
        self.etag.to_str().unwrap_or_default().trim_matches('"')
    }

    fn is_as_new_as(&self, epoch: u64, row: Option<Row>) -> bool {
        let is_current = |(at, revision)| row.is_some_and(|row| at == epoch && revision >= row.revision);
        self.source.is_some_and(is_current) && self.read.elapsed() < LONGEST_TRUST
    }
}

/// The answers that were given lately, in two generations: what is not asked for again is gone after a while.
#[derive(Default)]
pub(super) struct Views(Mutex<[Generation; 2]>);

type Generation = HashMap<(JobId, Form), Arc<View>>;

impl Views {
    fn get(&self, key: (JobId, Form)) -> Option<Arc<View>> {
        let [young, old] = &mut *self.0.lock().expect("nothing panics under this lock");
        if let Some(view) = young.get(&key) {
            return Some(Arc::clone(view));
        }
        let view = old.remove(&key)?;
        young.insert(key, Arc::clone(&view));
        Some(view)
    }

    /// Keeps an answer, unless a newer one from the same bucket is there.
    fn keep(&self, key: (JobId, Form), view: &Arc<View>) {
        let [young, old] = &mut *self.0.lock().expect("nothing panics under this lock");
        if young.get(&key).is_some_and(|kept| kept.source > view.source) {
            return;
        }
        if young.len() >= MANY {
            *old = std::mem::take(young);
        }
        young.insert(key, Arc::clone(view));
    }
}

impl Api {
    /// The job as it is told, at least as new as that: from what was told lately, else from the projection, or, where
    /// that lags or is gone, from the log.
    pub(super) async fn look(&self, id: JobId, form: Form, least: Version) -> Result<Arc<View>, Problem> {
        let least = least.join(Version::at(self.written.version(id)));
        let (epoch, row, day) = (self.watch.epoch(), self.watch.row(id), day((self.now)()));
        if let Some(view) = self.views.get((id, form))
            && view.is_as_new_as(epoch, row)
            && view.version.includes(least)
            && view.day == day
            && view.position == self.place(view.status, view.requested)
            && self.log.bus().is_connected()
        {
            return Ok(view);
        }
        let (revision, job) = self.find(id, row, least).await?;
        let source = revision.map(|revision| (epoch, revision));
        let view = Arc::new(self.view(id, form, &job, day, source)?);
        if source.is_some() {
            self.views.keep((id, form), &view);
        }
        Ok(view)
    }

    /// The job, with its revision if that is all there is to it.
    async fn find(&self, id: JobId, row: Option<Row>, least: Version) -> Result<(Option<u64>, Job), Problem> {
        let found = match row {
            Some(row) => self.jobs.get_at(id, row.revision).await,
            None => self.jobs.get(id).await,
        };
        let projected = found.unwrap_or_else(|error| {
            tracing::warn!(job.id = %id, error = crate::chain(&error), "the projection did not answer; the log is asked");
            None
        });
        let projected = projected.map(|(revision, entry)| (revision, entry.job));
        let (revision, job) = match projected {
            Some((revision, job)) if job.requested.is_some() && Version::of(&job).includes(least) => {
                (Some(revision), job)
            }
            projected => {
                // What a replica does not know at all is asked of the leader too.
                let mut job = self.log.load_whole(id, least.seq().max(1)).await.map_err(|error| unavailable(&error))?;
                if let Some((_, projected)) = projected {
                    job.join(&projected);
                }
                (None, job)
            }
        };
        let requested = job.requested.as_ref().filter(|request| !self.watch.is_expired(request.seq));
        if requested.is_none() {
            return Err(Problem::not_found("there is no such job"));
        }
        Ok((revision, remember(job, least)))
    }

    fn view(
        &self,
        id: JobId,
        form: Form,
        job: &Job,
        day: Timestamp,
        source: Option<(u64, u64)>,
    ) -> Result<View, Problem> {
        let told = self.tell(id, job, Some(day));
        let body = match form {
            Form::Kiln => serde_json::to_vec(&told),
            Form::Original => serde_json::to_vec(&as_original(&told)),
        };
        let body = Bytes::from(body.map_err(|_| Problem::internal())?);
        let version = Version::of(job);
        let etag =
            HeaderValue::try_from(format!("\"{version}-{}\"", digest(&body))).map_err(|_| Problem::internal())?;
        let requested = job.requested.as_ref().map_or(0, |request| request.seq);
        let Poll { status, queue_position: position, .. } = told;
        Ok(View { version, status, etag, body, requested, position, day, source, read: Instant::now() })
    }

    /// The whole answer, with a download address if a day of signing is given.
    pub(super) fn tell(&self, id: JobId, job: &Job, signed: Option<Timestamp>) -> Poll {
        let output = job.completed().map(|completed| completed.output.clone());
        let key = output.as_ref().and_then(Output::key);
        let url = key.zip(signed).map(|(key, day)| self.bucket.sign_get_from(key, day, LONGEST_SIGNATURE));
        Poll {
            job_id: id,
            kind: "render".into(),
            status: job.status(),
            progress: job.percent(),
            stage: job.stage().map(str::to_owned),
            attempt: job.shown_attempt(),
            queue_position: self.position(job),
            waiting_for: job.waiting_for(),
            until: job.until(),
            result: output,
            error: job.failure(),
            download_url_expires_at: url.as_ref().and(signed).map(|day| day + LONGEST_SIGNATURE),
            download_url: url,
            metadata: job.spec().map(|spec| spec.metadata.clone()).unwrap_or_default(),
            created_at: job.requested.as_ref().map(|fact| fact.time),
            updated_at: job.updated_at,
        }
    }

    /// The place of a pending job in the queue, from 1; `None` for another one, and while nobody knows.
    pub(super) fn position(&self, job: &Job) -> Option<u64> {
        self.place(job.status(), job.requested.as_ref()?.seq)
    }

    fn place(&self, status: Status, requested: u64) -> Option<u64> {
        if status != Status::Pending {
            return None;
        }
        self.watch.position(requested).and_then(|position| position.try_into().ok())
    }
}

/// If log and projection know less of an attempt's progress than the client saw, and more of the job.
fn remember(mut job: Job, least: Version) -> Job {
    let known = Version::of(&job);
    if !known.includes(least) && known.seq() > least.seq() {
        least.report().iter().for_each(|report| job.absorb(report));
    }
    job
}

/// What tells one answer from another.
pub(super) fn digest(body: &[u8]) -> String {
    events::hex(&Sha256::digest(body)[..8])
}

fn as_original(told: &Poll) -> Value {
    let mut body = serde_json::to_value(told).unwrap_or_default();
    body["error"] = told.error.as_ref().map_or(Value::Null, |failure| failure.message.clone().into());
    body
}

fn day(now: Timestamp) -> Timestamp {
    Timestamp::from_unix_ms(now.unix_ms() - now.unix_ms().rem_euclid(DAY_MS))
}
