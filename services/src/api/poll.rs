//! `GET /api/render/{job}`: where a job stands; at once, when there is news, or as a stream.

use std::time::Duration;

use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use events::JobId;
use tokio::time::Instant;

use super::asked::{self, Seen};
use super::follow::Follower;
use super::view::{Form, View};
use super::{Api, parse_id, stream};
use crate::http::problem::Problem;

/// When a client should ask again about a job that has not ended.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("2");
/// An answer may be kept, if it is asked for each time whether it still holds.
pub(super) const CACHE: HeaderValue = HeaderValue::from_static("private, no-cache");
const VARY: HeaderValue = HeaderValue::from_static("accept, prefer");
const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

pub(super) async fn poll(
    State(api): State<Api>,
    Path(job): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    answer(api, parse_id(&job)?, Form::Kiln, request.headers()).await
}

/// The original's clients read `error` as a string; nothing else differs.
pub(super) async fn poll_as_original(
    State(api): State<Api>,
    Path(job): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    answer(api, parse_id(&job)?, Form::Original, request.headers()).await
}

async fn answer(api: Api, id: JobId, form: Form, headers: &HeaderMap) -> Result<Response, Problem> {
    let seen = Seen::of(headers);
    if asked::wants_stream(headers) {
        return stream::open(Follower::new(api, id, form, seen)).await;
    }
    if let Some(wait) = asked::wait(headers) {
        return wait_for_news(Follower::new(api, id, form, seen), wait).await;
    }
    let view = api.look(id, form, seen.version()).await?;
    Ok(show(&view, &seen))
}

/// Waits for something that the client has not seen; if it told nothing, for something else than what is now.
async fn wait_for_news(mut follower: Follower, wait: Duration) -> Result<Response, Problem> {
    let deadline = Instant::now() + wait;
    let told = follower.seen.clone();
    let mut view = follower.look().await?;
    if told.is_empty() {
        follower.seen.note(&view);
    }
    if follower.seen.covers(&view) && !view.status.is_final() {
        view = follower.wait(deadline).await?;
    }
    let mut response = show(&view, &told);
    if let Ok(applied) = HeaderValue::try_from(format!("wait={}", wait.as_secs())) {
        response.headers_mut().insert(PREFERENCE_APPLIED, applied);
    }
    Ok(response)
}

/// The answer, or that there is none newer than what the client has.
pub(super) fn show(view: &View, seen: &Seen) -> Response {
    let mut response = if seen.covers(view) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let json = HeaderValue::from_static("application/json");
        ([(header::CONTENT_TYPE, json)], view.body.clone()).into_response()
    };
    let headers = response.headers_mut();
    headers.insert(header::ETAG, seen.newest(view));
    headers.insert(header::CACHE_CONTROL, CACHE);
    headers.insert(header::VARY, VARY);
    if !view.status.is_final() {
        headers.insert(header::RETRY_AFTER, RETRY_AFTER);
    }
    response
}
