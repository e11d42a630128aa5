//! The gate that every write passes.
//!
//! Somebody who knows what was written before (a fence, kept elsewhere) looks at the log and opens the gate, for one
//! connection: on the next one there may be another log, and nothing is written before it was looked at.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::watch;

use crate::Cause;

/// What the one who looks at the log has said last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum State {
    /// Nobody looks: everything passes.
    Unguarded,
    /// The log was fine on this connection.
    Open(u64),
    /// Nothing passes, for this reason.
    Closed(Arc<str>),
}

/// One per connection; clones of the connection share it.
#[derive(Debug)]
pub(crate) struct Gate {
    state: watch::Sender<State>,
    /// The highest sequence of the log that an answer has told this process of.
    acknowledged: AtomicU64,
}

impl Default for Gate {
    fn default() -> Self {
        Self { state: watch::Sender::new(State::Unguarded), acknowledged: AtomicU64::new(0) }
    }
}

impl Gate {
    pub(crate) fn open(&self, connects: u64) {
        self.state.send_replace(State::Open(connects));
    }

    pub(crate) fn close(&self, reason: &str) {
        self.state.send_replace(State::Closed(reason.into()));
    }

    pub(crate) fn refusal(&self) -> Option<Arc<str>> {
        match &*self.state.borrow() {
            State::Closed(reason) => Some(Arc::clone(reason)),
            State::Unguarded | State::Open(_) => None,
        }
    }

    /// An error says why nothing passes now on this connection.
    pub(crate) fn check(&self, connects: u64) -> Result<(), Cause> {
        match &*self.state.borrow() {
            State::Unguarded => Ok(()),
            State::Open(checked) if *checked == connects => Ok(()),
            State::Open(_) => Err(Cause::Unchecked),
            State::Closed(reason) => Err(Cause::Fenced(reason.to_string())),
        }
    }

    /// Comes back when somebody has spoken since.
    pub(crate) fn changes(&self) -> watch::Receiver<State> {
        self.state.subscribe()
    }

    pub(crate) fn note(&self, seq: u64) {
        self.acknowledged.fetch_max(seq, Ordering::Relaxed);
    }

    pub(crate) fn take_acknowledged(&self) -> u64 {
        self.acknowledged.swap(0, Ordering::Relaxed)
    }
}
