//! Whether everything that kiln stands on is as it must be: one finding per check, with what to do about it.
//!
//! `kiln doctor` makes all the checks. Each role makes those that can cost accepted jobs at every start, and does not
//! start where one of them is wrong.

mod command;
mod log;
mod outside;
mod store;

use anyhow::bail;
use nats::Bus;
use serde::Serialize;

pub use command::{Args, examine, report};
pub use outside::watch_outside;

use crate::config::{self, Strictness};

/// How a check went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// As it should be.
    Ok,
    /// It could not be checked here; the message says why.
    Skipped,
    /// It works, and may not go on so, or could not be looked at.
    Warning,
    /// Something will not work, or can be lost.
    Wrong,
}

/// What one check found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The check's name, one word.
    pub check: &'static str,
    /// How it went.
    pub level: Level,
    /// What is.
    pub message: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mend: Option<String>,
    /// Whether accepted jobs can be lost, so that no role starts.
    #[serde(skip)]
    pub is_dangerous: bool,
}

impl Finding {
    fn new(check: &'static str, level: Level, message: impl Into<String>, mend: Option<String>) -> Self {
        Self { check, level, message: message.into(), mend, is_dangerous: false }
    }

    fn ok(check: &'static str, message: impl Into<String>) -> Self {
        Self::new(check, Level::Ok, message, None)
    }

    fn skipped(check: &'static str, message: impl Into<String>) -> Self {
        Self::new(check, Level::Skipped, message, None)
    }

    fn warning(check: &'static str, message: impl Into<String>, mend: impl Into<String>) -> Self {
        Self::new(check, Level::Warning, message, Some(mend.into()))
    }

    fn wrong(check: &'static str, message: impl Into<String>, mend: impl Into<String>) -> Self {
        Self::new(check, Level::Wrong, message, Some(mend.into()))
    }

    fn dangerous(self) -> Self {
        Self { is_dangerous: true, ..self }
    }

    /// What is wrong and what to do, in one sentence.
    fn sentence(&self) -> String {
        match &self.mend {
            Some(mend) => format!("{}; {mend}", self.message),
            None => self.message.clone(),
        }
    }
}

/// What a role looks at before it starts: whether the log keeps what it is given. Where it does not, production does not
/// start; `--insecure-dev` starts with one line of warning.
pub async fn before_start(nats: &config::Nats, bus: &Bus, strictness: Strictness) -> anyhow::Result<()> {
    let found = log::findings(nats, bus).await;
    let amiss: Vec<_> = found.iter().filter(|finding| finding.level >= Level::Warning).collect();
    if strictness.insecure_dev {
        if !amiss.is_empty() {
            let sentences: Vec<_> = amiss.iter().map(|finding| finding.message.as_str()).collect();
            tracing::warn!("not fit for production: {}", sentences.join("; "));
        }
        return Ok(());
    }
    if let Some(danger) = amiss.iter().find(|finding| finding.is_dangerous) {
        bail!("this is no place to keep jobs in: {} (`--insecure-dev` starts all the same)", danger.sentence());
    }
    for finding in amiss {
        tracing::warn!(check = finding.check, "{}", finding.sentence());
    }
    Ok(())
}
