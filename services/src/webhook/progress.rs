//! `PATCH /api/render/{job}`: how far a render is, and whether it may go on.

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use events::capability::Grant;
use events::event::{Progressed, is_call_id, is_stage};
use events::wire::callback::ProgressBody;

use super::reports::Standing;
use super::{Webhook, over, read, unknown};
use crate::http::code::Code;
use crate::http::problem::Problem;

pub(super) async fn progress(
    State(role): State<Webhook>,
    Path(job): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, Problem> {
    let grant = role.grant_for(&headers, &job)?;
    let _admission = role
        .reports
        .admit(grant.job)
        .ok_or_else(|| Problem::new(Code::RateLimited, "too many reports of this job at once"))?;
    let body: ProgressBody = read(body).await?;
    role.may_go_on(&grant).await?;
    if let Some(task) = &body.task_id {
        role.is_newest(&grant, task).await?;
    }
    let report = Progressed {
        stage: body.current_stage.filter(|stage| is_stage(stage)),
        task_id: body.task_id.filter(|task| is_call_id(task)),
        ..Progressed::new(grant.attempt, body.progress.min(99))
    };
    role.report(grant.job, report).await;
    Ok(StatusCode::NO_CONTENT)
}

impl Webhook {
    /// Whether the attempt is the current one of a job that has not ended. The log is asked only where that is not known.
    async fn may_go_on(&self, grant: &Grant) -> Result<(), Problem> {
        let standing = if let Some(standing) = self.reports.standing(grant.job, grant.attempt) {
            standing
        } else {
            let job = self.log.load_at_least(grant.job, 1).await.map_err(|error| unknown(grant, &error))?;
            if job.requested.is_none() {
                return Err(Problem::not_found("there is no such job"));
            }
            self.reports.learn(grant.job, &job)
        };
        if standing == Standing::Live(grant.attempt) { Ok(()) } else { Err(over("this attempt is over; stop")) }
    }

    /// Whether no newer task has claimed the attempt. A process that did not see the claim finds it in the last report.
    async fn is_newest(&self, grant: &Grant, task: &str) -> Result<(), Problem> {
        let Grant { job, attempt, .. } = *grant;
        if !self.reports.knows_task(job, attempt) {
            let last = self.log.last_report(job).await.map_err(|error| unknown(grant, &error))?;
            let newest = last.filter(|report| report.attempt == attempt).and_then(|report| report.task_id);
            self.reports.take_over(job, attempt, newest.as_deref().unwrap_or(task));
        }
        if self.reports.is_replaced(job, attempt, task) {
            return Err(over("a newer container has this attempt; stop"));
        }
        Ok(())
    }

    /// Writes a report down, unless one was a moment ago. A report that is lost is no failure.
    pub(super) async fn report(&self, job: events::JobId, report: Progressed) {
        if self.reports.is_worth_writing(job, &report) {
            self.log.report(job, report).await;
        }
    }
}
