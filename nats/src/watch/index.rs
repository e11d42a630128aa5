//! Jobs by name, by status and by age.
//!
//! A row is 48 bytes, and stands with its neighbours by age in a chunk that knows how many of its rows have which status.
//! So a place in the queue is counted over chunks, and a rare status is found without looking at every row.

use std::collections::{BTreeMap, HashMap};

use events::{JobId, Status, WaitingFor};
use tokio::sync::watch;

use super::chunk::Chunk;
use super::glance::Glance;

/// Listeners that have gone are looked for when there are twice as many as at the last look, and at least so many.
const LEAST_PRUNED: usize = 1024;
/// Sequences of the log whose requests stand in one chunk, as a power of two: about a thousand jobs.
const CHUNK_BITS: u32 = 12;

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
    /// The sequence of each job's request.
    requests: HashMap<JobId, u64>,
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
            requests: HashMap::new(),
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
            if let Some(known) = known.filter(|known| known.requested != row.requested) {
                self.remove(id, known.requested);
            }
            self.insert(id, row);
        }
        self.tell(id, revision);
    }

    /// Forgets what has aged out of the log, which now begins at `first`.
    pub(super) fn expire(&mut self, first: u64) {
        self.first = first;
        while let Some(entry) = self.chunks.first_entry() {
            let (id, row) = entry.get().oldest();
            if row.requested >= first {
                break;
            }
            self.remove(id, row.requested);
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
        let requested = *self.requests.get(&id)?;
        self.chunks.get(&chunk_of(requested))?.get(id, requested)
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
        chunk.oldest_first().map(|(_, row)| *row).find(|row| row.status == status)
    }

    /// How many jobs of this status were requested before this sequence.
    pub(super) fn before(&self, status: Status, requested: u64) -> usize {
        let chunk = chunk_of(requested);
        let whole: usize = self.chunks.range(..chunk).map(|(_, chunk)| chunk.count(status)).sum();
        whole + self.chunks.get(&chunk).map_or(0, |chunk| chunk.before(status, requested))
    }

    /// The newest first, requested before this sequence.
    pub(super) fn list(&self, status: Option<Status>, before: u64, limit: usize) -> Vec<(u64, JobId)> {
        let chunks = self.chunks.range(..=chunk_of(before)).rev();
        let has_some = |chunk: &Chunk| status.is_none_or(|status| chunk.count(status) > 0);
        let rows = chunks.filter(|(_, chunk)| has_some(chunk)).flat_map(|(_, chunk)| chunk.newest_first());
        let fits = |row: &Row| row.requested < before && status.is_none_or(|status| row.status == status);
        rows.filter(|(_, row)| fits(row)).take(limit).map(|(id, row)| (row.requested, *id)).collect()
    }

    fn insert(&mut self, id: JobId, row: Row) {
        self.requests.insert(id, row.requested);
        let replaced = self.chunks.entry(chunk_of(row.requested)).or_default().insert(id, row);
        self.counts[row.status as usize] += 1;
        if let Some(what) = row.waiting_for {
            self.waits[what as usize] += 1;
        }
        if let Some(replaced) = replaced {
            self.uncount(&replaced);
        }
    }

    fn uncount(&mut self, row: &Row) {
        self.counts[row.status as usize] -= 1;
        if let Some(what) = row.waiting_for {
            self.waits[what as usize] -= 1;
        }
    }

    fn remove(&mut self, id: JobId, requested: u64) {
        self.requests.remove(&id);
        let key = chunk_of(requested);
        let Some(chunk) = self.chunks.get_mut(&key) else { return };
        let removed = chunk.remove(id, requested);
        if chunk.is_empty() {
            self.chunks.remove(&key);
        }
        if let Some(row) = removed {
            self.uncount(&row);
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

fn chunk_of(requested: u64) -> u64 {
    requested >> CHUNK_BITS
}
