//! `kiln ready`: whether a role on this machine is ready, for whoever starts and watches processes.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::Value;

use crate::client;

/// How long the role may take.
const LIMIT: Duration = Duration::from_secs(5);

/// Settings of `kiln ready`.
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// Where it listens: its `KILN_LISTEN` or `KILN_HEALTH_LISTEN`, by number
    #[arg(default_value = "127.0.0.1:7700")]
    address: SocketAddr,
}

/// Asks it once; an error says why it is not.
pub(super) async fn run(args: &Args) -> anyhow::Result<()> {
    let address = args.address;
    // No proxy, which the environment may name, leads to the own machine.
    let http = client::pinned(LIMIT, "role", &[address]);
    let asking = http.get(format!("http://role:{}/readyz", address.port())).timeout(LIMIT).send();
    let answer = asking.await.map_err(reqwest::Error::without_url).with_context(|| format!("{address} is silent"))?;
    if answer.status().is_success() {
        return Ok(());
    }
    let problem: Value = answer.json().await.unwrap_or_default();
    bail!("{address} is not ready: {}", problem["detail"].as_str().unwrap_or("it does not say why"));
}
