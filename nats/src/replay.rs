//! A stream once more, from its beginning, without acknowledging anything.

use serde::Deserialize;
use serde_json::json;

use crate::pull::{Delivery, Puller};
use crate::stored::next_of_leader;
use crate::{Bus, Error};

/// Messages that are read at once.
const WINDOW: usize = 32_768;
/// Messages that are asked for at once.
const PULL: usize = 2_048;

/// A stream from its beginning to what is its end now, read by consumers of its own that leave nothing behind.
pub(crate) struct Replay {
    bus: Bus,
    stream: &'static str,
    filter: &'static str,
    puller: Puller,
    /// Which connection the consumer was made on: what was on its way when that was lost is never sent again.
    connects: u64,
    /// The last message read, in the stream and of this consumer.
    seq: u64,
    read: u64,
    pending: u64,
}

#[derive(Deserialize)]
struct Created {
    name: String,
    num_pending: u64,
}

impl Replay {
    pub(crate) async fn start(bus: &Bus, stream: &'static str, filter: &'static str) -> Result<Self, Error> {
        let (bus, puller) = (bus.clone(), Puller::new(bus, stream, ""));
        let mut replay = Self { bus, stream, filter, puller, connects: 0, seq: 0, read: 0, pending: 0 };
        replay.resume().await?;
        Ok(replay)
    }

    /// A consumer that begins behind what was read.
    async fn resume(&mut self) -> Result<(), Error> {
        let config = json!({
            "deliver_policy": "by_start_sequence", "opt_start_seq": self.seq + 1, "filter_subject": self.filter,
            "ack_policy": "none", "replay_policy": "instant", "mem_storage": true, "num_replicas": 1,
            "inactive_threshold": 60_000_000_000_u64,
        });
        let body = json!({"stream_name": self.stream, "config": config});
        self.connects = self.bus.link().borrow().connects;
        let created: Result<Created, _> = self.bus.ask(&format!("CONSUMER.CREATE.{}", self.stream), &body).await;
        let created = created.map_err(|cause| Error::Pull(self.stream.to_owned(), cause))?;
        self.puller = Puller::new(&self.bus, self.stream, &created.name);
        (self.read, self.pending) = (0, created.num_pending);
        Ok(())
    }

    /// The next messages; none at the end.
    pub(crate) async fn window(&mut self) -> Result<Vec<Delivery>, Error> {
        let mut window = Vec::new();
        while self.pending > 0 && window.len() < WINDOW {
            window.extend(self.next().await?);
        }
        Ok(window)
    }

    /// Messages that were there when it was last asked, beyond those that were read.
    pub(crate) fn pending(&self) -> u64 {
        self.pending
    }

    /// The next message, or `None` if there is a reason to look again.
    async fn next(&mut self) -> Result<Option<Delivery>, Error> {
        if self.bus.link().borrow().connects != self.connects {
            return self.go_on().await;
        }
        let delivery = self.puller.step(PULL).await?.filter(|delivery| delivery.place == self.read + 1);
        if let Some(delivery) = &delivery {
            (self.seq, self.read, self.pending) = (delivery.seq, delivery.place, delivery.pending);
        }
        Ok(delivery)
    }

    /// After a lost connection. If nothing had come, it may be that the next message cannot be read in this way.
    async fn go_on(&mut self) -> Result<Option<Delivery>, Error> {
        let mut next = None;
        if self.read == 0 {
            let filter = if self.filter.is_empty() { ">" } else { self.filter };
            let found = next_of_leader(&self.bus, self.stream, self.seq + 1, filter).await;
            next = found.map_err(|cause| Error::Pull(self.stream.to_owned(), cause))?;
            self.seq = next.as_ref().map_or(self.seq, |next| next.seq);
        }
        self.resume().await?;
        Ok(next.map(|next| Delivery::of_stored(next, self.stream, String::new())))
    }
}
