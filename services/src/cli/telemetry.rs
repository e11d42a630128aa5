//! Logs: to standard error, for people on a terminal, as JSON lines elsewhere. `RUST_LOG` chooses.

use std::io::{IsTerminal, stderr};

use tracing_subscriber::EnvFilter;

/// The embedded S3 server writes whole requests, signatures too, into its log: it is never heard.
const SILENT: [&str; 2] = ["s3s=off", "s3s_fs=off"];

/// Starts logging; `default` holds where `RUST_LOG` says nothing.
pub(super) fn start(default: &str) {
    let chosen = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    let filter = SILENT
        .into_iter()
        .fold(chosen, |filter, directive| filter.add_directive(directive.parse().expect("a directive of our own")));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(stderr);
    // A second start, in a test, changes nothing.
    let _ = if stderr().is_terminal() { log.with_target(false).try_init() } else { log.json().try_init() };
}
