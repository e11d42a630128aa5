//! The role `api`: submit, poll, cancel, look back. What clients of any language speak to.

mod cancel;
mod history;
mod poll;
mod submit;
mod uploads;
mod written;

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};
use events::{Command, Entry, Job, JobId};
use nats::{Jobs, Log, Record};

use crate::bucket::Bucket;
use crate::clock;
use crate::http::problem::Problem;
use written::Written;

/// What the role holds.
#[derive(Clone)]
pub struct Api {
    log: Log,
    jobs: Jobs,
    bucket: Bucket,
    written: Arc<Written>,
}

impl Api {
    /// The role, ready to serve.
    pub fn new(log: Log, jobs: Jobs, bucket: Bucket) -> Self {
        Self { log, jobs, bucket, written: Arc::default() }
    }

    /// Its routes.
    pub fn router(self) -> Router {
        Router::new()
            .route("/api/render", post(submit::submit))
            .route("/api/uploads", post(uploads::upload))
            .route("/api/render/{job}", get(poll::poll).delete(cancel::cancel))
            .route("/api/render/{job}/events", get(history::history))
            .route("/api/audio/jobs/{job}", get(poll::poll_as_original))
            .route("/api/audio/jobs/{job}/cancel", post(cancel::cancel))
            .with_state(self)
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
    Problem::unavailable("unavailable", "kiln cannot do this now; try again")
}
