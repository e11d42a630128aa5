//! The bucket `JOBS`: one entry per job, made from the log and disposable.

use std::collections::HashMap;

use async_nats::HeaderMap;
use events::{Entry, JobId};

use crate::stored::{Stored, at, last, last_of_each, last_of_leader};
use crate::topology::KV_JOBS;
use crate::{Bus, Cause, Error};

/// The server's error number for an entry that has changed since it was read.
const WRONG_LAST_SEQUENCE: u64 = 10_071;
/// In front of each key.
pub(crate) const PREFIX: &str = "$KV.JOBS.";

/// Reads entries.
#[derive(Debug, Clone)]
pub struct Jobs {
    bus: Bus,
}

/// What the bucket has under a job's key.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Kept {
    /// The revision to replace; 0 if there never was one.
    pub(crate) revision: u64,
    /// `None` for one that is absent, deleted or unreadable.
    pub(crate) entry: Option<Entry>,
}

impl Jobs {
    /// Entries that can be had at once; the server itself answers up to 1024.
    pub const MANY: usize = 100;

    /// The bucket behind a connection.
    pub fn new(bus: Bus) -> Self {
        Self { bus }
    }

    /// The job's entry with its revision, as some replica knows it; `None` if there is none that can be read. Then the
    /// log tells.
    pub async fn get(&self, id: JobId) -> Result<Option<(u64, Entry)>, Error> {
        self.of_replica(id).await.map(Kept::known)
    }

    /// The same, where the entry probably has this revision: the server finds it more easily.
    pub async fn get_at(&self, id: JobId, revision: u64) -> Result<Option<(u64, Entry)>, Error> {
        match at(&self.bus, KV_JOBS, revision).await {
            Ok(Some(stored)) if stored.subject == subject(id) => Ok(Kept::of(Some(stored)).known()),
            // It has changed since, or cannot be delivered.
            Ok(_) | Err(Cause::Lost) => self.get(id).await,
            Err(cause) => Err(Error::Read(id, cause)),
        }
    }

    /// The entries of up to [`Jobs::MANY`] jobs, as some replica knows them, by one request. Those that are absent or
    /// unreadable are missing.
    pub async fn get_many(&self, ids: &[JobId]) -> Result<HashMap<JobId, Entry>, Error> {
        if ids.is_empty() {
            return Ok(HashMap::new());
        }
        let subjects: Vec<_> = ids.iter().map(|id| subject(*id)).collect();
        let found = last_of_each(&self.bus, KV_JOBS, &subjects).await.map_err(Error::ReadMany)?;
        let entries = found.into_iter().filter_map(|stored| {
            let id = JobId::parse(stored.subject.strip_prefix(PREFIX)?).ok()?;
            Some((id, Kept::of(Some(stored)).entry?))
        });
        Ok(entries.collect())
    }

    /// What is kept, as some replica knows it.
    pub(crate) async fn of_replica(&self, id: JobId) -> Result<Kept, Error> {
        last(&self.bus, KV_JOBS, &subject(id)).await.map(Kept::of).map_err(|cause| Error::Read(id, cause))
    }

    /// What is kept, as the leader knows it.
    pub(crate) async fn of_leader(&self, id: JobId) -> Result<Kept, Error> {
        last_of_leader(&self.bus, KV_JOBS, &subject(id)).await.map(Kept::of).map_err(|cause| Error::Read(id, cause))
    }

    /// Replaces the entry, unless it has changed since. The new revision, or `None` if it has.
    pub(crate) async fn replace(&self, id: JobId, entry: &Entry, revision: u64) -> Result<Option<u64>, Error> {
        let headers = expecting(revision);
        let payload = serde_json::to_vec(entry).expect("an entry is plain data");
        match self.bus.put(subject(id), headers, payload.into()).await {
            Ok(ack) => Ok(Some(ack.seq)),
            Err(Cause::Refused { code: WRONG_LAST_SEQUENCE, .. }) => Ok(None),
            Err(cause) => Err(Error::Project(id, cause)),
        }
    }
}

/// The server takes the entry only in the place of this one.
pub(crate) fn expecting(revision: u64) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert("Nats-Expected-Last-Subject-Sequence", revision.to_string());
    headers
}

pub(crate) fn subject(id: JobId) -> String {
    format!("{PREFIX}{id}")
}

impl Kept {
    fn of(stored: Option<Stored>) -> Self {
        let readable = stored.as_ref().filter(|stored| stored.is_readable);
        let entry = readable.and_then(|stored| serde_json::from_slice(&stored.payload).ok());
        Self { revision: stored.map_or(0, |stored| stored.seq), entry }
    }

    fn known(self) -> Option<(u64, Entry)> {
        Some((self.revision, self.entry?))
    }
}
