//! `GET /api/render`: every job, the newest first.
//!
//! Which jobs a page holds is told by the index, and what they are by the bucket, or by the log where the bucket lags.

use std::time::Duration;

use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use events::wire::client::{Counts, JobList, Poll};
use events::{Job, JobId, Status};
use futures_util::{StreamExt, TryStreamExt};
use tokio::time::timeout;

use super::poll::CACHE;
use super::view::digest;
use super::{Api, asked, query, unavailable};
use crate::http::code::Code;
use crate::http::problem::Problem;

/// Jobs that are read from the log at once, where the bucket does not have them.
const READS: usize = 16;
/// How long a client waits for the index at the start of this process, before it has to come again.
const PATIENCE: Duration = Duration::from_secs(2);

/// Which page.
#[derive(Debug, PartialEq, Eq)]
struct Query {
    status: Option<Status>,
    limit: usize,
    /// The request's sequence where the last page ended.
    before: Option<u64>,
}

pub(super) async fn list(
    State(api): State<Api>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let Query { status, limit, before } = Query::parse(query.as_deref().unwrap_or_default())?;
    if timeout(PATIENCE, api.watch.caught_up()).await.is_err() {
        return Err(Problem::new(Code::Unavailable, "kiln is reading which jobs there are; try again"));
    }
    // In this order every job that is counted is on a page.
    let counts = counts(api.watch.counts());
    let mut rows = api.watch.list(status, before, limit + 1);
    let has_more = rows.len() > limit;
    rows.truncate(limit);
    let next_cursor = rows.last().filter(|_| has_more).map(|(requested, _)| format!("{requested:x}"));
    let jobs = api.told(&rows, status).await?;
    show(&JobList { jobs, next_cursor, counts }, &headers)
}

/// The page under a name of its own, or that the client has this very page.
fn show(page: &JobList, headers: &HeaderMap) -> Result<Response, Problem> {
    let body = serde_json::to_vec(page).map_err(|_| Problem::internal())?;
    let tag = digest(&body);
    let named = ([(header::ETAG, format!("\"{tag}\""))], [(header::CACHE_CONTROL, CACHE)]);
    if asked::has(headers, &tag) {
        return Ok((StatusCode::NOT_MODIFIED, named).into_response());
    }
    Ok((named, [(header::CONTENT_TYPE, "application/json")], body).into_response())
}

impl Api {
    async fn told(&self, rows: &[(u64, JobId)], status: Option<Status>) -> Result<Vec<Poll>, Problem> {
        let ids: Vec<_> = rows.iter().map(|(_, id)| *id).collect();
        let mut entries = self.jobs.get_many(&ids).await.unwrap_or_else(|error| {
            tracing::warn!(error = crate::chain(&error), "the projection did not answer; the log is asked");
            std::collections::HashMap::new()
        });
        let found = ids.into_iter().map(|id| {
            let projected = entries.remove(&id).map(|entry| entry.job);
            async move { Ok::<_, Problem>((id, self.newest(id, projected).await?)) }
        });
        let found: Vec<_> = futures_util::stream::iter(found).buffered(READS).try_collect().await?;
        // One that aged out meanwhile, or that went on to another status, is not on this page.
        let fits = |job: &Job| job.requested.is_some() && status.is_none_or(|status| job.status() == status);
        Ok(found.iter().filter(|(_, job)| fits(job)).map(|(id, job)| self.tell(*id, job, None)).collect())
    }

    /// The job at least as new as the index knows it.
    async fn newest(&self, id: JobId, projected: Option<Job>) -> Result<Job, Problem> {
        let known = self.watch.row(id).map_or(0, |row| row.version);
        match projected {
            Some(job) if job.requested.is_some() && job.seq >= known => Ok(job),
            _ => self.log.load_whole(id, known).await.map_err(|error| unavailable(&error)),
        }
    }
}

impl Query {
    fn parse(text: &str) -> Result<Self, Problem> {
        let [status, limit, cursor] = query::values(text, ["status", "limit", "cursor"])?;
        Ok(Self {
            status: status.as_deref().map(parse_status).transpose()?,
            limit: query::limit(limit.as_deref())?,
            before: cursor.as_deref().map(parse_cursor).transpose()?,
        })
    }
}

fn parse_status(text: &str) -> Result<Status, Problem> {
    let found = Status::ALL.into_iter().find(|status| status.name() == text);
    found.ok_or_else(|| {
        let names = Status::ALL.map(Status::name).join("`, `");
        Problem::bad_request(format!("`status` must be one of `{names}`"))
    })
}

fn parse_cursor(text: &str) -> Result<u64, Problem> {
    let cursor = u64::from_str_radix(text, 16).ok().filter(|cursor| format!("{cursor:x}") == text);
    cursor.ok_or_else(query::no_cursor)
}

pub(super) fn counts(counts: [(Status, usize); Status::ALL.len()]) -> Counts {
    let of = |wanted: Status| {
        let found = counts.iter().find(|(status, _)| *status == wanted);
        found.map_or(0, |(_, count)| u64::try_from(*count).unwrap_or(u64::MAX))
    };
    Counts {
        pending: of(Status::Pending),
        processing: of(Status::Processing),
        complete: of(Status::Complete),
        failed: of(Status::Failed),
        cancelled: of(Status::Cancelled),
    }
}
