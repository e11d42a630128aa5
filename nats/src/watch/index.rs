//! Jobs by name, by status and by age.
//!
//! A row is found by its job's name at once: every poll needs it. Jobs that are neighbours by age stand in a chunk that
//! knows how many of them have which status. So a place in the queue is counted over chunks, and a rare status is found
//! without looking at every job.

use std::collections::{BTreeMap, HashMap};

use events::{JobId, Status, WaitingFor};
use tokio::sync::watch;

use super::chunk::Chunk;
use super::glance::Glance;

/// Listeners that have gone are looked for when there are twice as many as at the last look, and at least so many.
const LEAST_PRUNED: usize = 1024;

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// The sequence of its request in the log: its age among all jobs.
    pub requested: u64,
    /// The sequence in the log up to which its entry was folded.
    pub version: u64,
    /// The revision of its entry.
    pub revision: u64,
    /// When it was requested, in whole seconds since 1970.
    pub requested_s: u32,
    /// Its status.
    pub status: Status,
    /// What it waits for, as its entry tells; `None` after its end.
    pub waiting_for: Option<WaitingFor>,
}

#[derive(Debug)]
pub(super) struct Index {
    rows: HashMap<JobId, Row>,
    chunks: BTreeMap<u64, Chunk>,
    counts: [usize; Status::ALL.len()],
    waits: [usize; WaitingFor::ALL.len()],
    /// What was requested before this sequence has aged out of the log.
    first: u64,
    listeners: HashMap<JobId, watch::Sender<u64>>,
    prune_at: usize,
}

impl Default for Index {
    fn default() -> Self {
        Self {
            rows: HashMap::new(),
            chunks: BTreeMap::new(),
            counts: [0; Status::ALL.len()],
            waits: [0; WaitingFor::ALL.len()],
            first: 0,
            listeners: HashMap::new(),
            prune_at: LEAST_PRUNED,
        }
    }
}

impl Index {
    /// Takes over an entry; `None` if it is deleted or unreadable. What the log said once stays known: an entry that is
    /// gone, or that a rebuild has only begun, takes nothing back.
    pub(super) fn set(&mut self, id: JobId, revision: u64, glance: Option<Glance>) {
        let known = self.row(id);
        let told = glance.and_then(|glance| glance.row(revision)).filter(|row| row.requested >= self.first);
        let row = match (told, known) {
            (Some(told), Some(known)) if told.version < known.version => Some(Row { revision, ..known }),
            (Some(told), _) => Some(told),
            (None, known) => known.map(|known| Row { revision, ..known }),
        };
        if let Some(row) = row {
            if known.is_some_and(|known| known.requested != row.requested) {
                self.remove(id);
            }
            self.insert(id, row);
        }
        self.tell(id, revision);
    }

    /// Forgets what has aged out of the log, which now begins at `first`.
    pub(super) fn expire(&mut self, first: u64) {
        self.first = first;
        while let Some((_, id)) = self.oldest_of_all().filter(|(requested, _)| *requested < first) {
            self.remove(id);
            self.tell(id, 0);
        }
    }

    /// For another log.
    pub(super) fn clear(&mut self) {
        let listeners = std::mem::take(&mut self.listeners);
        *self = Self { listeners, prune_at: self.prune_at, ..Self::default() };
        self.tell_all();
    }

    /// For another bucket: nobody knows what was missed.
    pub(super) fn tell_all(&mut self) {
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

    pub(super) fn counts(&self) -> [usize; Status::ALL.len()] {
        self.counts
    }

    pub(super) fn waits(&self) -> [usize; WaitingFor::ALL.len()] {
        self.waits
    }

    pub(super) fn first(&self) -> u64 {
        self.first
    }

    /// The job of this status that was requested first.
    pub(super) fn oldest(&self, status: Status) -> Option<Row> {
        let chunk = self.chunks.values().find(|chunk| chunk.count(status) > 0)?;
        let (_, id, _) = chunk.jobs().find(|(.., its)| *its == status)?;
        self.row(id)
    }

    /// How many jobs of this status were requested before this sequence.
    pub(super) fn before(&self, status: Status, requested: u64) -> usize {
        let chunk = Chunk::number(requested);
        let whole: usize = self.chunks.range(..chunk).map(|(_, chunk)| chunk.count(status)).sum();
        whole + self.chunks.get(&chunk).map_or(0, |chunk| chunk.before(status, requested))
    }

    /// The newest first, requested before this sequence.
    pub(super) fn list(&self, status: Option<Status>, before: u64, limit: usize) -> Vec<(u64, JobId)> {
        let chunks = self.chunks.range(..=Chunk::number(before)).rev();
        let has_some = |chunk: &Chunk| status.is_none_or(|status| chunk.count(status) > 0);
        let jobs = chunks.filter(|(_, chunk)| has_some(chunk)).flat_map(|(_, chunk)| chunk.jobs().rev());
        let fitting =
            jobs.filter(|(requested, _, its)| *requested < before && status.is_none_or(|status| status == *its));
        fitting.map(|(requested, id, _)| (requested, id)).take(limit).collect()
    }

    fn oldest_of_all(&self) -> Option<(u64, JobId)> {
        let (_, chunk) = self.chunks.first_key_value()?;
        chunk.jobs().next().map(|(requested, id, _)| (requested, id))
    }

    fn insert(&mut self, id: JobId, row: Row) {
        let number = Chunk::number(row.requested);
        self.chunks.entry(number).or_insert_with(|| Chunk::new(number)).set(id, row.requested, row.status);
        self.counts[row.status as usize] += 1;
        if let Some(what) = row.waiting_for {
            self.waits[what as usize] += 1;
        }
        if let Some(replaced) = self.rows.insert(id, row) {
            self.uncount(&replaced);
        }
    }

    fn uncount(&mut self, row: &Row) {
        self.counts[row.status as usize] -= 1;
        if let Some(what) = row.waiting_for {
            self.waits[what as usize] -= 1;
        }
    }

    fn remove(&mut self, id: JobId) {
        let Some(row) = self.rows.remove(&id) else { return };
        self.uncount(&row);
        let number = Chunk::number(row.requested);
        let Some(chunk) = self.chunks.get_mut(&number) else { return };
        chunk.remove(id, row.requested);
        if chunk.jobs().next().is_none() {
            self.chunks.remove(&number);
        }
    }

    fn tell(&mut self, id: JobId, revision: u64) {
        if let Some(listener) = self.listeners.get(&id)
            && listener.send(revision).is_err()
        {
            self.listeners.remove(&id);
        }
    }
}
