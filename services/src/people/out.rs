//! Where what was asked for goes: text for people, or JSON for programs.

use std::io::{IsTerminal, stdout};

use console::Term;
use serde::Serialize;

use crate::stdout::{Closed, print};

/// Standard output.
pub(super) struct Out {
    /// Whether JSON is wanted.
    pub(super) is_json: bool,
    /// Columns of the terminal; `None` where there is none, and lines may have any length.
    pub(super) width: Option<usize>,
}

impl Out {
    pub(super) fn new(is_json: bool) -> Self {
        let chosen = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
        let measured = || Term::stdout().size_checked().map(|(_, columns)| usize::from(columns));
        Self { is_json, width: chosen.or_else(measured).filter(|width| *width > 0) }
    }

    /// Whether a person reads along, rather than a program.
    pub(super) fn is_for_people(&self) -> bool {
        !self.is_json && stdout().is_terminal()
    }

    /// For people.
    pub(super) fn say(&self, text: &str) -> Result<(), Closed> {
        if self.is_json { Ok(()) } else { print(text.trim_end()) }
    }

    /// For programs, on one line.
    pub(super) fn json(&self, value: &impl Serialize) -> Result<(), Closed> {
        if !self.is_json {
            return Ok(());
        }
        print(&serde_json::to_string(value).expect("what the api tells is plain JSON"))
    }
}

/// Says something beside it, on standard error.
#[expect(clippy::print_stderr, reason = "people read it")]
pub(super) fn note(line: &str) {
    eprintln!("{line}");
}
