//! How a client asks: what it has seen already, how long it would wait, and whether it wants a stream.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};

use super::version::Version;
use super::view::View;

/// The longest that an answer is held back.
const LONGEST_WAIT: Duration = Duration::from_mins(1);
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
const PREFER: HeaderName = HeaderName::from_static("prefer");

/// What a client has seen of a job.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    /// Names of answers, without quotes.
    tags: Vec<String>,
    /// `*`: any answer will do.
    is_anything: bool,
    version: Version,
}

impl Seen {
    /// From `If-None-Match` and `Last-Event-ID`. What is no name of ours is no obstacle.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let mut seen = Self::default();
        for name in names(headers, header::IF_NONE_MATCH).chain(names(headers, LAST_EVENT_ID)) {
            seen.is_anything |= name == "*";
            seen.add(name);
        }
        seen
    }

    fn add(&mut self, tag: &str) {
        if let Some(version) = tag.split_once('-').and_then(|(version, _)| Version::parse(version)) {
            self.version = self.version.join(version);
            self.tags.push(tag.to_owned());
        }
    }

    /// Remembers an answer that was given.
    pub(super) fn note(&mut self, view: &View) {
        self.tags.clear();
        self.add(view.id());
    }

    /// What an answer must not fall below.
    pub(super) fn version(&self) -> Version {
        self.version
    }

    /// Whether the client has nothing to learn from this: it has the very answer, or one with newer progress that we have
    /// not heard of yet. An answer from a log that ends before the one the client knew is news, and bad news.
    pub(super) fn covers(&self, view: &View) -> bool {
        let is_behind = view.version.seq() == self.version.seq() && !view.version.includes(self.version);
        self.is_anything || is_behind || self.tags.iter().any(|tag| tag == view.id())
    }

    /// Whether the client told nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.tags.is_empty() && !self.is_anything
    }

    /// The name of the newest answer that the client has, after this one was looked at: one with progress that we have not
    /// heard of yet keeps its name.
    pub(super) fn newest(&self, view: &View) -> HeaderValue {
        let own = self.tags.last().filter(|_| !view.version.includes(self.version) && self.covers(view));
        own.and_then(|tag| HeaderValue::try_from(format!("\"{tag}\"")).ok()).unwrap_or_else(|| view.etag.clone())
    }
}

/// Whether the client has the answer of this name, or says that any will do.
pub(super) fn has(headers: &HeaderMap, tag: &str) -> bool {
    names(headers, header::IF_NONE_MATCH).any(|name| name == "*" || name == tag)
}

/// Names of answers, without quotes.
fn names(headers: &HeaderMap, header: HeaderName) -> impl Iterator<Item = &str> {
    let values = headers.get_all(header).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|list| list.split(',')).map(|name| name.trim().trim_start_matches("W/").trim_matches('"'))
}

/// How long the client would wait for news: `Prefer: wait=30`, up to a minute. Other preferences are none of ours.
pub(super) fn wait(headers: &HeaderMap) -> Option<Duration> {
    let values = headers.get_all(PREFER).into_iter().filter_map(|value| value.to_str().ok());
    let preferences = values.flat_map(|list| list.split([',', ';']));
    let mut waits = preferences.filter_map(|preference| {
        let (name, value) = preference.split_once('=')?;
        let seconds = value.trim().trim_matches('"').parse().ok()?;
        name.trim().eq_ignore_ascii_case("wait").then_some(Duration::from_secs(seconds))
    });
    waits.next().map(|wait: Duration| wait.min(LONGEST_WAIT))
}

/// Whether the client would rather have a stream of events than one answer.
pub(super) fn wants_stream(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::ACCEPT).into_iter().filter_map(|value| value.to_str().ok());
    let mut types =
        values.flat_map(|list| list.split(',')).map(|kind| kind.split(';').next().unwrap_or_default().trim());
    types.any(|kind| kind.eq_ignore_ascii_case("text/event-stream"))
}
