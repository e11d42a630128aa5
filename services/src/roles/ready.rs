//! What `/readyz` of every role asks.

use nats::Bus;

use crate::http::Ready;

/// A readiness that asks for the connection and the topology.
#[derive(Clone)]
pub(super) struct NatsReady(pub(super) Bus);

impl Ready for NatsReady {
    async fn ready(&self) -> Result<(), String> {
        if !self.0.is_connected() {
            return Err("NATS cannot be reached".into());
        }
        if let Some(reason) = self.0.refusal() {
            return Err(reason.to_string());
        }
        match nats::topology::drift(&self.0).await {
            Ok(changes) if changes.is_empty() => Ok(()),
            Ok(changes) => Err(format!("{}; run `kiln provision`", changes[0])),
            Err(error) => Err(format!("NATS does not tell its topology: {}", crate::chain(&error))),
        }
    }
}
