//! `GET /api/render/{job}/events`: what happened, in order.

use axum::Json;
use axum::extract::{Path, State};
use events::wire::client::{History, HistoryEvent};

use super::{Api, parse_id, unavailable};
use crate::http::problem::Problem;

pub(super) async fn history(State(api): State<Api>, Path(job): Path<String>) -> Result<Json<History>, Problem> {
    let id = parse_id(&job)?;
    let recorded = api.log.history(id).await.map_err(|error| unavailable(&error))?;
    if recorded.is_empty() {
        return Err(Problem::not_found("there is no such job"));
    }
    let events = recorded.into_iter().map(|recorded| HistoryEvent {
        seq: recorded.seq,
        time: recorded.time,
        event: recorded.event.kind().map_or("unknown", events::Kind::name).to_owned(),
        attempt: recorded.event.kind().and_then(events::Kind::attempt),
        data: recorded.event.payload(),
    });
    Ok(Json(History { events: events.collect() }))
}
