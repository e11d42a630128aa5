//! What every role does with a wish: load, decide, append, until it is a fact or refused.

use events::{Command, Job, JobId, Recorded, Rejection, Timestamp, decide};

use crate::{Error, Log, Outcome};

/// A job after a command.
#[derive(Debug)]
pub struct Record {
    /// The job, with the fact if there is a new one. The fact's time is the command's, until the job is loaded again.
    pub job: Job,
    /// Why there is no new fact.
    pub refused: Option<Rejection>,
}

impl Log {
    /// Makes a command a fact, unless the domain refuses. An error means that nobody knows; it is safe to do it again.
    pub async fn record(&self, id: JobId, command: Command, now: Timestamp) -> Result<Record, Error> {
        let known = self.load(id).await?;
        self.record_upon(id, known, command, now).await
    }

    /// As [`Log::record`], by somebody who has the job before him. It may be old: the log takes nothing then, and the
    /// job is loaded.
    pub async fn record_upon(&self, id: JobId, known: Job, command: Command, now: Timestamp) -> Result<Record, Error> {
        let mut outcome = self.transact_upon(id, known, |job| decide(job, command.clone())).await?;
        let is_unknown = matches!(&outcome, Outcome::Rejected { rejection: Rejection::NoSuchJob, .. });
        // A replica may lag behind the request: only the leader knows what is not there.
        if is_unknown && self.load_at_least(id, 1).await?.requested.is_some() {
            outcome = self.transact(id, |job| decide(job, command.clone())).await?;
        }
        Ok(match outcome {
            Outcome::Rejected { job, rejection } => Record { job, refused: Some(rejection) },
            Outcome::Appended { mut job, seq } => {
                // Deciding is pure: the same job and command give the fact that was appended.
                if let Ok(event) = decide(&job, command) {
                    job.absorb(&Recorded { seq, time: now, event });
                }
                Record { job, refused: None }
            }
        })
    }
}
