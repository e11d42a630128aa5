//! What tells one log from another: when it was made, where it ends, and what lies there.

use events::Timestamp;
use serde::Deserialize;
use serde_json::json;

use crate::stored::at_of_leader;
use crate::topology::{RENDER, STREAM_NOT_FOUND};
use crate::{Bus, Cause, Error, Log};

/// The log's beginning and end, as its leader tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// When the stream was made, in the server's own words: another text means another stream.
    pub created: String,
    /// The first sequence that is still there.
    pub first_seq: u64,
    /// The last sequence that was given.
    pub last_seq: u64,
    /// When the message with that sequence was stored; `None` if there never was one.
    pub last_time: Option<Timestamp>,
}

/// What the server tells of a stream.
#[derive(Deserialize)]
pub(crate) struct Info {
    pub(crate) created: String,
    pub(crate) state: State,
}

#[derive(Deserialize)]
pub(crate) struct State {
    pub(crate) messages: u64,
    pub(crate) first_seq: u64,
    pub(crate) last_seq: u64,
    /// In the year 1 for an empty stream.
    last_ts: String,
}

/// Asks the leader of a stream about it.
pub(crate) async fn info(bus: &Bus, stream: &str) -> Result<Info, Cause> {
    bus.ask(&format!("STREAM.INFO.{stream}"), &json!({})).await
}

impl Log {
    /// Where the log begins and ends; `None` if there is no log.
    pub async fn head(&self) -> Result<Option<Head>, Error> {
        match info(self.bus(), RENDER).await {
            Ok(Info { created, state: State { first_seq, last_seq, last_ts, .. } }) => {
                let last_time = Timestamp::parse(&last_ts).ok();
                Ok(Some(Head { created, first_seq, last_seq, last_time }))
            }
            Err(Cause::Refused { code: STREAM_NOT_FOUND, .. }) => Ok(None),
            Err(cause) => Err(Error::Head(cause)),
        }
    }

    /// When the message with this sequence was stored; `None` if it is not there, or not there yet.
    pub async fn time_of(&self, seq: u64) -> Result<Option<Timestamp>, Error> {
        let found = at_of_leader(self.bus(), RENDER, seq).await.map_err(Error::Head)?;
        Ok(found.map(|stored| stored.time))
    }
}

impl Bus {
    /// Nothing is written from now on; the reason goes to whoever wants to write.
    pub fn close_gate(&self, reason: &str) {
        self.gate().close(reason);
    }

    /// Writing is allowed on this connection, which [`Bus::connects`] told, and on no later one.
    pub fn open_gate(&self, connects: u64) {
        self.gate().open(connects);
    }

    /// Why nothing is written, if the gate was closed.
    pub fn refusal(&self) -> Option<std::sync::Arc<str>> {
        self.gate().refusal()
    }

    /// Comes back when the log was looked at on the present connection, and writing is allowed.
    pub async fn writable(&self) {
        let (mut changes, mut link) = (self.gate().changes(), self.link());
        while self.may_write().is_err() {
            tokio::select! {
                _ = changes.changed() => {}
                _ = link.changed() => {}
            }
        }
    }

    /// How often the connection was made.
    pub fn connects(&self) -> u64 {
        self.link().borrow().connects
    }

    /// Comes back when there is another connection than this one.
    pub async fn reconnected(&self, connects: u64) {
        // The channel closes with the client only, and then there is no other connection.
        if self.link().wait_for(|link| link.is_up && link.connects != connects).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// The highest sequence that the log acknowledged to this process since the last time that this was asked.
    pub fn take_acknowledged(&self) -> u64 {
        self.gate().take_acknowledged()
    }
}
