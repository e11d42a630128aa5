//! What readers want to know of a job beyond its facts.

use events::{Attempt, Event, Job, JobId, Kind, Timestamp, subject};
use serde_json::Value;

use crate::stored::{last, last_of_each};
use crate::topology::{RENDER, RENDER_PROGRESS};
use crate::{Error, Log};

/// One message of a job, as people read it.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// Its sequence in the log.
    pub seq: u64,
    /// When the log took it.
    pub time: Timestamp,
    /// Its kind; also one that only a newer release knows.
    pub kind: String,
    /// Its attempt, where it has one.
    pub attempt: Option<Attempt>,
    /// Its payload; `null` for what cannot be read.
    pub data: Value,
}

impl Log {
    /// Everything that the log has of a job, in its order.
    pub async fn timeline(&self, id: JobId) -> Result<Vec<Line>, Error> {
        let found = last_of_each(self.bus(), RENDER, &[subject::of_job(id)]).await;
        let found = found.map_err(|cause| Error::Load(id, cause))?;
        let lines = found.into_iter().filter_map(|stored| {
            let (_, recorded) = stored.recorded()?;
            let data = match &recorded.event {
                Event::Unknown => serde_json::from_slice(&stored.payload).unwrap_or_default(),
                event => event.payload(),
            };
            // The kind is the third of a subject's tokens, and the attempt the fourth, in every release.
            let mut tokens = stored.subject.split('.').skip(2);
            let kind = tokens.next()?.to_owned();
            let attempt = recorded.event.kind().and_then(Kind::attempt);
            let attempt = attempt.or_else(|| Attempt::parse(tokens.next()?).ok());
            Some(Line { seq: recorded.seq, time: recorded.time, kind, attempt, data })
        });
        Ok(lines.collect())
    }

    /// The job at least at this version, with its last report of progress, where that can be had.
    pub async fn load_whole(&self, id: JobId, version: u64) -> Result<Job, Error> {
        let report = subject::of(id, Kind::Progressed);
        let (job, report) = tokio::join!(self.load_at_least(id, version), last(self.bus(), RENDER_PROGRESS, &report));
        let mut job = job?;
        if let Ok(Some((_, recorded))) = report.map(|found| found.and_then(|stored| stored.recorded())) {
            job.absorb(&recorded);
        }
        Ok(job)
    }
}
