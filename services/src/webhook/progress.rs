//! `PATCH /api/render/{job}`: how far a render is, and whether it may go on.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use events::capability::Grant;
use events::event::{Progressed, is_call_id, is_stage};
use events::wire::callback::ProgressBody;
use events::{Attempt, Job, JobId};

use super::{Webhook, read, unknown};
use crate::http::code::Code;
use crate::http::problem::Problem;

/// How long the role believes what it last read of a job in the log, and so how late a cancelled render may learn of it.
const FRESH: Duration = Duration::from_secs(1);
/// Between two reports of one job that are written down.
const REPORT_INTERVAL: Duration = Duration::from_millis(250);
/// How many jobs are remembered; the memory is emptied when it is full, which costs a load for each.
const MAX_REMEMBERED: usize = 10_000;

pub(super) async fn progress(
    State(role): State<Webhook>,
    Path(job): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, Problem> {
    let grant = role.grant_for(&headers, &job)?;
    let body: ProgressBody = read(body).await?;
    role.may_go_on(&grant).await?;
    if body.task_id.as_deref().is_some_and(|task| role.reports.is_replaced(&grant, task)) {
        return Err(Problem::new(Code::Over, "a newer container has this attempt; stop"));
    }
    let report = Progressed {
        stage: body.current_stage.filter(|stage| is_stage(stage)),
        task_id: body.task_id.filter(|task| is_call_id(task)),
        ..Progressed::new(grant.attempt, body.progress.min(99))
    };
    role.reports.publish(&role.log, grant.job, report).await;
    Ok(StatusCode::NO_CONTENT)
}

impl Webhook {
    async fn may_go_on(&self, grant: &Grant) -> Result<(), Problem> {
        let standing = if let Some(standing) = self.reports.known(grant.job) {
            standing
        } else {
            let job = self.log.load(grant.job).await.map_err(|error| unknown(grant, &error))?;
            if job.requested.is_none() {
                return Err(Problem::not_found("there is no such job"));
            }
            self.reports.learn(grant.job, &job)
        };
        if standing == Standing::Live(grant.attempt) {
            Ok(())
        } else {
            Err(Problem::new(Code::Over, "this attempt is over; stop"))
        }
    }
}

/// What is remembered of jobs that report: no truth in it, only fewer questions to the log.
#[derive(Default)]
pub(super) struct Reports(Mutex<HashMap<JobId, Remembered>>);

/// Whether anything of a job may go on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// This attempt may.
    Live(Attempt),
    /// Nothing may.
    Ended,
}

#[derive(Default)]
struct Remembered {
    /// Where the job stands, and when the log said so.
    standing: Option<(Instant, Standing)>,
    /// When a report was last written down, and which.
    reported: Option<(Instant, Attempt, u8)>,
    /// The newest container task.
    task: Option<(Attempt, String)>,
}

impl Reports {
    /// Writes a report down, unless one was a moment ago. A report that is lost is no failure.
    pub(super) async fn publish(&self, log: &nats::Log, job: JobId, report: Progressed) {
        if self.is_worth_writing(job, &report) {
            log.report(job, report).await;
        }
    }

    fn is_worth_writing(&self, job: JobId, report: &Progressed) -> bool {
        self.with(job, |known| {
            let is_news = known.reported.is_none_or(|(at, attempt, percent)| {
                attempt != report.attempt || (percent <= report.progress && at.elapsed() >= REPORT_INTERVAL)
            });
            if is_news {
                known.reported = Some((Instant::now(), report.attempt, report.progress));
            }
            is_news
        })
    }

    /// Notes that a task has claimed the attempt: from now on it is the one that counts.
    pub(super) fn take_over(&self, job: JobId, attempt: Attempt, task: &str) {
        if !task.is_empty() {
            self.with(job, |known| known.task = Some((attempt, task.to_owned())));
        }
    }

    /// Whether another task has claimed this attempt since.
    fn is_replaced(&self, grant: &Grant, task: &str) -> bool {
        self.with(grant.job, |known| {
            known.task.as_ref().is_some_and(|(attempt, newest)| *attempt == grant.attempt && newest != task)
        })
    }

    fn known(&self, job: JobId) -> Option<Standing> {
        self.with(job, |known| known.standing.filter(|(at, _)| at.elapsed() < FRESH).map(|(_, standing)| standing))
    }

    fn learn(&self, id: JobId, job: &Job) -> Standing {
        let standing = if job.ended.is_some() { Standing::Ended } else { Standing::Live(job.current_attempt()) };
        self.with(id, |known| known.standing = Some((Instant::now(), standing)));
        standing
    }

    fn with<T>(&self, job: JobId, act: impl FnOnce(&mut Remembered) -> T) -> T {
        let mut all = self.0.lock().expect("nothing panics while it holds this lock");
        if all.len() >= MAX_REMEMBERED && !all.contains_key(&job) {
            all.clear();
        }
        act(all.entry(job).or_default())
    }
}
