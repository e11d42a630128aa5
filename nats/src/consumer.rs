//! One loop for every role that holds messages until something is done about them.
//!
//! A handler says what happened, and this loop alone knows acknowledgements. While a handler runs, the server is told
//! so; a redelivery of what it holds does not start a second one. When the process ends, everything held is handed back.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use async_nats::jetstream::AckKind;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use crate::Bus;
use crate::dead::{bury, one_line};
use crate::pull::{Delivery, Puller};
use crate::topology::ACK_WAIT;

/// For tasks that were told to end at once.
const ABORT_LIMIT: Duration = Duration::from_secs(1);
/// The longest wait after a handler panicked.
const MAX_BACKOFF: Duration = Duration::from_mins(1);

/// What became of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It needs nothing more.
    Done,
    /// Deliver it again after this long. Meanwhile it keeps its place in the consumer's `max_ack_pending`.
    Later(Duration),
    /// It can never be obeyed: it becomes a dead letter, with this reason.
    Poison(String),
}

/// Which consumer, and how much of it at once.
#[derive(Debug, Clone)]
pub struct Consumer {
    /// The stream's name.
    pub stream: &'static str,
    /// The consumer's name.
    pub name: &'static str,
    /// Handlers at once.
    pub concurrency: usize,
    /// How long handlers may go on after the stop, before they are ended wherever they are.
    pub grace: Duration,
}

impl Consumer {
    /// Handles messages until the stop. A handler may die after each of its lines: its message comes again.
    pub async fn run<F>(&self, bus: &Bus, stop: CancellationToken, mut handle: impl FnMut(Delivery) -> F)
    where
        F: Future<Output = Verdict> + Send + 'static,
    {
        let mut puller = Puller::new(bus, self.stream, self.name);
        let mut held =
            Held { bus: bus.clone(), tasks: JoinSet::new(), by_task: HashMap::new(), subjects: HashSet::new() };
        let mut beat = interval(ACK_WAIT / 3);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let room = self.concurrency.saturating_sub(held.by_task.len());
            tokio::select! {
                () = stop.cancelled() => break,
                Some(ended) = held.tasks.join_next_with_id() => held.settle(ended).await,
                _ = beat.tick() => held.beat().await,
                delivery = puller.next(room), if room > 0 => held.start(delivery, &mut handle).await,
            }
        }
        held.hand_back(puller, self.grace).await;
    }
}

/// What this process works at.
struct Held {
    bus: Bus,
    tasks: JoinSet<Verdict>,
    by_task: HashMap<Id, Delivery>,
    /// A subject of the log is one fact of one job, and there is never another message on it.
    subjects: HashSet<String>,
}

impl Held {
    async fn start<F>(&mut self, delivery: Delivery, handle: &mut impl FnMut(Delivery) -> F)
    where
        F: Future<Output = Verdict> + Send + 'static,
    {
        if !self.subjects.insert(delivery.subject.clone()) {
            delivery.answer(&self.bus, AckKind::Progress).await;
            return;
        }
        let (bus, copy) = (self.bus.clone(), delivery.clone());
        let handling = handle(delivery.clone());
        let task = self.tasks.spawn(async move {
            match handling.await {
                Verdict::Poison(reason) => match bury(&bus, &copy, &reason).await {
                    Ok(()) => Verdict::Poison(reason),
                    Err(_) => Verdict::Later(backoff(copy.deliveries)),
                },
                verdict => verdict,
            }
        });
        self.by_task.insert(task.id(), delivery);
    }

    async fn settle(&mut self, ended: Result<(Id, Verdict), JoinError>) {
        let (id, verdict) = match ended {
            Ok((id, verdict)) => (id, Some(verdict)),
            Err(error) => (error.id(), None),
        };
        let Some(delivery) = self.by_task.remove(&id) else { return };
        self.subjects.remove(&delivery.subject);
        match verdict {
            Some(Verdict::Done) => delivery.answer(&self.bus, AckKind::Ack).await,
            Some(Verdict::Later(delay)) => delivery.answer(&self.bus, AckKind::Nak(Some(delay))).await,
            Some(Verdict::Poison(reason)) => delivery.terminate(&self.bus, &one_line(&reason)).await,
            None => {
                tracing::error!(message.seq = delivery.seq, "a handler panicked; its message comes again");
                let delay = backoff(delivery.deliveries);
                delivery.answer(&self.bus, AckKind::Nak(Some(delay))).await;
            }
        }
    }

    async fn beat(&self) {
        for delivery in self.by_task.values() {
            delivery.answer(&self.bus, AckKind::Progress).await;
        }
    }

    /// So that another process takes over at once.
    async fn hand_back(mut self, puller: Puller, grace: Duration) {
        for delivery in puller.close().await {
            delivery.answer(&self.bus, AckKind::Nak(None)).await;
        }
        if timeout(grace, self.settle_all()).await.is_err() {
            self.tasks.abort_all();
            for delivery in self.by_task.values() {
                delivery.answer(&self.bus, AckKind::Nak(None)).await;
            }
            self.by_task.clear();
            if timeout(ABORT_LIMIT, self.settle_all()).await.is_err() {
                tracing::warn!("a handler does not end; it is left behind");
            }
        }
        self.bus.flush().await;
    }

    async fn settle_all(&mut self) {
        while let Some(ended) = self.tasks.join_next_with_id().await {
            self.settle(ended).await;
        }
    }
}

/// A second, doubled with each delivery, up to a minute.
fn backoff(deliveries: u64) -> Duration {
    let doublings = u32::try_from(deliveries.saturating_sub(1).min(10)).expect("at most ten");
    MAX_BACKOFF.min(Duration::from_secs(1) * 2_u32.pow(doublings))
}
