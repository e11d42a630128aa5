//! The least that a job's writes cost: as many as kiln made, with the same headers, of the same sizes and upon the same
//! conditions, with nothing around them.

use std::time::{Duration, Instant};

use events::JobId;
use nats::Bus;
use nats::bench::{Copies, Written, written};

use super::load::spread;
use super::{as_f64, per_second};

/// Writes one after the other that tell what one takes, each about as long as a fact.
const ALONE: u64 = 101;
const FACT_BYTES: u64 = 500;

/// What was written so far, and how long it took.
pub(super) struct Bare {
    copies: Copies,
    jobs: u64,
    facts: u64,
    entries: u64,
    reports: u64,
    took: Duration,
}

impl Bare {
    /// By two connections, as the log and the bucket are written by different roles.
    pub(super) async fn start(log: Bus, jobs: Bus) -> Result<Self, nats::Error> {
        let copies = Copies::make(log, jobs).await?;
        Ok(Self { copies, jobs: 0, facts: 0, entries: 0, reports: 0, took: Duration::ZERO })
    }

    /// What a synced write takes with nothing else going on, the median of some.
    pub(super) async fn alone(&self) -> Result<Duration, nats::Error> {
        let mut took = Vec::new();
        for n in 0..ALONE {
            let began = Instant::now();
            self.copies.write(JobId::new(n + 1, [1; 10]), (1, FACT_BYTES), (0, 0)).await?;
            took.push(began.elapsed());
        }
        took.sort();
        Ok(took[took.len() / 2])
    }

    /// Writes what kiln has written since, for so many jobs.
    pub(super) async fn run(&mut self, bus: &Bus, jobs: u64, at_once: u32, since: &Written) -> anyhow::Result<()> {
        let now = written(bus).await?;
        let [facts, entries] = [now.log.written - since.log.written, now.jobs.written - since.jobs.written];
        let [fact, entry] = [now.log.message_bytes, now.jobs.message_bytes];
        let (copies, first) = (self.copies.clone(), self.jobs);
        self.took += spread(jobs, at_once, move |n| {
            let copies = copies.clone();
            async move {
                let (facts, entries) = (share(facts, n, jobs), share(entries, n, jobs));
                Ok(copies.write(id(first + n), (facts, fact), (entries, entry)).await?)
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

fn id(n: u64) -> JobId {
    JobId::new(n + 1, [0; 10])
}
