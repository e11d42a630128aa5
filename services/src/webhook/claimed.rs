//! Jobs as their claims left them: what comes next of them is probably their end, and then they need not be loaded.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};

use events::{Event, Job, JobId};

/// Jobs that are kept; the settings of each have 64 KiB at most. When there are more, they are forgotten, and loaded.
const MAX_KEPT: usize = 1000;

/// The memory of one process. The log may know more by now: it takes nothing that is decided upon less.
#[derive(Default)]
pub(super) struct Claimed(Mutex<HashMap<JobId, Job>>);

impl Claimed {
    pub(super) fn keep(&self, id: JobId, job: Job) {
        let mut kept = self.kept();
        if kept.len() >= MAX_KEPT {
            kept.clear();
        }
        kept.insert(id, job);
    }

    /// The job, if its claim was here, and nothing was heard since that makes another job of it.
    pub(super) fn take(&self, id: JobId) -> Option<Job> {
        self.kept().remove(&id)
    }

    /// Forgets what is not so any more. The claim itself is heard too, before or after it was kept.
    pub(super) fn hear(&self, id: JobId, event: &Event) {
        if !matches!(event, Event::Progressed(_) | Event::Started(..)) {
            self.kept().remove(&id);
        }
    }

    fn kept(&self) -> MutexGuard<'_, HashMap<JobId, Job>> {
        self.0.lock().expect("nothing panics while it holds this lock")
    }
}

#[cfg(test)]
mod tests {
    use events::event::{Cancelled, Progressed};
    use events::{Attempt, Timestamp};

    use super::*;

    #[test]
    fn a_claimed_job_is_kept_once_and_until_something_becomes_of_it() {
        let (claimed, id) = (Claimed::default(), JobId::new(1, [1; 10]));
        let job = Job { updated_at: Timestamp::from_unix_ms(1), ..Job::default() };
        assert_eq!(claimed.take(id), None);
        claimed.keep(id, job.clone());
        claimed.hear(id, &Event::Progressed(Progressed::new(Attempt::FIRST, 50)));
        assert_eq!((claimed.take(id), claimed.take(id)), (Some(job.clone()), None));
        claimed.keep(id, job.clone());
        claimed.hear(id, &Event::Cancelled(Cancelled { reason: String::new() }));
        assert_eq!(claimed.take(id), None);
        for n in 0..=MAX_KEPT {
            claimed.keep(JobId::new(n as u64, [0; 10]), job.clone());
        }
        assert_eq!(claimed.kept().len(), 1, "however many jobs there are");
    }
}
