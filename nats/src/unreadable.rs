//! Messages that the client library cannot read: when one is delivered, it drops the connection, and all that comes
//! behind it. The server takes any bytes as headers, so whoever may publish can write such a message.
//!
//! The server's API tells of a message as JSON, with the headers as data. So whoever loses the connection while he reads
//! looks there for what it may have been, and takes that over without its headers.

use std::collections::{HashSet, VecDeque};
use std::sync::Mutex;

use events::subject;
use serde::Deserialize;
use serde_json::json;

use crate::pull::Delivery;
use crate::stored::{Stored, next_of_leader};
use crate::{Bus, Cause};

/// Jobs that are remembered. One that is forgotten costs a connection.
const MAX_REMEMBERED: usize = 10_000;

/// Whether a message arrives where it is delivered. Stricter than the client library: what is taken over although it
/// would have arrived does no harm.
pub(crate) fn is_readable(subject: &str, headers: &[u8]) -> bool {
    let is_word = |word: &[u8]| !word.is_empty() && word.iter().all(u8::is_ascii_graphic);
    let is_header = |line: &str| {
        line.split_once(':').is_some_and(|(name, value)| is_word(name.as_bytes()) && !value.contains(char::is_control))
    };
    let lines = || std::str::from_utf8(headers).ok()?.strip_prefix("NATS/1.0\r\n")?.strip_suffix("\r\n");
    let is_block = || lines().is_some_and(|lines| lines.split_terminator("\r\n").all(is_header));
    is_word(subject.as_bytes()) && (headers.is_empty() || is_block())
}

/// Jobs with a message that cannot be read in the ordinary way, by the filter of their subjects.
#[derive(Debug, Default)]
pub(crate) struct Unreadable(Mutex<HashSet<String>>);

impl Unreadable {
    pub(crate) fn contains(&self, filter: &str) -> bool {
        self.0.lock().expect("nothing panics under this lock").contains(filter)
    }

    pub(crate) fn add(&self, filter: String) {
        let mut known = self.0.lock().expect("nothing panics under this lock");
        if known.len() >= MAX_REMEMBERED {
            known.clear();
        }
        known.insert(filter);
    }
}

/// The search for what a consumer was given and could not read.
pub(crate) struct Rescue {
    stream: String,
    consumer: String,
    is_due: bool,
    state: Option<State>,
    /// How far everything was acknowledged at the last search. It goes back when the consumer is reset or made anew.
    floor: u64,
    /// Up to where the stream was searched: what was readable once stays so.
    searched: u64,
    unreadable: Vec<Stored>,
    ready: VecDeque<Delivery>,
}

/// What the server tells of a consumer.
#[derive(Deserialize)]
struct State {
    delivered: Place,
    ack_floor: Place,
    config: Config,
}

#[derive(Deserialize)]
struct Place {
    /// The server takes no refusal of a message that has a later place than any delivery.
    consumer_seq: u64,
    stream_seq: u64,
}

#[derive(Deserialize)]
struct Config {
    filter_subject: Option<String>,
}

impl Rescue {
    pub(crate) fn new(stream: &str, consumer: &str) -> Self {
        let (stream, consumer, unreadable, ready) =
            (stream.to_owned(), consumer.to_owned(), Vec::new(), VecDeque::new());
        Self { stream, consumer, is_due: false, state: None, floor: 0, searched: 0, unreadable, ready }
    }

    /// The connection got lost while messages were on their way.
    pub(crate) fn begin(&mut self) {
        (self.is_due, self.state) = (true, None);
    }

    /// The next of them, if there is one. It may be dropped at any time and called again.
    pub(crate) async fn next(&mut self, bus: &Bus) -> Result<Option<Delivery>, Cause> {
        loop {
            if let Some(delivery) = self.ready.pop_front() {
                return Ok(Some(delivery));
            }
            if !self.is_due {
                return Ok(None);
            }
            let Some(State { delivered, config, .. }) = &self.state else {
                let state = bus.ask(&format!("CONSUMER.INFO.{}.{}", self.stream, self.consumer), &json!({})).await?;
                self.start(state);
                continue;
            };
            let filter = config.filter_subject.as_deref().unwrap_or(">");
            let found = next_of_leader(bus, &self.stream, self.searched + 1, filter).await?;
            match found.filter(|found| found.seq <= delivered.stream_seq) {
                Some(found) => self.look_at(bus, found),
                None => self.end(),
            }
        }
    }

    /// What was found and not handed out.
    pub(crate) fn close(&mut self) -> Vec<Delivery> {
        self.ready.drain(..).collect()
    }

    fn start(&mut self, state: State) {
        let floor = state.ack_floor.stream_seq;
        if floor < self.floor {
            (self.searched, self.unreadable) = (0, Vec::new());
        }
        self.unreadable.retain(|stored| stored.seq > floor);
        self.searched = self.searched.max(floor);
        (self.floor, self.state) = (floor, Some(state));
    }

    fn look_at(&mut self, bus: &Bus, found: Stored) {
        self.searched = found.seq;
        if found.is_readable {
            return;
        }
        tracing::error!(message.seq = found.seq, "a message with unreadable headers is taken over without them");
        if let Some((job, _)) = subject::parse(&found.subject) {
            bus.unreadable().add(subject::of_job(job));
        }
        self.unreadable.push(found);
    }

    fn end(&mut self) {
        self.is_due = false;
        let place = self.state.take().map_or(0, |state| state.delivered.consumer_seq);
        let deliveries = self.unreadable.iter().map(|stored| {
            let reply = format!("$JS.ACK.{}.{}.2.{}.{place}.0.0", self.stream, self.consumer, stored.seq);
            Delivery::of_stored(stored.clone(), &self.stream, reply)
        });
        self.ready = deliveries.collect();
    }
}
