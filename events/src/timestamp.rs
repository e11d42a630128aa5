//! A moment, as the wire writes it.

use std::fmt;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Milliseconds since 1970 in UTC; on the wire RFC 3339 with milliseconds, `2026-11-21T12:00:00.000Z`.
///
/// The crate never asks what time it is: every caller brings its own `now`, and an event's time is the server's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String", extend("format" = "date-time", "examples" = ["2026-11-21T12:00:00.000Z"]))]
pub struct Timestamp(i64);

/// A text that is no moment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a time is written as RFC 3339 in the years 1970 to 9999, such as `2026-11-21T12:00:00.000Z`")]
pub struct BadTimestamp;

/// The end of the year 9999, the last that RFC 3339 can write.
const LAST_MS: i64 = 253_402_300_799_999;

impl Timestamp {
    /// The moment so many milliseconds after 1970, held within the years that RFC 3339 can write.
    pub fn from_unix_ms(ms: i64) -> Self {
        Self(ms.clamp(0, LAST_MS))
    }

    /// Milliseconds since 1970.
    pub fn unix_ms(self) -> i64 {
        self.0
    }

    /// Reads RFC 3339, in any offset; what is finer than a millisecond is cut off.
    pub fn parse(text: &str) -> Result<Self, BadTimestamp> {
        let moment = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| BadTimestamp)?;
        let ms = i64::try_from(moment.unix_timestamp_nanos() / 1_000_000).map_err(|_| BadTimestamp)?;
        if (0..=LAST_MS).contains(&ms) { Ok(Self(ms)) } else { Err(BadTimestamp) }
    }

    /// How long after `earlier` this is; zero if it is not after it.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl std::ops::Add<Duration> for Timestamp {
    type Output = Self;
    fn add(self, duration: Duration) -> Self {
        let ms = i64::try_from(duration.as_millis()).unwrap_or(LAST_MS);
        Self::from_unix_ms(self.0.saturating_add(ms))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = OffsetDateTime::from_unix_timestamp(self.0.div_euclid(1000)).map_err(|_| fmt::Error)?;
        let (date, clock) = (seconds.date(), seconds.time());
        // Every answer and every entry has several of them, and the formatter takes its time for each number.
        let mut text = *b"0000-00-00T00:00:00.000Z";
        write_digits(&mut text[..4], date.year().unsigned_abs());
        write_digits(&mut text[5..7], u8::from(date.month()).into());
        write_digits(&mut text[8..10], date.day().into());
        write_digits(&mut text[11..13], clock.hour().into());
        write_digits(&mut text[14..16], clock.minute().into());
        write_digits(&mut text[17..19], clock.second().into());
        write_digits(&mut text[20..23], u32::try_from(self.0.rem_euclid(1000)).map_err(|_| fmt::Error)?);
        f.write_str(str::from_utf8(&text).map_err(|_| fmt::Error)?)
    }
}

fn write_digits(place: &mut [u8], mut number: u32) {
    for digit in place.iter_mut().rev() {
        *digit = b"0123456789"[number as usize % 10];
        number /= 10;
    }
}

impl TryFrom<String> for Timestamp {
    type Error = BadTimestamp;
    fn try_from(text: String) -> Result<Self, BadTimestamp> {
        Self::parse(&text)
    }
}

impl From<Timestamp> for String {
    fn from(moment: Timestamp) -> Self {
        moment.to_string()
    }
}
