//! The role `worker`: one shepherd per job in flight, from its request to its end.
//!
//! A job's message stays un-acknowledged while its shepherd lives, so the consumer's `max_ack_pending` caps the renders in
//! flight over all workers, and a worker that dies is replaced. All judgement is in `events`; here it is only performed.

mod circuit;
mod deadly;
mod dispatch;
mod hints;
mod resolve;
mod shepherd;

use std::sync::Arc;
use std::time::Duration;

use events::Policy;
use events::capability::Roots;
use nats::topology::{RENDER, WORKER};
use nats::{Consumer, Log};
use tokio_util::sync::CancellationToken;

use crate::bucket::Bucket;
use crate::metrics::Shepherds;
use crate::{fetch, modal, news, trace};
use circuit::Circuit;
use deadly::Panics;
use hints::Hints;

/// Jobs that one worker holds at most; over all workers the consumer's `max_ack_pending` is the limit.
const MAX_HELD: usize = 1000;

/// What the role holds.
#[derive(Clone)]
pub struct Worker {
    log: Log,
    bucket: Bucket,
    modal: modal::Client,
    roots: Arc<Roots>,
    /// The webhook role's public address.
    callback_url: Arc<str>,
    policy: Arc<Policy>,
    circuit: Arc<Circuit>,
    hints: Arc<Hints>,
    panics: Arc<Panics>,
    /// What audio may be fetched by its address; none without these.
    audio_urls: Option<Arc<fetch::Rules>>,
    counted: Shepherds,
}

impl Worker {
    /// The role, ready to run.
    pub fn new(
        log: Log,
        bucket: Bucket,
        modal: modal::Client,
        roots: Roots,
        callback_url: &str,
        policy: Policy,
    ) -> Self {
        Self {
            log,
            bucket,
            modal,
            roots: Arc::new(roots),
            callback_url: callback_url.into(),
            policy: Arc::new(policy),
            circuit: Arc::default(),
            hints: Arc::default(),
            panics: Arc::default(),
            audio_urls: None,
            counted: Shepherds::default(),
        }
    }

    /// The role, with audio by URL where there are rules for it.
    #[must_use]
    pub fn with_audio_urls(self, audio_urls: Option<fetch::Rules>) -> Self {
        Self { audio_urls: audio_urls.map(Arc::new), ..self }
    }

    /// The role, counting there.
    #[must_use]
    pub fn counted(self, counted: Shepherds) -> Self {
        Self { counted, ..self }
    }

    /// The same role, writing and asking on behalf of the trace that the request belongs to.
    fn traced(&self, given: Option<&str>) -> Self {
        let traceparent = trace::continued(given);
        let log = self.log.traced(Some(traceparent.clone()));
        Self { log, modal: self.modal.traced(traceparent), ..self.clone() }
    }

    /// Runs until `stop`; then every job that is held is handed back at once, so that another worker takes over.
    pub async fn run(self, stop: CancellationToken) {
        let bus = self.log.bus().clone();
        let consumer = Consumer { stream: RENDER, name: WORKER, concurrency: MAX_HELD, grace: Duration::ZERO };
        let hints = Arc::clone(&self.hints);
        let listening = news::listen(&bus, &stop, |job, event| hints.tell(job, event));
        let shepherding = consumer.run(&bus, stop.clone(), |delivery| self.clone().hold(delivery));
        tokio::join!(listening, shepherding);
        bus.flush().await;
    }
}
