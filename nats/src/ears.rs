//! Inboxes for answers of several messages, each used again and again: a subscription costs more than such an answer.

use std::sync::{Mutex, MutexGuard};

use async_nats::Subscriber;

use crate::{Bus, Cause};

/// Inboxes that are kept when nobody needs them.
const KEPT: usize = 64;

/// Those of one connection that nobody uses now.
#[derive(Default)]
pub(crate) struct Ears(Mutex<Vec<Ear>>);

/// An inbox, and what comes to it.
pub(crate) struct Ear {
    pub(crate) inbox: String,
    pub(crate) answers: Subscriber,
    /// Which connection it belongs to: one that was made since may have lost the end of an answer.
    connects: u64,
}

impl Ears {
    /// An inbox at which nothing is under way.
    pub(crate) async fn take(&self, bus: &Bus) -> Result<Ear, Cause> {
        let connects = bus.connects();
        let kept = self.kept().pop().filter(|ear| ear.connects == connects);
        if let Some(ear) = kept {
            return Ok(ear);
        }
        let inbox = bus.client().new_inbox();
        let answers = bus.client().subscribe(inbox.clone()).await.map_err(Cause::client)?;
        Ok(Ear { inbox, answers, connects })
    }

    /// Takes back one that has heard its answer to the end. One that has not is to be dropped.
    pub(crate) fn put_back(&self, ear: Ear) {
        let mut kept = self.kept();
        if kept.len() < KEPT {
            kept.push(ear);
        }
    }

    fn kept(&self) -> MutexGuard<'_, Vec<Ear>> {
        self.0.lock().expect("nothing panics while it holds this lock")
    }
}

#[cfg(test)]
mod tests {
    use events::event::Cancelled;
    use events::{Event, JobId};
    use futures_util::future::try_join_all;

    use crate::server::{Options, Server};
    use crate::tool::NATS_SERVER;
    use crate::topology::{Tunables, provision};
    use crate::{Bus, Log, Settings};

    #[tokio::test]
    async fn answers_come_to_few_inboxes_and_each_to_its_own_question() {
        let folder = tempfile::tempdir().expect("a folder");
        let program = NATS_SERVER.find(&|_| ()).expect("a nats-server");
        let server = Server::start(Options::new(program, folder.path())).await.expect("a server");
        let bus = Bus::connect(&Settings::new(server.url(), "api")).await.expect("connected");
        provision(&bus, &Tunables::default()).await.expect("provisioned");
        let log = Log::new(bus.clone());
        let ids = [1, 2, 3, 4].map(|n| JobId::new(n, [0; 10]));
        for id in ids {
            let event = Event::Cancelled(Cancelled { reason: id.to_string() });
            log.append(id, 0, &event).await.expect("stored");
        }
        for _ in 0..8 {
            let loaded = try_join_all(ids.map(|id| log.load(id))).await.expect("an answer");
            assert_eq!(loaded.iter().map(|job| job.seq).collect::<Vec<_>>(), [1, 2, 3, 4]);
        }
        assert!((1..=4).contains(&bus.ears().kept().len()), "as many as asked at once");
        drop(bus.ears().take(&bus).await);
        log.load(ids[0]).await.expect("an answer");
        assert!((1..4).contains(&bus.ears().kept().len()), "the one that was dropped is not missed");
    }
}
