//! The time and chance of this machine: the only place that asks for either.

use std::time::{SystemTime, UNIX_EPOCH};

use events::{JobId, Timestamp};

/// Now.
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_unix_ms(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// A name that nobody has: for a job, an upload or a request.
pub fn new_id() -> JobId {
    let bytes = uuid::Uuid::now_v7();
    JobId::parse(&bytes.to_string()).expect("a UUID's text is canonical")
}

/// Chance, as 32 hexadecimal digits of which 122 bits are random.
pub fn random_hex() -> String {
    uuid::Uuid::new_v4().simple().to_string()
}
