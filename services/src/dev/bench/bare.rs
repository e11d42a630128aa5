//! The least that a job's writes cost: the same number, of the same sizes, with nothing around them.

use std::time::Duration;

use bytes::Bytes;
use nats::Bus;
use nats::bench::{Written, copy_streams, write_bare, written};

use super::load::spread;
use super::{as_f64, per_second};

/// What was written so far, and how long it took.
#[derive(Default)]
pub(super) struct Bare {
    jobs: u64,
    facts: u64,
    entries: u64,
    reports: u64,
    took: Duration,
}

impl Bare {
    pub(super) async fn start(bus: &Bus) -> Result<Self, nats::Error> {
        copy_streams(bus).await?;
        Ok(Self::default())
    }

    /// Writes what kiln has written since, for so many jobs.
    pub(super) async fn run(&mut self, bus: &Bus, jobs: u64, at_once: u32, since: &Written) -> anyhow::Result<()> {
        let now = written(bus).await?;
        let [facts, entries] = [now.log.written - since.log.written, now.jobs.written - since.jobs.written];
        let [fact, entry] = [&now.log, &now.jobs].map(|stream| filling(stream.message_bytes));
        let (bus, first) = (bus.clone(), self.jobs);
        self.took += spread(jobs, at_once, move |n| {
            let (bus, fact, entry) = (bus.clone(), fact.clone(), entry.clone());
            async move {
                let facts = (share(facts, n, jobs), fact);
                Ok(write_bare(&bus, first + n, facts, (share(entries, n, jobs), entry)).await?)
            }
        })
        .await?;
        self.jobs += jobs;
        self.facts += facts;
        self.entries += entries;
        self.reports += now.reports.written - since.reports.written;
        Ok(())
    }

    pub(super) fn rate(&self) -> f64 {
        per_second(self.jobs, self.took)
    }

    pub(super) fn writes(&self) -> String {
        let [facts, entries, reports] =
            [self.facts, self.entries, self.reports].map(|count| as_f64(count) / as_f64(self.jobs));
        format!("{facts:.2} in the log, {entries:.2} in the bucket, synced; {reports:.2} reports, which are not")
    }
}

/// How many of `all` the `n`th of `parts` gets.
fn share(all: u64, n: u64, parts: u64) -> u64 {
    all * (n + 1) / parts - all * n / parts
}

fn filling(bytes: u64) -> Bytes {
    vec![b'x'; usize::try_from(bytes).unwrap_or_default()].into()
}
