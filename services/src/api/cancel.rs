//! `DELETE /api/render/{job}`: nobody wants it any more.

use axum::Json;
use axum::extract::{Path, State};
use events::wire::client::Poll;
use events::{Command, Rejection};

use super::{Api, parse_id, unavailable};
use crate::http::code::Code;
use crate::http::problem::Problem;

pub(super) async fn cancel(State(api): State<Api>, Path(job): Path<String>) -> Result<Json<Poll>, Problem> {
    let id = parse_id(&job)?;
    let recorded = api.record(id, Command::Cancel("a client asked for it".into())).await;
    let recorded = recorded.map_err(|error| unavailable(&error))?;
    match recorded.refused {
        None => Ok(Json(api.body(id, &recorded.job).await)),
        Some(Rejection::NoSuchJob) => Err(Problem::not_found("there is no such job")),
        Some(_) => {
            let status = recorded.job.status();
            Err(Problem::new(Code::Ended, format!("the job has ended: `{status}`")))
        }
    }
}
