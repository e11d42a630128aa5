//! Looks at the log, again and again, and opens or closes the gate that every write passes.

use std::time::Duration;

use nats::{Bus, Head, Log};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::{Fence, Fences, Verdict, store};
use crate::bucket::Bucket;
use crate::clock;

/// Between two looks at a log that is fine. A new connection is looked at once, before anything is written there.
const BEAT: Duration = Duration::from_secs(15);
/// Between two looks while nothing is written: a person may have helped.
const CLOSED_BEAT: Duration = Duration::from_secs(1);
/// The fence is written at most so often.
const WRITE_EVERY: Duration = Duration::from_mins(1);
/// How long one look may take.
const LOOK_LIMIT: Duration = Duration::from_secs(10);
/// How long the bucket may take to say what it has; after that, what was known before holds.
const READ_LIMIT: Duration = Duration::from_secs(3);
/// A new leader may not have applied all that it has: only who is behind for so long went back.
const SECOND_LOOK: Duration = Duration::from_secs(1);

const UNKNOWN: &str = "it is not known yet whether this is the log that was written before";

/// Whether a watch also writes the fence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keeper {
    /// The projector does.
    Yes,
    /// Everybody else only reads it.
    No,
}

/// One role's watch over its log.
pub struct Watch {
    log: Log,
    fences: Fences,
    keeper: Keeper,
    /// How far the log was written: the most that the bucket, the log itself or its answers to this process have said.
    known: Option<Fence>,
    /// What the bucket said last.
    kept: Option<Fence>,
    /// Whether it has answered at all.
    has_read: bool,
    /// Whether the bucket's silence was told.
    is_troubled: bool,
}

/// Why a look found nothing out.
#[derive(Debug, thiserror::Error)]
enum Blind {
    #[error(transparent)]
    Fence(#[from] store::Error),
    #[error(transparent)]
    Log(#[from] nats::Error),
    #[error("no answer in time")]
    Slow(#[from] tokio::time::error::Elapsed),
}

impl Watch {
    /// Looks for the first time. Until the bucket has answered once, nothing is written: without its keys and its objects
    /// no role could do much anyhow.
    pub async fn start(bus: &Bus, bucket: &Bucket, keeper: Keeper) -> Self {
        bus.close_gate(UNKNOWN);
        let (log, fences) = (Log::new(bus.clone()), Fences::new(bucket.clone()));
        let mut watch = Self { log, fences, keeper, known: None, kept: None, has_read: false, is_troubled: false };
        watch.look().await;
        watch
    }

    /// The connection whose gate this is.
    pub fn bus(&self) -> &Bus {
        self.log.bus()
    }

    /// Looks until the stop, at every new connection and now and then.
    pub async fn run(mut self, stop: CancellationToken) {
        let bus = self.bus().clone();
        loop {
            let connects = bus.connects();
            let beat = if bus.refusal().is_none() && !self.is_troubled { BEAT } else { CLOSED_BEAT };
            tokio::select! {
                () = stop.cancelled() => break,
                () = bus.reconnected(connects) => {}
                () = sleep(beat) => {}
            }
            self.look().await;
        }
        if self.keeper == Keeper::Yes && bus.refusal().is_none() && self.look().await {
            self.keep(Duration::ZERO).await;
        }
    }

    /// Returns whether the log may be written.
    async fn look(&mut self) -> bool {
        let connects = self.bus().connects();
        let verdict = match timeout(LOOK_LIMIT, Box::pin(self.judge())).await.map_err(Blind::from).flatten() {
            Ok(verdict) => verdict,
            Err(blind) => {
                if !std::mem::replace(&mut self.is_troubled, true) {
                    tracing::warn!(error = crate::chain(&blind), "the log could not be compared with the fence");
                }
                return false;
            }
        };
        self.is_troubled = false;
        self.tell(&verdict, connects);
        if !verdict.is_fine() {
            // What only this process remembers must be seen by whoever decides what to do.
            self.keep(Duration::ZERO).await;
        } else if self.keeper == Keeper::Yes {
            self.keep(WRITE_EVERY).await;
        }
        verdict.is_fine()
    }

    /// Opens or closes the gate.
    fn tell(&self, verdict: &Verdict, connects: u64) {
        let bus = self.bus();
        let before = bus.refusal();
        if verdict.is_fine() {
            if before.is_some_and(|reason| &*reason != UNKNOWN) {
                tracing::info!("{verdict}: it is written again");
            }
            bus.open_gate(connects);
            return;
        }
        let reason = verdict.to_string();
        if before.as_deref() != Some(&reason) {
            tracing::error!("nothing is written: {reason}");
        }
        bus.close_gate(&reason);
    }

    async fn judge(&mut self) -> Result<Verdict, Blind> {
        self.remember().await?;
        let mut verdict = self.compare(self.log.head().await?).await?;
        if matches!(verdict, Verdict::Behind { .. }) {
            sleep(SECOND_LOOK).await;
            verdict = self.compare(self.log.head().await?).await?;
        }
        Ok(verdict)
    }

    /// Joins what the bucket says, and what the log has acknowledged to this process.
    async fn remember(&mut self) -> Result<(), Blind> {
        let acknowledged = self.bus().take_acknowledged();
        if let Some(known) = self.known.as_mut().filter(|known| acknowledged > known.last_seq) {
            (known.last_seq, known.last_time) = (acknowledged, None);
        }
        let read = timeout(READ_LIMIT, self.fences.read()).await;
        match read.map_err(Blind::from).and_then(|read| Ok(read?)) {
            Ok(kept) => {
                if let Some(fence) = &kept
                    && self.known.as_ref().is_none_or(|known| fence.is_beyond(known))
                {
                    self.known = Some(fence.clone());
                }
                (self.kept, self.has_read) = (kept, true);
                Ok(())
            }
            // What was known before still holds.
            Err(error) if self.has_read => {
                tracing::warn!(error = crate::chain(&error), "the fence could not be read; the last one still holds");
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    async fn compare(&mut self, head: Option<Head>) -> Result<Verdict, nats::Error> {
        let verdict = super::compare(&self.log, self.known.as_ref(), head.as_ref()).await?;
        if let (true, Some(head)) = (verdict.is_fine(), head) {
            let accepted = self.known.as_ref().map_or(0, |known| known.accepted);
            self.known = Some(Fence::of(&head, accepted, clock::now()));
        }
        Ok(verdict)
    }

    /// Writes the fence down, if it moved and was not written just now.
    async fn keep(&mut self, pause: Duration) {
        let Some(known) = &self.known else { return };
        let is_due =
            self.kept.as_ref().is_none_or(|kept| known.is_beyond(kept) && clock::now().since(kept.written) >= pause);
        if !self.has_read || !is_due {
            return;
        }
        match Box::pin(self.fences.advance(known)).await {
            Ok(kept) => self.kept = Some(kept),
            Err(error) => tracing::warn!(error = crate::chain(&error), "the fence could not be written"),
        }
    }
}
