//! What must hold after any test, whatever it did: one checker, for every world.
//!
//! It reads the log, the bucket of entries, the store and the stand-in's record of its containers.

use std::collections::{BTreeMap, BTreeSet};

use events::{Attempt, Event, Job, JobId};
use kiln::bucket::Bucket;
use kiln::dev::gpu::Record;
use nats::Bus;
use nats::topology::RENDER;

use crate::support::wait_for;
use crate::webhook::messages;

/// What is looked at.
pub(crate) struct Evidence<'a> {
    pub(crate) bus: &'a Bus,
    pub(crate) bucket: Bucket,
    pub(crate) calls: Vec<Record>,
}

impl Evidence<'_> {
    /// Every promise that can be seen from here.
    pub(crate) async fn check(&self) {
        let jobs = self.jobs().await;
        for (id, job) in &jobs {
            attempts_count_up(*id, job);
            self.one_input_got_past_the_claim(*id, job);
            self.what_completed_is_there(*id, job).await;
        }
        self.entries_are_the_fold_of_the_log().await;
    }

    /// Each job as its messages make it, in the order of the log and against it: the same.
    async fn jobs(&self) -> BTreeMap<JobId, Job> {
        let mut facts: BTreeMap<JobId, Vec<events::Recorded>> = BTreeMap::new();
        for message in messages(self.bus, RENDER).await {
            if let Some((job, event)) = Event::read(&message.subject, &message.payload()) {
                let recorded = events::Recorded { seq: message.seq, time: message.time, event };
                facts.entry(job).or_default().push(recorded);
            }
        }
        let folded = facts.into_iter().map(|(id, facts)| {
            let (mut job, mut backwards) = (Job::default(), Job::default());
            for fact in &facts {
                job.absorb(fact);
            }
            for fact in facts.iter().rev().chain(&facts) {
                backwards.absorb(fact);
            }
            assert_eq!(job, backwards, "{id}: the order of the facts made a difference");
            (id, job)
        });
        folded.collect()
    }

    fn one_input_got_past_the_claim(&self, id: JobId, job: &Job) {
        let of_job = self.calls.iter().filter(|call| call.job_id == id);
        let mut rendered: BTreeMap<Attempt, BTreeSet<&str>> = BTreeMap::new();
        for call in of_job.filter(|call| call.claims > 0) {
            rendered.entry(call.attempt).or_default().insert(&call.input_id);
        }
        for (attempt, inputs) in rendered {
            assert_eq!(inputs.len(), 1, "{id}: attempt {attempt} was rendered by {inputs:?}; {job:?}");
        }
    }

    async fn what_completed_is_there(&self, id: JobId, job: &Job) {
        let Some(output) = job.completed().map(|completed| &completed.output) else { return };
        let object = self.bucket.head(output.key().expect("a key")).await.expect("the store answers");
        let size_bytes = object.map(|object| object.size_bytes);
        assert!(
            size_bytes.is_some() && size_bytes == output.size_bytes,
            "{id}: {output:?}, and there is {size_bytes:?}"
        );
    }

    async fn entries_are_the_fold_of_the_log(&self) {
        wait_for("entries that are the fold of the log", async || {
            let verified = nats::verify(self.bus, &|_, _| ()).await.expect("the log can be read");
            verified.differences.is_empty().then_some(())
        })
        .await;
    }
}

fn attempts_count_up(id: JobId, job: &Job) {
    let numbers: Vec<u16> = job.attempts.keys().map(|attempt| attempt.get()).collect();
    let expected: Vec<u16> = (1..).take(numbers.len()).collect();
    assert_eq!(numbers, expected, "{id}: {job:?}");
    let limit = job.spec().map_or(u16::MAX, |spec| spec.max_attempts);
    assert!(numbers.last().is_none_or(|last| *last <= limit), "{id}: more attempts than {limit}");
}
