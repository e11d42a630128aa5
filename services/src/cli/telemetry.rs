//! Logs: to standard error, for people on a terminal, as JSON lines elsewhere. `RUST_LOG` chooses.

use std::io::{IsTerminal, stderr};

use tracing_subscriber::EnvFilter;

/// Starts logging; `default` holds where `RUST_LOG` says nothing.
pub(super) fn start(default: &str) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(stderr);
    // A second start, in a test, changes nothing.
    let _ = if stderr().is_terminal() { log.with_target(false).try_init() } else { log.json().try_init() };
}
