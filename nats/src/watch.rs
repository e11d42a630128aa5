//! One watch of the bucket per process: which jobs there are, where they stand, and who waits for a change.
//!
//! The index is a hint for lists, queue positions and wake-ups. What a client is told is read from the bucket or the log.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_nats::jetstream::consumer::{DeliverPolicy, push};
use async_nats::jetstream::{self, Message};
use events::{JobId, Status};
use futures_util::StreamExt;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;

use crate::topology::KV_JOBS;
use crate::{Bus, Cause, Error};

mod index;

pub use index::Row;
use index::{Glance, Index};

/// How often the bucket is compared with the one that is watched: one that was deleted and made anew has sequences of its
/// own, and a watch of the old one would see nothing for long.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Before the watch is made anew.
const PAUSE: Duration = Duration::from_millis(250);

/// What the bucket holds, as far as this process has heard. Clones share it.
#[derive(Debug, Clone)]
pub struct Watch {
    index: Arc<Mutex<Index>>,
    caught_up: watch::Sender<bool>,
}

impl Default for Watch {
    fn default() -> Self {
        Self { index: Arc::default(), caught_up: watch::Sender::new(false) }
    }
}

#[derive(Deserialize)]
struct Info {
    created: String,
}

impl Watch {
    /// Follows the bucket until the stop.
    pub async fn run(&self, bus: &Bus, stop: CancellationToken) {
        let following = async {
            loop {
                if let Err(error) = self.follow(bus).await {
                    tracing::warn!(%error, cause = ?std::error::Error::source(&error), "watching the entries anew");
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

    /// Where a job stands.
    pub fn row(&self, id: JobId) -> Option<Row> {
        self.index().row(id)
    }

    /// Changes whenever the job's entry does; the value is its revision, 0 while there is none.
    pub fn subscribe(&self, id: JobId) -> watch::Receiver<u64> {
        self.index().subscribe(id)
    }

    /// How many jobs are in each status.
    pub fn counts(&self) -> [(Status, usize); 5] {
        Status::ALL.map(|status| (status, self.index().count(status)))
    }

    /// The place of a pending job in the queue, from 1.
    pub fn position(&self, id: JobId) -> Option<usize> {
        self.index().position(id)
    }

    /// The newest jobs first, of one status or of all; `before` is the request's sequence where the last page ended.
    pub fn list(&self, status: Option<Status>, before: Option<u64>, limit: usize) -> Vec<(u64, JobId)> {
        self.index().list(status, before.unwrap_or(u64::MAX), limit)
    }

    fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().expect("nothing panics under this lock")
    }

    /// One bucket, from its beginning until it is another one or the watch breaks.
    async fn follow(&self, bus: &Bus) -> Result<(), Error> {
        let bucket = created(bus).await?;
        let config = push::OrderedConfig {
            deliver_subject: bus.client().new_inbox(),
            deliver_policy: DeliverPolicy::LastPerSubject,
            filter_subject: "$KV.JOBS.>".to_owned(),
            ..push::OrderedConfig::default()
        };
        let failed = |error: async_nats::Error| Error::Watch(Cause::Client(error));
        let context = jetstream::new(bus.client().clone());
        let consumer =
            context.create_consumer_on_stream(config, KV_JOBS).await.map_err(|error| failed(error.into()))?;
        let is_empty = consumer.cached_info().num_pending == 0;
        let mut messages = consumer.messages().await.map_err(|error| failed(error.into()))?;
        self.index().clear();
        self.caught_up.send_replace(is_empty);
        let mut looks = interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                message = messages.next() => match message {
                    Some(Ok(message)) => self.take(&message),
                    // Not the end: it mends itself.
                    Some(Err(error)) => {
                        tracing::debug!(%error, "the watch of the entries was interrupted");
                        sleep(PAUSE).await;
                    }
                    None => return Err(Error::Watch(Cause::Disconnected)),
                },
                _ = looks.tick() => match created(bus).await {
                    Ok(now) if now != bucket => {
                        tracing::warn!("the bucket was made anew; it is read from its beginning");
                        return Ok(());
                    }
                    Ok(_) => {}
                    Err(error) => tracing::debug!(%error, "the bucket cannot be looked at"),
                },
            }
        }
    }

    fn take(&self, message: &Message) {
        let Ok(info) = message.info() else { return };
        let id = message.subject.strip_prefix("$KV.JOBS.").and_then(|key| JobId::parse(key).ok());
        if let Some(id) = id {
            // A deleted entry has no payload.
            let glance = serde_json::from_slice::<Glance>(&message.payload).ok();
            self.index().set(id, info.stream_sequence, glance);
        }
        if info.pending == 0 {
            self.caught_up.send_replace(true);
        }
    }
}

/// Tells one bucket from another of the same name.
async fn created(bus: &Bus) -> Result<String, Error> {
    let info: Result<Info, Cause> = bus.ask(&format!("STREAM.INFO.{KV_JOBS}"), &json!({})).await;
    info.map(|info| info.created).map_err(Error::Watch)
}
