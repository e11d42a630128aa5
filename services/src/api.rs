//! The role `api`: submit, poll, cancel, look back. What clients of any language speak to.

mod cancel;
mod docs;
mod history;
mod openapi;
mod poll;
mod submit;
mod table;
mod uploads;
mod written;

use std::sync::Arc;

use axum::Router;
use events::{Command, Entry, Job, JobId};
use nats::{Jobs, Log, Record};
use tokio_util::sync::CancellationToken;

use crate::bucket::Bucket;
use crate::clock;
use crate::http::code::Code;
use crate::http::gate::Gate;
use crate::http::problem::Problem;
use crate::http::route;
pub use openapi::document;
use written::Written;

/// What the role holds.
#[derive(Clone)]
pub struct Api {
    log: Log,
    jobs: Jobs,
    bucket: Bucket,
    written: Arc<Written>,
    stop: CancellationToken,
}

impl Api {
    /// The role, ready to serve until `stop`: then it takes no new work.
    pub fn new(log: Log, jobs: Jobs, bucket: Bucket, stop: CancellationToken) -> Self {
        Self { log, jobs, bucket, written: Arc::default(), stop }
    }

    /// Its routes, behind this gate.
    pub fn router(self, gate: &Gate) -> Router {
        route::router(table::routes(), gate).with_state(self)
    }

    /// Whether work may begin, asked before a body is read.
    fn takes_work(&self) -> Result<(), Problem> {
        if self.stop.is_cancelled() {
            return Err(Problem::new(Code::Stopping, "this server is about to stop; try again at another"));
        }
        if !self.log.bus().is_connected() {
            return Err(Problem::new(Code::LogUnavailable, "kiln's log cannot be reached; try again"));
        }
        Ok(())
    }

    /// Makes a client's wish a fact, or says why not; whoever polls here afterwards sees it.
    async fn record(&self, id: JobId, command: Command) -> Result<Record, nats::Error> {
        let record = self.log.record(id, command, clock::now()).await?;
        self.written.note(id, record.job.seq);
        Ok(record)
    }

    /// The job as the projection has it, or, where that lags or is gone, as the log has it.
    async fn find(&self, id: JobId) -> Result<Job, Problem> {
        let projected = match self.jobs.get(id).await {
            Ok(entry) => entry.map(|(_, Entry { job, .. })| job),
            Err(error) => {
                tracing::warn!(job.id = %id, error = crate::chain(&error), "the projection did not answer; the log is asked");
                None
            }
        };
        let job = match projected {
            Some(job) if job.requested.is_some() && job.seq >= self.written.version(id) => job,
            _ => self.log.load(id).await.map_err(|error| unavailable(&error))?,
        };
        if job.requested.is_some() { Ok(job) } else { Err(Problem::not_found("there is no such job")) }
    }
}

fn parse_id(text: &str) -> Result<JobId, Problem> {
    JobId::parse(text).map_err(|_| Problem::not_found("there is no such job: its id is no UUID in lower case"))
}

/// Something that we need did not answer; the client may ask again.
fn unavailable(error: &(dyn std::error::Error + 'static)) -> Problem {
    tracing::warn!(error = crate::chain(error), "a request could not be served");
    Problem::new(Code::Unavailable, "kiln cannot do this now; try again")
}
