//! The role `webhook`: claims, progress and ends, from machines that we do not own.
//!
//! Every request carries a capability for one attempt of one job. It is verified before anything is read or asked, and
//! whatever is wrong with it gives the same 401. A 200 is given only for what is in the log.

mod claim;
mod claimed;
mod complete;
mod progress;
mod reports;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, header};
use axum::routing::{patch, post};
use events::capability::{Grant, Roots};
use events::{Event, JobId, Rejection, Status};
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;

use crate::bucket::Bucket;
use crate::http::code::Code;
use crate::http::gate;
use crate::http::problem::Problem;
use crate::{clock, news, trace};
use claimed::Claimed;
use reports::Reports;

/// Callbacks that are at work at once. A forged one is at work for the time of its refusal alone.
const AT_ONCE: usize = 512;
/// Largest body of a callback.
const MAX_BODY: usize = 64 * 1024;
/// The whole body must be here by then.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// What the role holds: the log, the bucket's keys (it signs the addresses that a claim gives), the capability's roots.
#[derive(Clone)]
pub struct Webhook {
    log: nats::Log,
    bucket: Bucket,
    roots: Arc<Roots>,
    reports: Arc<Reports>,
    claimed: Arc<Claimed>,
}

impl Webhook {
    /// The role, ready to serve.
    pub fn new(log: nats::Log, bucket: Bucket, roots: Roots) -> Self {
        Self { log, bucket, roots: Arc::new(roots), reports: Arc::default(), claimed: Arc::default() }
    }

    /// Its routes.
    pub fn router(self) -> Router {
        let router = Router::new()
            .route("/api/render/{job}/claim", post(claim::claim))
            .route("/api/render/{job}", patch(progress::progress))
            .route("/api/webhooks/worker", post(complete::complete))
            .with_state(self);
        gate::limited(router, AT_ONCE)
    }

    /// Hears what becomes of the jobs that report here, until the stop.
    pub async fn listen(&self, stop: &CancellationToken) {
        let tell = |job, event: &Event| {
            self.reports.hear(job, event);
            self.claimed.hear(job, event);
        };
        news::listen(self.log.bus(), stop, tell).await;
    }

    /// The same role, writing on behalf of the trace that a callback belongs to, if it says so.
    fn traced(mut self, headers: &HeaderMap) -> Self {
        self.log = self.log.traced(trace::given(headers).map(|given| trace::continued(Some(given))));
        self
    }

    /// The attempt that the header's capability is for. Nothing else of the request is looked at.
    fn grant(&self, headers: &HeaderMap) -> Result<Grant, Problem> {
        let header = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let capability = header.and_then(|value| value.strip_prefix("Bearer "));
        capability
            .and_then(|capability| self.roots.verify(capability, clock::now()).ok())
            .ok_or_else(Problem::unauthorized)
    }

    /// The same, for a job that stands in the path.
    fn grant_for(&self, headers: &HeaderMap, job: &str) -> Result<Grant, Problem> {
        let grant = self.grant(headers)?;
        if JobId::parse(job) == Ok(grant.job) { Ok(grant) } else { Err(Problem::unauthorized()) }
    }
}

async fn read<T: DeserializeOwned>(body: Body) -> Result<T, Problem> {
    let bytes = tokio::time::timeout(BODY_TIMEOUT, to_bytes(body, MAX_BODY))
        .await
        .map_err(|_| Problem::new(Code::Timeout, "the body was not here within 10 s"))?
        .map_err(|_| Problem::too_large("the body is longer than 64 KiB, or broke off"))?;
    serde_json::from_slice(&bytes).map_err(|error| {
        Problem::bad_request(format!(
            "the body is not the documented JSON (line {}, column {})",
            error.line(),
            error.column()
        ))
    })
}

/// Anything but a clear answer from the log or the store: the sender must try again.
fn unknown(grant: &Grant, error: &(dyn std::error::Error + 'static)) -> Problem {
    tracing::warn!(job.id = %grant.job, job.attempt = %grant.attempt, error = crate::chain(error), "a callback could not be taken");
    Problem::new(Code::TryAgain, "kiln cannot take this now; send it again")
}

/// What a refusal by the domain means to a container.
fn refused(rejection: Rejection) -> Problem {
    match rejection {
        Rejection::NoSuchJob => Problem::not_found("there is no such job"),
        Rejection::Over => over("this attempt is over; stop"),
        Rejection::ClaimedElsewhere => Problem::new(Code::ClaimedElsewhere, "another container has this attempt"),
        Rejection::Ended(status) => ended(status),
        Rejection::RequestedOtherwise | Rejection::AlreadyKnown => Problem::new(Code::Conflict, rejection.to_string()),
    }
}

/// 410: the container must stop.
fn over(detail: &'static str) -> Problem {
    Problem::new(Code::Over, detail)
}

fn ended(status: Status) -> Problem {
    Problem::new(Code::Ended, format!("the job has ended: `{status}`")).of_job(status)
}
