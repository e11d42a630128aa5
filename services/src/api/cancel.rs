//! `DELETE /api/render/{job}`: nobody wants it any more.

use axum::extract::{Path, State};
use axum::response::Response;
use events::{Command, Rejection};

use super::asked::Seen;
use super::poll::show;
use super::version::Version;
use super::view::Form;
use super::{Api, parse_id, unavailable};
use crate::http::code::Code;
use crate::http::problem::Problem;

pub(super) async fn cancel(State(api): State<Api>, Path(job): Path<String>) -> Result<Response, Problem> {
    cancel_as(&api, &job, Form::Kiln).await
}

/// The original's clients read `error` as a string; nothing else differs.
pub(super) async fn cancel_as_original(State(api): State<Api>, Path(job): Path<String>) -> Result<Response, Problem> {
    cancel_as(&api, &job, Form::Original).await
}

async fn cancel_as(api: &Api, job: &str, form: Form) -> Result<Response, Problem> {
    let id = parse_id(job)?;
    let known = api.log.load(id).await.map_err(|error| unavailable(&error))?;
    let recorded = api.record(id, known, Command::Cancel("a client asked for it".into())).await;
    let recorded = recorded.map_err(|error| unavailable(&error))?;
    match recorded.refused {
        None => {
            let view = api.look(id, form, Version::at(recorded.job.seq)).await?;
            Ok(show(&view, &Seen::default()))
        }
        Some(Rejection::NoSuchJob) => Err(Problem::not_found("there is no such job")),
        Some(_) => {
            let status = recorded.job.status();
            Err(Problem::new(Code::Ended, format!("the job has ended: `{status}`")).of_job(status))
        }
    }
}
