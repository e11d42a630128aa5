//! Wake-up hints: one subscription for all shepherds. There is no truth in a hint; whoever gets one loads the job.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use events::{Attempt, Event, JobId, Timestamp};
use tokio::sync::watch;

use crate::clock;

/// The last sign of life of an attempt that was heard here.
type Heard = Option<(Attempt, Timestamp)>;

/// Requests that are remembered until their message comes. When there are more, they are forgotten, and loaded.
const MAX_UNTOUCHED: usize = 10_000;

/// Who waits for news of which job.
#[derive(Default)]
pub(super) struct Hints(Mutex<Known>);

#[derive(Default)]
struct Known {
    ears: HashMap<JobId, watch::Sender<Heard>>,
    /// Jobs whose request was heard, and no fact since.
    untouched: HashSet<JobId>,
}

/// A shepherd's ear; it closes when it is dropped.
pub(super) struct Hint {
    hints: Arc<Hints>,
    job: JobId,
    receiver: watch::Receiver<Heard>,
}

impl Hints {
    pub(super) fn subscribe(self: &Arc<Self>, job: JobId) -> Hint {
        let receiver = self.lock().ears.entry(job).or_insert_with(|| watch::channel(None).0).subscribe();
        Hint { hints: Arc::clone(self), job, receiver }
    }

    /// Passes on what was heard to whoever holds the job here.
    pub(super) fn tell(&self, job: JobId, event: &Event) {
        let mut known = self.lock();
        known.touch(job, event);
        if let Some(sender) = known.ears.get(&job) {
            sender.send_if_modified(|heard| match event {
                // A sign of life is noted and wakes nobody: it only moves the next deadline.
                Event::Progressed(report) => {
                    if report.waiting_for.is_none() {
                        *heard = Some((report.attempt, clock::now()));
                    }
                    false
                }
                Event::Started(attempt, _) => {
                    *heard = Some((*attempt, clock::now()));
                    false
                }
                // What the shepherd begins with, and what it writes itself.
                Event::Requested(_) | Event::Dispatched(..) => false,
                Event::AttemptFailed(..)
                | Event::Completed(_)
                | Event::Cancelled(_)
                | Event::Failed(_)
                | Event::Corrupt(..)
                | Event::Unknown => true,
            });
        }
    }

    /// Whether the job's request was heard, and no fact since: then there probably is none. Asked once.
    pub(super) fn take_untouched(&self, job: JobId) -> bool {
        self.lock().untouched.remove(&job)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Known> {
        self.0.lock().expect("nothing panics while it holds this lock")
    }
}

impl Known {
    fn touch(&mut self, job: JobId, event: &Event) {
        match event {
            Event::Requested(_) => {
                if self.untouched.len() >= MAX_UNTOUCHED {
                    self.untouched.clear();
                }
                self.untouched.insert(job);
            }
            Event::Progressed(_) => {}
            _ => {
                self.untouched.remove(&job);
            }
        }
    }
}

impl Hint {
    /// Returns when there was news since the last time.
    pub(super) async fn changed(&mut self) {
        if self.receiver.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Whether there was news since the last time.
    pub(super) fn has_changed(&self) -> bool {
        self.receiver.has_changed().unwrap_or(true)
    }

    /// The last sign of life that was heard.
    pub(super) fn heard(&self) -> Heard {
        *self.receiver.borrow()
    }
}

impl Drop for Hint {
    fn drop(&mut self) {
        let mut known = self.hints.lock();
        if known.ears.get(&self.job).is_some_and(|sender| sender.receiver_count() <= 1) {
            known.ears.remove(&self.job);
        }
    }
}
