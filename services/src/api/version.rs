//! How much of a job a client has seen, so that none ever sees an older state: not at another process, not after the
//! bucket was made anew.

use std::fmt;

use events::event::Progressed;
use events::{Attempt, Event, Job, Recorded, Timestamp};

/// Later than every report: the time of an end.
const ENDED: i64 = i64::MAX;

/// A place in the order of a job's states: the sequence in the log, and the progress that a poll shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Version {
    seq: u64,
    attempt: u16,
    percent: u8,
    reported_ms: i64,
}

impl Version {
    /// Everything that the job knows.
    pub(super) fn of(job: &Job) -> Self {
        let reported_ms = match (&job.ended, &job.progress) {
            (Some(_), _) => ENDED,
            (None, None) => 0,
            (None, Some(report)) => report.latest.time.unix_ms(),
        };
        Self { seq: job.seq, attempt: job.shown_attempt().get(), percent: job.percent(), reported_ms }
    }

    /// Everything up to this sequence of the log.
    pub(super) fn at(seq: u64) -> Self {
        Self { seq, ..Self::default() }
    }

    pub(super) fn seq(self) -> u64 {
        self.seq
    }

    /// Reads what [`Version`] writes.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.');
        let mut next = || parts.next().filter(|part| part.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        let (seq, attempt, percent, reported) = (next()?, next()?, next()?, next()?);
        let version = Self {
            seq: seq.parse().ok()?,
            attempt: attempt.parse().ok()?,
            percent: percent.parse().ok()?,
            reported_ms: if reported == "end" { ENDED } else { reported.parse().ok()? },
        };
        (parts.next().is_none() && version.attempt <= Attempt::MAX && version.percent <= 100).then_some(version)
    }

    /// Whether whoever knows this has nothing to learn from the other.
    pub(super) fn includes(self, other: Self) -> bool {
        self.seq >= other.seq && self.includes_progress(other)
    }

    fn includes_progress(self, other: Self) -> bool {
        let is_not_behind = self.percent >= other.percent && self.reported_ms >= other.reported_ms;
        match (self.reported_ms == ENDED, other.reported_ms == ENDED) {
            (true, false) => self.attempt != other.attempt || is_not_behind,
            (false, true) => false,
            _ => self.attempt > other.attempt || (self.attempt == other.attempt && is_not_behind),
        }
    }

    /// What both know together.
    pub(super) fn join(self, other: Self) -> Self {
        let seq = self.seq.max(other.seq);
        match (self.includes_progress(other), other.includes_progress(self)) {
            (true, _) => Self { seq, ..self },
            (_, true) => Self { seq, ..other },
            (false, false) => Self {
                seq,
                attempt: self.attempt,
                percent: self.percent.max(other.percent),
                reported_ms: self.reported_ms.max(other.reported_ms),
            },
        }
    }

    /// The report that a client saw and nobody can tell any more, for that client alone.
    pub(super) fn report(self) -> Option<Recorded> {
        let attempt = Attempt::new(self.attempt).ok().filter(|_| self.reported_ms != ENDED && self.percent < 100)?;
        let event = Event::Progressed(Progressed::new(attempt, self.percent));
        Some(Recorded { seq: 0, time: Timestamp::from_unix_ms(self.reported_ms), event })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}.", self.seq, self.attempt, self.percent)?;
        if self.reported_ms == ENDED { f.write_str("end") } else { write!(f, "{}", self.reported_ms) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_joined_and_read_back() {
        let all = ["0.0.0.0", "7.1.0.0", "7.1.80.5", "7.1.40.9", "7.2.0.10", "8.1.30.4", "8.1.40.end", "9.1.80.end"];
        let all = all.map(|text| Version::parse(text).expect("a version"));
        for (one, other) in all.iter().flat_map(|one| all.iter().map(move |other| (*one, *other))) {
            let both = one.join(other);
            assert_eq!(Version::parse(&both.to_string()), Some(both));
            assert!(both.includes(one) && both.includes(other), "{one} and {other} make {both}");
            assert_eq!(both, other.join(one));
            assert_eq!(one.includes(other), both == one, "{one} and {other}");
        }
        for strange in
            ["", "1", "1.2.3", "1.2.3.4.5", "-1.0.0.0", "1.+1.0.0", "1.100.0.0", "1.1.101.0", "1. 1.0.0", "1.1.1.END"]
        {
            assert_eq!(Version::parse(strange), None, "{strange}");
        }
    }
}
