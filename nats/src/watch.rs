//! One watch of the bucket per process: which jobs there are, where they stand, and who waits for a change.
//!
//! The index is a hint for lists, queue positions and wake-ups. What a client is told is read from the bucket or the log.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_nats::jetstream::consumer::{DeliverPolicy, push};
use async_nats::jetstream::{self, Message};
use events::{JobId, Status, Timestamp, WaitingFor};
use futures_util::StreamExt;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;

use crate::head::info;
use crate::jobs::PREFIX;
use crate::stored::next_of_leader;
use crate::topology::{KV_JOBS, RENDER};
use crate::{Bus, Cause, Error};

mod chunk;
mod glance;
mod index;

use glance::Glance;
use index::Index;
pub use index::Row;

/// How often bucket and log are compared with those that are watched: a bucket that was deleted and made anew has
/// sequences of its own, and a watch of the old one would see nothing for long. What the log lets go is told by nobody.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Before the watch is made anew.
const PAUSE: Duration = Duration::from_millis(250);

/// What the bucket holds, as far as this process has heard. Clones share it.
#[derive(Debug, Clone)]
pub struct Watch {
    index: Arc<Mutex<Index>>,
    caught_up: watch::Sender<bool>,
    epoch: Arc<AtomicU64>,
}

impl Default for Watch {
    fn default() -> Self {
        Self { index: Arc::default(), caught_up: watch::Sender::new(false), epoch: Arc::default() }
    }
}

/// What tells a bucket and a log from others of the same name, how far the bucket is written, and where the log begins.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Look {
    bucket: String,
    written: u64,
    log: String,
    first: u64,
}

impl Watch {
    /// Follows the bucket until the stop.
    pub async fn run(&self, bus: &Bus, stop: CancellationToken) {
        let following = async {
            let mut last = Look::default();
            let mut after = 0;
            loop {
                if let Err(error) = self.follow(bus, &mut last, &mut after).await {
                    tracing::warn!(error = %error, cause = ?std::error::Error::source(&error), "watching the entries anew");
                }
                sleep(PAUSE).await;
            }
        };
        stop.run_until_cancelled(following).await;
    }

    /// Whether everything that was in the bucket when the watch began is known.
    pub fn is_caught_up(&self) -> bool {
        *self.caught_up.borrow()
    }

    /// Waits for [`Watch::is_caught_up`].
    pub async fn caught_up(&self) {
        let mut caught_up = self.caught_up.subscribe();
        caught_up.wait_for(|is_caught_up| *is_caught_up).await.expect("we hold the sender");
    }

    /// Changes with the bucket: revisions of one epoch say nothing about those of another.
    pub fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// Where a job stands.
    pub fn row(&self, id: JobId) -> Option<Row> {
        self.index().row(id)
    }

    /// Whether a job has aged out of the log, by the sequence of its request.
    pub fn is_expired(&self, requested: u64) -> bool {
        requested < self.index().first()
    }

    /// Changes whenever the job's entry does; the value is its revision, 0 where that is not known.
    pub fn subscribe(&self, id: JobId) -> watch::Receiver<u64> {
        self.index().subscribe(id)
    }

    /// How many jobs are in each status.
    pub fn counts(&self) -> [(Status, usize); Status::ALL.len()] {
        let counts = self.index().counts();
        Status::ALL.map(|status| (status, counts[status as usize]))
    }

    /// How many jobs wait for what.
    pub fn waits(&self) -> [(WaitingFor, usize); WaitingFor::ALL.len()] {
        let waits = self.index().waits();
        WaitingFor::ALL.map(|what| (what, waits[what as usize]))
    }

    /// The place in the queue, from 1, of a pending job that was requested at this sequence, whether or not its entry is
    /// there already. `None` until everything is known.
    pub fn position(&self, requested: u64) -> Option<usize> {
        self.is_caught_up().then(|| self.index().before(Status::Pending, requested) + 1)
    }

    /// When the job of this status was requested that is the oldest one, to the second.
    pub fn oldest(&self, status: Status) -> Option<Timestamp> {
        let row = self.index().oldest(status)?;
        Some(Timestamp::from_unix_ms(i64::from(row.requested_s) * 1000))
    }

    /// The newest jobs first, of one status or of all; `before` is the request's sequence where the last page ended.
    pub fn list(&self, status: Option<Status>, before: Option<u64>, limit: usize) -> Vec<(u64, JobId)> {
        self.index().list(status, before.unwrap_or(u64::MAX), limit)
    }

    fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().expect("nothing panics under this lock")
    }

    /// One bucket, until it is another one or the watch breaks: from its beginning, or after an entry that cannot be
    /// delivered, when all before it is known.
    async fn follow(&self, bus: &Bus, last: &mut Look, after: &mut u64) -> Result<(), Error> {
        let look = look(bus).await?;
        let config = push::OrderedConfig {
            deliver_subject: bus.client().new_inbox(),
            deliver_policy: match std::mem::take(after) {
                0 => DeliverPolicy::LastPerSubject,
                unreadable => DeliverPolicy::ByStartSequence { start_sequence: unreadable + 1 },
            },
            filter_subject: format!("{PREFIX}>"),
            ..push::OrderedConfig::default()
        };
        let failed = |error: async_nats::Error| Error::Watch(Cause::client(error));
        let context = jetstream::new(bus.client().clone());
        let consumer =
            context.create_consumer_on_stream(config, KV_JOBS).await.map_err(|error| failed(error.into()))?;
        let is_empty = consumer.cached_info().num_pending == 0;
        let mut messages = consumer.messages().await.map_err(|error| failed(error.into()))?;
        self.begin(&look, last, is_empty);
        last.clone_from(&look);
        let mut pulse = Pulse { heard: if is_empty { look.written } else { 0 }, last: None };
        let mut looks = interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                message = messages.next() => match message {
                    Some(Ok(message)) => pulse.heard = pulse.heard.max(self.take(&message, look.written)),
                    // Not the end: it mends itself.
                    Some(Err(error)) => {
                        tracing::debug!(%error, "the watch of the entries was interrupted");
                        sleep(PAUSE).await;
                    }
                    None => return Err(Error::Watch(Cause::Disconnected)),
                },
                _ = looks.tick() => if self.is_over(bus, &look, &mut pulse).await {
                    *after = self.take_over(bus, pulse.heard).await?;
                    return Ok(());
                },
            }
        }
    }

    /// Another bucket holds the same jobs, made of the same log; another log holds others.
    fn begin(&self, look: &Look, last: &Look, is_empty: bool) {
        self.epoch.fetch_add(1, Ordering::AcqRel);
        let mut index = self.index();
        if last.log != look.log {
            index.clear();
            self.caught_up.send_replace(false);
        }
        index.expire(look.first);
        index.tell_all();
        if is_empty {
            self.caught_up.send_replace(true);
        }
    }

    /// Whether there is another bucket to follow, or this one to follow anew.
    async fn is_over(&self, bus: &Bus, known: &Look, pulse: &mut Pulse) -> bool {
        match look(bus).await {
            Ok(now) if now.bucket != known.bucket || now.log != known.log => {
                tracing::warn!("the bucket or the log was made anew; the bucket is read from its beginning");
                pulse.heard = 0;
                true
            }
            Ok(now) if pulse.has_stopped(now.written) => {
                tracing::warn!("the bucket is written to and nothing is heard; it is followed anew");
                true
            }
            Ok(now) => {
                self.index().expire(now.first);
                false
            }
            Err(error) => {
                tracing::debug!(%error, "bucket and log cannot be looked at");
                false
            }
        }
    }

    fn set(&self, subject: &str, revision: u64, payload: &[u8]) {
        if let Some(id) = subject.strip_prefix(PREFIX).and_then(|key| JobId::parse(key).ok()) {
            // A deleted entry has no payload.
            self.index().set(id, revision, serde_json::from_slice::<Glance>(payload).ok());
        }
    }

    /// The next entry, if it is one over which the client library drops the connection, again and again: its revision,
    /// else 0.
    async fn take_over(&self, bus: &Bus, heard: u64) -> Result<u64, Error> {
        let next = next_of_leader(bus, KV_JOBS, heard + 1, &format!("{PREFIX}>")).await.map_err(Error::Watch)?;
        let Some(unreadable) = next.filter(|next| !next.is_readable) else { return Ok(0) };
        tracing::error!(message.seq = unreadable.seq, "an entry with unreadable headers is taken over without them");
        self.set(&unreadable.subject, unreadable.seq, &unreadable.payload);
        Ok(unreadable.seq)
    }

    /// Up to which revision everything is known that `written` promised, as far as this message tells.
    fn take(&self, message: &Message, written: u64) -> u64 {
        let Ok(info) = message.info() else { return 0 };
        self.set(&message.subject, info.stream_sequence, &message.payload);
        if info.pending == 0 {
            self.caught_up.send_replace(true);
            return info.stream_sequence.max(written);
        }
        info.stream_sequence
    }
}

/// Whether what is written is still heard. After a change of the stream's leader a consumer may stay silent for a minute.
struct Pulse {
    /// The newest revision that was heard.
    heard: u64,
    /// The same at the last look, and the newest one that was written by then.
    last: Option<(u64, u64)>,
}

impl Pulse {
    /// Nothing was heard between two looks, though at the first one there was more to hear.
    fn has_stopped(&mut self, written: u64) -> bool {
        let last = self.last.replace((self.heard, written));
        last.is_some_and(|(heard, written)| heard == self.heard && heard < written)
    }
}

async fn look(bus: &Bus) -> Result<Look, Error> {
    let bucket = info(bus, KV_JOBS).await.map_err(Error::Watch)?;
    let log = info(bus, RENDER).await.map_err(Error::Watch)?;
    Ok(Look { bucket: bucket.created, written: bucket.state.last_seq, log: log.created, first: log.state.first_seq })
}

#[cfg(test)]
mod tests {
    use super::Pulse;

    #[test]
    fn a_watch_is_followed_anew_only_when_it_hears_nothing_of_what_was_written() {
        let mut pulse = Pulse { heard: 0, last: None };
        assert!(!pulse.has_stopped(10), "it has only begun");
        pulse.heard = 4;
        assert!(!pulse.has_stopped(12), "it comes slowly");
        pulse.heard = 12;
        assert!(!pulse.has_stopped(12));
        assert!(!pulse.has_stopped(12), "there is nothing to hear");
        assert!(!pulse.has_stopped(13), "it was written a moment ago");
        assert!(pulse.has_stopped(13));
    }
}
