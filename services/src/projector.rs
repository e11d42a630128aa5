//! The role `projector`: joins the log and the reports into the KV bucket. Any number may run; none is needed for truth.

use nats::Bus;
use tokio_util::sync::CancellationToken;

/// Runs until `stop`.
pub async fn run(bus: &Bus, stop: CancellationToken) {
    nats::project(bus, stop).await;
}
