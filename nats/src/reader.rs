//! Who reads a stream, and how far: what the server tells of a consumer.

use serde::Deserialize;
use serde_json::json;

use crate::topology::CONSUMER_NOT_FOUND;
use crate::{Bus, Cause, Error};

/// A durable consumer at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct Reader {
    /// Requests for messages that are open: none means that nobody is there, or that whoever is has no room for more.
    #[serde(rename = "num_waiting")]
    pub asking: u64,
    /// Messages that somebody was given and did not acknowledge yet.
    #[serde(rename = "num_ack_pending")]
    pub held: u64,
    /// Messages that nobody was given yet.
    #[serde(rename = "num_pending")]
    pub left: u64,
}

impl Reader {
    /// Asks the consumer's leader; `None` if there is no such consumer.
    pub async fn ask(bus: &Bus, stream: &str, consumer: &str) -> Result<Option<Self>, Error> {
        match bus.ask(&format!("CONSUMER.INFO.{stream}.{consumer}"), &json!({})).await {
            Ok(reader) => Ok(Some(reader)),
            Err(Cause::Refused { code: CONSUMER_NOT_FOUND, .. }) => Ok(None),
            Err(cause) => Err(Error::Inspect(cause)),
        }
    }
}
