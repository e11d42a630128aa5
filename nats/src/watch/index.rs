//! Jobs by name, by status and by age.

use std::collections::{BTreeMap, HashMap};

use events::{JobId, Status};
use serde::Deserialize;
use tokio::sync::watch;

/// Listeners that have gone are looked for when there are twice as many as at the last look, and at least so many.
const LEAST_PRUNED: usize = 1024;

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// Its status.
    pub status: Status,
    /// The sequence of its request in the log: its age among all jobs.
    pub requested: u64,
    /// The sequence in the log up to which its entry was folded.
    pub version: u64,
    /// The revision of its entry.
    pub revision: u64,
}

/// The little of an entry that the index needs.
#[derive(Debug, Deserialize)]
pub(super) struct Glance {
    #[serde(default)]
    status: Status,
    job: GlanceAtJob,
}

#[derive(Debug, Deserialize)]
struct GlanceAtJob {
    seq: u64,
    requested: Option<GlanceAtRequest>,
}

#[derive(Debug, Deserialize)]
struct GlanceAtRequest {
    seq: u64,
}

#[derive(Debug)]
pub(super) struct Index {
    rows: HashMap<JobId, Row>,
    by_status: BTreeMap<Status, BTreeMap<u64, JobId>>,
    listeners: HashMap<JobId, watch::Sender<u64>>,
    prune_at: usize,
}

impl Default for Index {
    fn default() -> Self {
        Self {
            rows: HashMap::new(),
            by_status: Status::ALL.into_iter().map(|status| (status, BTreeMap::new())).collect(),
            listeners: HashMap::new(),
            prune_at: LEAST_PRUNED,
        }
    }
}

impl Index {
    /// Takes over an entry; `None` if it is deleted or unreadable.
    pub(super) fn set(&mut self, id: JobId, revision: u64, glance: Option<Glance>) {
        if let Some(old) = self.rows.remove(&id) {
            self.of_mut(old.status).remove(&old.requested);
        }
        let requested = glance.as_ref().and_then(|glance| glance.job.requested.as_ref()).map(|request| request.seq);
        if let (Some(Glance { status, job }), Some(requested)) = (glance, requested) {
            self.rows.insert(id, Row { status, requested, version: job.seq, revision });
            self.of_mut(status).insert(requested, id);
        }
        if let Some(listener) = self.listeners.get(&id)
            && listener.send(revision).is_err()
        {
            self.listeners.remove(&id);
        }
    }

    /// For another bucket. Those who wait are told.
    pub(super) fn clear(&mut self) {
        self.rows.clear();
        self.by_status.values_mut().for_each(BTreeMap::clear);
        self.listeners.retain(|_, listener| listener.send(0).is_ok());
    }

    pub(super) fn row(&self, id: JobId) -> Option<Row> {
        self.rows.get(&id).copied()
    }

    pub(super) fn subscribe(&mut self, id: JobId) -> watch::Receiver<u64> {
        if self.listeners.len() >= self.prune_at {
            self.listeners.retain(|_, listener| listener.receiver_count() > 0);
            self.prune_at = LEAST_PRUNED.max(self.listeners.len() * 2);
        }
        let revision = self.row(id).map_or(0, |row| row.revision);
        self.listeners.entry(id).or_insert_with(|| watch::Sender::new(revision)).subscribe()
    }

    pub(super) fn count(&self, status: Status) -> usize {
        self.of(status).len()
    }

    pub(super) fn position(&self, id: JobId) -> Option<usize> {
        let row = self.row(id).filter(|row| row.status == Status::Pending)?;
        Some(self.of(Status::Pending).range(..=row.requested).count())
    }

    pub(super) fn list(&self, status: Option<Status>, before: u64, limit: usize) -> Vec<(u64, JobId)> {
        let of = |status: Status| self.of(status).range(..before).rev().take(limit).map(|(seq, id)| (*seq, *id));
        let mut found: Vec<_> = match status {
            Some(status) => of(status).collect(),
            None => Status::ALL.into_iter().flat_map(of).collect(),
        };
        found.sort_unstable_by(|a, b| b.cmp(a));
        found.truncate(limit);
        found
    }

    fn of(&self, status: Status) -> &BTreeMap<u64, JobId> {
        &self.by_status[&status]
    }

    fn of_mut(&mut self, status: Status) -> &mut BTreeMap<u64, JobId> {
        self.by_status.entry(status).or_default()
    }
}
