//! `GET /api/render/{job}/events`: what happened, in order.

use axum::Json;
use axum::extract::{Path, State};
use events::wire::client::{History, HistoryEvent};
use nats::Line;

use super::{Api, parse_id, unavailable};
use crate::http::problem::Problem;

pub(super) async fn history(State(api): State<Api>, Path(job): Path<String>) -> Result<Json<History>, Problem> {
    let id = parse_id(&job)?;
    let lines = api.log.timeline(id).await.map_err(|error| unavailable(&error))?;
    if lines.is_empty() {
        return Err(Problem::not_found("there is no such job"));
    }
    let event = |Line { seq, time, kind, attempt, data }| HistoryEvent { seq, time, event: kind, attempt, data };
    Ok(Json(History { events: lines.into_iter().map(event).collect() }))
}
