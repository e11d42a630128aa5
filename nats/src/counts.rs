//! What a connection counts, for whoever shows it.

use std::sync::atomic::{AtomicU64, Ordering};

/// What happened since the connection was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Events that were appended to the log.
    pub appends: u64,
    /// Appends that another writer was ahead of.
    pub conflicts: u64,
    /// Messages that came more than once.
    pub redeliveries: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) appends: AtomicU64,
    pub(crate) conflicts: AtomicU64,
    pub(crate) redeliveries: AtomicU64,
}

impl Counters {
    pub(crate) fn add(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn read(&self) -> Counts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counts {
            appends: read(&self.appends),
            conflicts: read(&self.conflicts),
            redeliveries: read(&self.redeliveries),
        }
    }
}
