//! Reading dead letters, and having what they are copies of read again.
//!
//! They are asked of the leader one by one, as data: no letter can cost the connection, and nothing is scanned for a page.

use events::{JobId, Timestamp, subject};
use futures_util::{StreamExt, TryStreamExt};
use serde_json::{Value, json};

use crate::dead::{REASON, SEQUENCE, STREAM};
use crate::head::info;
use crate::stored::{Raw, at_of_leader, raw_of_leader};
use crate::topology::{PROJECTOR, RENDER, RENDER_DEAD};
use crate::{Bus, Cause, Error};

/// Letters that are asked for at once.
const READS: usize = 8;

/// A message that could not be obeyed, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// Its sequence among the letters.
    pub seq: u64,
    /// When it was kept.
    pub time: Timestamp,
    /// The subject that the message had.
    pub subject: String,
    /// The job of that subject, if it is a job's.
    pub job: Option<JobId>,
    /// Why it could not be obeyed.
    pub reason: String,
    /// Where the message lies.
    pub place: Place,
    /// The headers that it came with, in their order.
    pub headers: Vec<(String, String)>,
    /// What it says.
    pub payload: Vec<u8>,
}

/// A message's place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Its stream.
    pub stream: String,
    /// Its sequence there.
    pub sequence: u64,
}

/// What became of the wish to have a message read again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Redriven {
    /// The projectors read again from there.
    Done,
    /// The letter is of another stream than the log: only what is in the log is worth it.
    OtherStream,
    /// The log does not have the message any more.
    AgedOut,
}

/// The dead letters behind a connection.
#[derive(Debug, Clone)]
pub struct Letters {
    bus: Bus,
}

impl Letters {
    /// Those of this connection's server.
    pub fn new(bus: Bus) -> Self {
        Self { bus }
    }

    /// How many there are.
    pub async fn total(&self) -> Result<u64, Error> {
        Ok(info(&self.bus, RENDER_DEAD).await.map_err(Error::Letters)?.state.messages)
    }

    /// The letter with this sequence; `None` if it is gone, or was never there.
    pub async fn get(&self, seq: u64) -> Result<Option<Letter>, Error> {
        self.ask(json!({"seq": seq})).await.map_err(Error::Letters)
    }

    /// At most so many letters before this sequence, the newest first.
    pub async fn before(&self, seq: u64, limit: usize) -> Result<Vec<Letter>, Error> {
        let state = info(&self.bus, RENDER_DEAD).await.map_err(Error::Letters)?.state;
        // A stream that never held anything begins at 0, where no message ever is.
        let (first, mut end) = (state.first_seq.max(1), seq.min(state.last_seq + 1));
        let mut found = Vec::new();
        while found.len() < limit && end > first {
            let wanted = u64::try_from(limit - found.len()).unwrap_or(u64::MAX);
            let start = end.saturating_sub(wanted).max(first);
            let window = futures_util::stream::iter((start..end).rev())
                .map(|seq| self.ask(json!({"seq": seq})))
                .buffered(READS)
                .try_filter_map(async |letter| Ok(letter));
            let window: Vec<_> = window.try_collect().await.map_err(Error::Letters)?;
            end = if window.is_empty() { self.end_before(first, start).await? } else { start };
            found.extend(window);
        }
        Ok(found)
    }

    /// Behind the newest letter before this sequence: a letter that is kept anew leaves a gap, and gaps may be long.
    async fn end_before(&self, first: u64, end: u64) -> Result<u64, Error> {
        let (mut low, mut high) = (first, end);
        while low < high {
            let middle = low + (high - low) / 2;
            let next = self.ask(json!({"seq": middle, "next_by_subj": ">"})).await.map_err(Error::Letters)?;
            match next.filter(|next| next.seq < end) {
                Some(next) => low = next.seq + 1,
                None => high = middle,
            }
        }
        Ok(low)
    }

    /// Has the projectors read again from where the letter's message lies. Nothing is published: the message never left
    /// the log, and what comes after it comes again without effect.
    pub async fn redrive(&self, letter: &Letter) -> Result<Redriven, Error> {
        let Place { stream, sequence } = &letter.place;
        if stream != RENDER {
            return Ok(Redriven::OtherStream);
        }
        if at_of_leader(&self.bus, RENDER, *sequence).await.map_err(Error::Redrive)?.is_none() {
            return Ok(Redriven::AgedOut);
        }
        let reset: Result<Value, Cause> =
            self.bus.ask(&format!("CONSUMER.RESET.{RENDER}.{PROJECTOR}"), &json!({"seq": sequence})).await;
        reset.map(|_| Redriven::Done).map_err(Error::Redrive)
    }

    async fn ask(&self, which: Value) -> Result<Option<Letter>, Cause> {
        raw_of_leader(&self.bus, RENDER_DEAD, which).await?.as_ref().map(Letter::of).transpose()
    }
}

impl Letter {
    fn of(raw: &Raw) -> Result<Self, Cause> {
        let block = raw.headers()?;
        let mut headers = lines(&String::from_utf8_lossy(&block));
        let mut take = |name: &str| {
            let place = headers.iter().position(|(other, _)| other == name)?;
            Some(headers.remove(place).1)
        };
        let (reason, stream, sequence) = (take(REASON), take(STREAM), take(SEQUENCE));
        // Told from the stream and the sequence.
        take("Nats-Msg-Id");
        let sequence = sequence.and_then(|sequence| sequence.parse().ok()).unwrap_or(0);
        let payload = raw.payload()?;
        let subject = raw.subject.strip_prefix("dead.").unwrap_or(&raw.subject).to_owned();
        Ok(Self {
            seq: raw.seq,
            time: raw.time,
            job: subject::parse(&subject).map(|(job, _)| job),
            subject,
            reason: reason.unwrap_or_default(),
            place: Place { stream: stream.unwrap_or_default(), sequence },
            headers,
            payload,
        })
    }
}

/// The names and values behind the first line.
fn lines(block: &str) -> Vec<(String, String)> {
    let lines = block.lines().skip(1).filter_map(|line| line.split_once(':'));
    lines.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect()
}
