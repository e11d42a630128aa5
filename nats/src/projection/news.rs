//! What has come and is in no entry yet.

use std::collections::HashMap;
use std::time::Duration;

use events::{Job, JobId, Recorded};
use tokio::time::Instant;

use crate::pull::Delivery;

/// Entries that are written at once. The server writes one after the other: more would only wait in its line, where nothing
/// is joined any more and nothing goes first.
const AT_ONCE: usize = 16;
/// The same for those without an end, so that an end finds a short line.
const OTHERS_AT_ONCE: usize = 4;
/// An end goes before what came so long before it: people wait for ends, and what is written of the job with one need
/// not be written before.
const HEAD_START: Duration = Duration::from_millis(100);

/// Jobs with news. A job whose entry is being written waits until that is done, and what comes meanwhile goes together.
#[derive(Default)]
pub(super) struct News {
    waiting: HashMap<Option<JobId>, Item>,
    /// Whose entries are being written, and whether with an end.
    busy: HashMap<Option<JobId>, bool>,
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

    /// What goes next, if there is room: of what has come since the turn, only an end, since nothing comes that it could be
    /// joined with.
    pub(super) fn first(&self, turn: Instant) -> Option<&Item> {
        if self.busy.len() >= AT_ONCE {
            return None;
        }
        let has_room = self.busy.values().filter(|is_end| !**is_end).count() < OTHERS_AT_ONCE;
        let may_go = |item: &&Item| {
            !self.busy.contains_key(&item.id) && (item.job.ended.is_some() || has_room && item.since <= turn)
        };
        self.waiting.values().filter(may_go).min_by_key(|item| item.rank())
    }

    /// The same, to be written; it must be [`News::done`] some time.
    pub(super) fn next(&mut self, turn: Instant) -> Option<Item> {
        let id = self.first(turn)?.id;
        let item = self.waiting.remove(&id)?;
        self.busy.insert(id, item.job.ended.is_some());
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
        let before = Instant::now() - HEAD_START;
        for delivery in [delivery(1, &dispatched), delivery(2, &dispatched), delivery(2, &cancelled)] {
            news.add(delivery);
        }
        assert_eq!(news.held(), 3);
        let item = news.next(before).expect("the end");
        assert_eq!((item.id, item.messages.len(), item.job.ended.is_some()), (Some(second), 2, true));
        news.add(delivery(2, &cancelled));
        assert!(news.next(before).is_none(), "the one is being written, the other may be joined with what comes");
        assert_eq!(news.next(Instant::now()).expect("the other job").id, Some(first));
        assert!(news.next(Instant::now()).is_none(), "both are being written");
        news.done(Some(second));
        assert_eq!(news.next(before).expect("what came meanwhile").messages.len(), 1);
        assert_eq!((news.held(), news.into_deliveries().count()), (0, 0));
    }

    #[test]
    fn what_came_before_a_turn_goes_as_there_is_room_and_an_end_finds_some() {
        let dispatched = Event::Dispatched(Attempt::FIRST, Dispatched { call_id: "fc-1".into(), gpu: true });
        let cancelled = Event::Cancelled(Cancelled { reason: "enough".into() });
        let mut news = News::default();
        let others = OTHERS_AT_ONCE as u64;
        for n in 1..=others + 2 {
            news.add(delivery(n, &dispatched));
        }
        let turn = Instant::now();
        let gone: Vec<_> = std::iter::from_fn(|| news.next(turn)).map(|item| item.id).collect();
        assert_eq!((gone.len(), news.held()), (OTHERS_AT_ONCE, 2));
        for n in 1..=AT_ONCE as u64 {
            news.add(delivery(100 + n, &cancelled));
        }
        assert_eq!(std::iter::from_fn(|| news.next(turn)).count(), AT_ONCE - OTHERS_AT_ONCE);
        for id in gone {
            news.done(id);
        }
        let ended = std::iter::from_fn(|| news.next(turn)).map(|item| item.job.ended.is_some()).collect::<Vec<_>>();
        assert_eq!(ended, [true; OTHERS_AT_ONCE], "ends go first");
        for n in 1..=AT_ONCE as u64 {
            news.done(Some(JobId::new(100 + n, [0; 10])));
        }
        assert_eq!(std::iter::from_fn(|| news.next(turn)).count(), 2, "of the same turn");
    }

    #[test]
    fn nobody_waits_for_ends_for_long() {
        let dispatched = Event::Dispatched(Attempt::FIRST, Dispatched { call_id: "fc-1".into(), gpu: true });
        let cancelled = Event::Cancelled(Cancelled { reason: "enough".into() });
        let mut news = News::default();
        news.add(delivery(1, &dispatched));
        news.add(delivery(2, &cancelled));
        news.waiting.values_mut().filter(|item| item.job.ended.is_none()).for_each(|item| item.since -= 2 * HEAD_START);
        assert_eq!(news.next(Instant::now()).expect("the older one").id, Some(JobId::new(1, [0; 10])));
    }
}
