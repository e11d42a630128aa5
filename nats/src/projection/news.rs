//! What has come and is in no entry yet.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use events::{Job, JobId, Recorded};
use tokio::time::Instant;

use crate::pull::Delivery;

/// An end goes before what came so long before it: people wait for ends, and what is written of the job with one need
/// not be written before.
const HEAD_START: Duration = Duration::from_millis(100);

/// Jobs with news. A job whose entry is being written waits until that is done, and what comes meanwhile goes together.
#[derive(Default)]
pub(super) struct News {
    waiting: HashMap<Option<JobId>, Item>,
    busy: HashSet<Option<JobId>>,
    held: usize,
}

/// What came of one job, or what is no job's.
pub(super) struct Item {
    pub(super) id: Option<JobId>,
    /// The facts and reports among it.
    pub(super) job: Job,
    pub(super) messages: Vec<(Delivery, Option<Recorded>)>,
    since: Instant,
}

impl News {
    pub(super) fn add(&mut self, delivery: Delivery) {
        let (id, recorded) = delivery.recorded().unzip();
        let new = || Item { id, job: Job::default(), messages: Vec::new(), since: Instant::now() };
        let item = self.waiting.entry(id).or_insert_with(new);
        if let Some(recorded) = &recorded {
            item.job.absorb(recorded);
        }
        item.messages.push((delivery, recorded));
        self.held += 1;
    }

    /// Messages that wait.
    pub(super) fn held(&self) -> usize {
        self.held
    }

    /// What goes next; before the time is due, only an end does: there is nothing to come that it could be joined with.
    pub(super) fn first(&self, is_due: bool) -> Option<&Item> {
        let may_go = |item: &&Item| !self.busy.contains(&item.id) && (is_due || item.job.ended.is_some());
        self.waiting.values().filter(may_go).min_by_key(|item| item.rank())
    }

    /// The same, to be written; it must be [`News::done`] some time.
    pub(super) fn next(&mut self, is_due: bool) -> Option<Item> {
        let id = self.first(is_due)?.id;
        let item = self.waiting.remove(&id)?;
        self.busy.insert(id);
        self.held -= item.messages.len();
        Some(item)
    }

    pub(super) fn done(&mut self, id: Option<JobId>) {
        self.busy.remove(&id);
    }

    /// What nobody will write.
    pub(super) fn into_deliveries(self) -> impl Iterator<Item = Delivery> {
        self.waiting.into_values().flat_map(|item| item.messages).map(|(delivery, _)| delivery)
    }
}

impl Item {
    /// The smallest goes first.
    fn rank(&self) -> Instant {
        if self.job.ended.is_some() { self.since } else { self.since + HEAD_START }
    }
}

#[cfg(test)]
mod tests {
    use events::event::{Cancelled, Dispatched};
    use events::{Attempt, Event, Timestamp, subject};

    use super::*;
    use crate::stored::Stored;

    fn delivery(job: u64, event: &Event) -> Delivery {
        let kind = event.kind().expect("a kind");
        let stored = Stored {
            subject: subject::of(JobId::new(job, [0; 10]), kind),
            seq: 1,
            time: Timestamp::default(),
            payload: event.payload().to_string().into(),
            is_readable: true,
        };
        Delivery::of_stored(stored, "RENDER", String::new())
    }

    #[test]
    fn what_comes_goes_together_one_write_at_a_time_and_ends_go_first() {
        let dispatched = Event::Dispatched(Attempt::FIRST, Dispatched { call_id: "fc-1".into(), gpu: true });
        let cancelled = Event::Cancelled(Cancelled { reason: "enough".into() });
        let mut news = News::default();
        let (first, second) = (JobId::new(1, [0; 10]), JobId::new(2, [0; 10]));
        for delivery in [delivery(1, &dispatched), delivery(2, &dispatched), delivery(2, &cancelled)] {
            news.add(delivery);
        }
        assert_eq!(news.held(), 3);
        let item = news.next(false).expect("the end");
        assert_eq!((item.id, item.messages.len(), item.job.ended.is_some()), (Some(second), 2, true));
        news.add(delivery(2, &cancelled));
        assert!(news.next(false).is_none(), "the one is being written, the other may be joined with what comes");
        assert_eq!(news.next(true).expect("the other job").id, Some(first));
        assert!(news.next(true).is_none(), "both are being written");
        news.done(Some(second));
        assert_eq!(news.next(false).expect("what came meanwhile").messages.len(), 1);
        assert_eq!((news.held(), news.into_deliveries().count()), (0, 0));
    }

    #[test]
    fn nobody_waits_for_ends_for_long() {
        let dispatched = Event::Dispatched(Attempt::FIRST, Dispatched { call_id: "fc-1".into(), gpu: true });
        let cancelled = Event::Cancelled(Cancelled { reason: "enough".into() });
        let mut news = News::default();
        news.add(delivery(1, &dispatched));
        news.add(delivery(2, &cancelled));
        news.waiting.values_mut().filter(|item| item.job.ended.is_none()).for_each(|item| item.since -= 2 * HEAD_START);
        assert_eq!(news.next(true).expect("the older one").id, Some(JobId::new(1, [0; 10])));
    }
}
