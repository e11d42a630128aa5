//! The role `worker`: one shepherd per job in flight, from its request to its end.
//!
//! A job's message stays un-acknowledged while its shepherd lives, so the consumer's `max_ack_pending` caps the renders in
//! flight over all workers, and a worker that dies is replaced. All judgement is in `events`; here it is only performed.

mod circuit;
mod dispatch;
mod hints;
mod shepherd;

use std::sync::Arc;

use events::Policy;
use events::capability::Roots;
use nats::Log;
use tokio_util::sync::CancellationToken;

use crate::bucket::Bucket;
use crate::modal;
use circuit::Circuit;
use hints::Hints;

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
}

impl Worker {
    /// The role, ready to run.
    pub fn new(log: Log, bucket: Bucket, modal: modal::Client, roots: Roots, callback_url: &str, policy: Policy) -> Self {
        Self {
            log,
            bucket,
            modal,
            roots: Arc::new(roots),
            callback_url: callback_url.into(),
            policy: Arc::new(policy),
            circuit: Arc::default(),
            hints: Arc::default(),
        }
    }

    /// Runs until `stop`; then every job that is held is handed back, so that another worker takes over at once.
    pub async fn run(self, stop: CancellationToken) -> Result<(), nats::Error> {
        let listening = hints::listen(self.log.clone(), Arc::clone(&self.hints), stop.clone());
        let shepherding = self.log.clone().consume_requests(stop, move |request| {
            let worker = self.clone();
            async move { worker.shepherd(request).await }
        });
        tokio::try_join!(listening, shepherding).map(|_| ())
    }
}
