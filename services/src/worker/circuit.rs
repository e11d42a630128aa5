//! When Modal says that our own address or keys are wrong, no job is to blame and none is burnt: all wait, one probes.

use std::sync::Mutex;
use std::time::Duration;

use events::Timestamp;
use events::seen::SubmitOutcome;

use crate::clock;

/// Between two probes.
const OPEN_FOR: Duration = Duration::from_secs(15);

/// Open while Modal refuses us as such.
#[derive(Default)]
pub(super) struct Circuit(Mutex<Option<Timestamp>>);

impl Circuit {
    /// Until when nothing is to be submitted. Whoever asks first after that may probe; for the others it stays open.
    pub(super) fn open_until(&self) -> Option<Timestamp> {
        let mut until = self.lock();
        let now = clock::now();
        match *until {
            Some(moment) if moment <= now => {
                *until = Some(now + OPEN_FOR);
                None
            }
            open => open,
        }
    }

    /// Learns from what came of a submit.
    pub(super) fn note(&self, outcome: &SubmitOutcome) {
        let mut until = self.lock();
        match outcome {
            SubmitOutcome::Misconfigured => {
                if until.is_none() {
                    tracing::error!(
                        "the Modal app refuses us (401, 402, 403, 404 or 405): check MODAL_ENDPOINT_URL, MODAL_KEY and \
                         MODAL_SECRET; no job is lost, all wait"
                    );
                }
                *until = Some(clock::now() + OPEN_FOR);
            }
            SubmitOutcome::Accepted(_) | SubmitOutcome::Refused(_) | SubmitOutcome::RetryAfter(_) => {
                if until.take().is_some() {
                    tracing::info!("the Modal app takes jobs again");
                }
            }
            SubmitOutcome::Unknown => {}
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Timestamp>> {
        self.0.lock().expect("nothing panics while it holds this lock")
    }
}
