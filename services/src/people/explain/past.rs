//! What happened, a sentence for each fact.

use std::time::Duration;

use ::events::event::{AttemptFailed, Cancelled, Completed, Failed, Requested};
use ::events::wire::client::HistoryEvent;
use ::events::{Attempt, Timestamp};

use super::payload::read;
use crate::people::words;

/// The sentences, in the order of the facts.
pub(super) fn told(events: &[HistoryEvent], at: Timestamp) -> Vec<String> {
    let mut before = events.first().map(|event| event.time).unwrap_or_default();
    let begin = before;
    let mut sentences = Vec::with_capacity(events.len());
    for event in events {
        let moment = Moment { events, event, at, since: event.time.since(before), whole: event.time.since(begin) };
        sentences.push(::events::clean(&moment.sentence(), 1000));
        before = event.time;
    }
    sentences
}

/// A fact among the others.
struct Moment<'a> {
    events: &'a [HistoryEvent],
    event: &'a HistoryEvent,
    at: Timestamp,
    /// Since the fact before.
    since: Duration,
    /// Since the first.
    whole: Duration,
}

impl Moment<'_> {
    fn sentence(&self) -> String {
        let sentence = match self.event.event.as_str() {
            "requested" => self.requested(),
            "dispatched" => Some(self.dispatched()),
            "started" => Some(self.started()),
            "attempt_failed" => self.attempt_failed(),
            "completed" => self.completed(),
            "cancelled" => self.cancelled(),
            "failed" => self.failed(),
            kind => Some(format!("Then a newer release of kiln wrote `{kind}`, which this one does not know.")),
        };
        sentence.unwrap_or_else(|| {
            format!("Then `{}` was written in a way that cannot be read; it is not obeyed.", self.event.event)
        })
    }

    fn requested(&self) -> Option<String> {
        let Requested { spec } = read(self.event)?;
        let when = words::ago(self.event.time, self.at);
        let again = spec.retry_of.map_or_else(String::new, |job| format!(", the same again as job {job}"));
        Some(format!("A render was asked for {when}{again}: {}.", words::spec(&spec)))
    }

    fn attempt(&self) -> u16 {
        self.event.attempt.map_or(1, Attempt::get)
    }

    fn since(&self) -> String {
        words::duration(self.since)
    }

    fn dispatched(&self) -> String {
        match self.attempt() {
            1 => format!("After {} in the queue the GPU provider took it.", self.since()),
            n => format!("{} later the GPU provider took it for attempt {n}.", self.since()),
        }
    }

    fn started(&self) -> String {
        let (n, since) = (self.attempt(), self.since());
        let was_dispatched =
            self.events.iter().any(|event| event.event == "dispatched" && event.attempt == self.event.attempt);
        match (n, was_dispatched) {
            (1, false) => format!("After {since} a container began to render it."),
            (1, true) => format!("{since} later a container began to render it."),
            (n, _) => format!("{since} later a container began attempt {n}."),
        }
    }

    fn attempt_failed(&self) -> Option<String> {
        let AttemptFailed { failure } = read(self.event)?;
        let more = if failure.retryable { "another attempt may go better" } else { "another one would end likewise" };
        let (n, since, message) = (self.attempt(), self.since(), failure.message);
        Some(format!("{since} later attempt {n} ended: {message} (`{}`); {more}.", failure.code))
    }

    fn completed(&self) -> Option<String> {
        let Completed { attempt, output } = read(self.event)?;
        let attempt = if attempt.get() > 1 { format!(", made by attempt {attempt}") } else { String::new() };
        let (since, whole, video) = (self.since(), words::duration(self.whole), words::video(&output));
        Some(format!("{since} later the video was there{attempt}, {whole} after the request: {video}."))
    }

    fn cancelled(&self) -> Option<String> {
        let Cancelled { reason } = read(self.event)?;
        let reason = if reason.is_empty() { String::new() } else { format!(": {reason}") };
        Some(format!("{} later it was cancelled{reason}.", self.since()))
    }

    fn failed(&self) -> Option<String> {
        let Failed { failure } = read(self.event)?;
        let whole = words::duration(self.whole);
        Some(format!("{whole} after the request it was given up: {} (`{}`).", failure.message, failure.code))
    }
}
