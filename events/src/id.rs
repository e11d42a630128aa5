//! Names of things: a job, and an attempt at it.

use std::fmt;
use std::num::NonZeroU16;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The namespace of every job id that is derived from an `Idempotency-Key`: v5(URL namespace, `https://kiln/jobs`).
const NAMESPACE: Uuid = Uuid::from_u128(0x6b69_6c6e_0000_5000_8000_6a6f_6273_0001);

/// A job's name: a UUID, written in its canonical form of 36 lower-case characters and in no other.
///
/// It is the only thing from a client that ever becomes part of a subject or of an object's key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String", extend("format" = "uuid", "examples" = ["0193a5c0-7c1e-7b3a-9d52-1f0c8a7be001"]))]
pub struct JobId(Uuid);

/// A text that is no job id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a job id is a UUID in its canonical form of 36 lower-case characters")]
pub struct BadJobId;

impl JobId {
    /// Reads the canonical form. Braces, `urn:`, upper case and missing hyphens are refused.
    pub fn parse(text: &str) -> Result<Self, BadJobId> {
        if text.len() != 36 {
            return Err(BadJobId);
        }
        let uuid = Uuid::try_parse(text).map_err(|_| BadJobId)?;
        let mut canonical = Uuid::encode_buffer();
        if *uuid.hyphenated().encode_lower(&mut canonical) != *text {
            return Err(BadJobId);
        }
        Ok(Self(uuid))
    }

    /// A new id (version 7) from the time, in milliseconds since 1970, and ten random bytes.
    pub fn new(unix_ms: u64, random: [u8; 10]) -> Self {
        Self(uuid::Builder::from_unix_timestamp_millis(unix_ms, &random).into_uuid())
    }

    /// The id (version 5) that `owner`, an API key's id or `anonymous`, gets for an `Idempotency-Key`: always the same.
    pub fn from_idempotency_key(owner: &str, key: &str) -> Self {
        let namespace = Uuid::new_v5(&NAMESPACE, owner.as_bytes());
        Self(Uuid::new_v5(&namespace, key.as_bytes()))
    }

    /// Whether it was made from an `Idempotency-Key`, so that a client may ask for it again.
    pub fn is_derived(&self) -> bool {
        self.0.get_version_num() == 5
    }

    /// The sixteen bytes.
    pub fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

impl fmt::Debug for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl TryFrom<String> for JobId {
    type Error = BadJobId;
    fn try_from(text: String) -> Result<Self, BadJobId> {
        Self::parse(&text)
    }
}

impl From<JobId> for String {
    fn from(job: JobId) -> Self {
        job.to_string()
    }
}

impl std::str::FromStr for JobId {
    type Err = BadJobId;
    fn from_str(text: &str) -> Result<Self, BadJobId> {
        Self::parse(text)
    }
}

/// Which try at a job this is: 1, 2, … up to [`Attempt::MAX`]. The attempt is the fence between a worker's intentions:
/// what an older attempt reports is stale, except for a success.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "u16", into = "u16")]
#[schemars(with = "u16", extend("minimum" = 1, "maximum" = 99))]
pub struct Attempt(NonZeroU16);

/// A number that is no attempt.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an attempt is a whole number from 1 to {}, without leading zeros", Attempt::MAX)]
pub struct BadAttempt;

impl Attempt {
    /// The first attempt.
    pub const FIRST: Self = Self(NonZeroU16::MIN);
    /// The largest number of an attempt; well above every policy's limit, and small enough to bound a job's state.
    pub const MAX: u16 = 99;

    /// The attempt with this number.
    pub fn new(number: u16) -> Result<Self, BadAttempt> {
        match NonZeroU16::new(number) {
            Some(number) if number.get() <= Self::MAX => Ok(Self(number)),
            _ => Err(BadAttempt),
        }
    }

    /// Reads a decimal number without sign or leading zeros, as it stands in a subject.
    pub fn parse(text: &str) -> Result<Self, BadAttempt> {
        let attempt = Self::new(text.parse().map_err(|_| BadAttempt)?)?;
        if attempt.to_string() == text { Ok(attempt) } else { Err(BadAttempt) }
    }

    /// Its number, from 1.
    pub fn get(self) -> u16 {
        self.0.get()
    }

    /// The one after it; the last one has itself as its next, so that nothing ever overflows.
    #[must_use]
    pub fn next(self) -> Self {
        Self::new(self.get() + 1).unwrap_or(self)
    }
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl TryFrom<u16> for Attempt {
    type Error = BadAttempt;
    fn try_from(number: u16) -> Result<Self, BadAttempt> {
        Self::new(number)
    }
}

impl From<Attempt> for u16 {
    fn from(attempt: Attempt) -> Self {
        attempt.get()
    }
}
