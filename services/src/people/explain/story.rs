//! What happened, what is being waited for and by whom, and what comes next: pure, from what the api tells.

use std::fmt::Write as _;

use ::events::Timestamp;
use ::events::wire::client::{HistoryEvent, Poll};
use ::events::wire::operator::Health;
use console::Style;
use serde::Serialize;

use super::{around, now, past};

/// A job's story.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Story {
    /// What happened, a sentence for each fact.
    happened: Vec<String>,
    /// Where it stands, and who waits for whom.
    now: String,
    /// What comes next, or what to do.
    next: String,
}

impl Story {
    pub(super) fn of(poll: &Poll, events: &[HistoryEvent], health: Option<&Health>, at: Timestamp) -> Self {
        let now = format!("{}{}", now::stands(poll, at), around::told(poll, health));
        Self { happened: past::told(events, at), now, next: now::comes(poll, events, at) }
    }

    /// As people read it, in lines of this width at most.
    pub(super) fn text(&self, width: Option<usize>) -> String {
        let width = width.unwrap_or(100).clamp(20, 100);
        let (now, next) = ([self.now.clone()], [self.next.clone()]);
        let mut text = String::new();
        for (title, paragraphs) in [("What happened", &*self.happened), ("Now", &now), ("Next", &next)] {
            let _ = writeln!(text, "{}", Style::new().bold().apply_to(title));
            for line in paragraphs.iter().flat_map(|paragraph| wrapped(paragraph, width - 2)) {
                let _ = writeln!(text, "  {line}");
            }
        }
        text
    }
}

/// Words in lines; a word that is wider than a line has one of its own, and a number stays with what it counts.
fn wrapped(paragraph: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut words: Vec<String> = Vec::new();
    for word in paragraph.split_whitespace() {
        match words.last_mut() {
            Some(number) if number.parse::<f64>().is_ok() => {
                number.push(' ');
                number.push_str(word);
            }
            _ => words.push(word.to_owned()),
        }
    }
    for word in words {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(&word);
            }
            _ => lines.push(word),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_paragraph_is_wrapped_at_words() {
        assert_eq!(wrapped("one two three four", 9), ["one two", "three", "four"]);
        assert_eq!(wrapped("one incomprehensible two", 8), ["one", "incomprehensible", "two"]);
        assert_eq!(wrapped("after 11 s it came", 8), ["after", "11 s it", "came"]);
        assert_eq!(wrapped("", 8), Vec::<String>::new());
    }
}
