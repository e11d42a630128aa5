//! Server-sent events: a job's states until it has ended. Each event has the data of a poll, and its name as the id.
//!
//! Nothing is kept for a slow reader: whoever reads again gets the state of that moment, and one that takes nothing at all
//! is cut with its connection.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use tokio::time::Instant;

use super::follow::Follower;
use super::view::View;
use crate::http::problem::Problem;

/// Something is sent at least so often, so that nobody on the way takes the silence for an end.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// A comment: without effect.
const SILENCE: &[u8] = b":\n\n";
/// After the last state. The stream ends here, and a client that comes again gets 204.
const END: &[u8] = b"event: end\ndata: {}\n\n";
/// How long to wait before coming again, in milliseconds; said at the beginning, and when this process stops.
const COME_AGAIN: &str = "retry: 1000\n\n";

/// What comes next in a stream.
enum Next {
    /// The first look was taken already.
    First(Arc<View>),
    News,
    Nothing,
}

/// The stream from what the client has not seen yet; 204, which tells an `EventSource` to stay away, if that is nothing.
pub(super) async fn open(mut follower: Follower) -> Result<Response, Problem> {
    let view = follower.look().await?;
    if view.status.is_final() && follower.seen.covers(&view) {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let parts = futures_util::stream::unfold((follower, Next::First(view)), |(mut follower, next)| async move {
        let (part, next) = step(&mut follower, next).await?;
        Some((Ok::<_, Infallible>(part), (follower, next)))
    });
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        // Proxies must pass on each event by itself.
        (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no")),
    ];
    Ok((headers, Body::from_stream(parts)).into_response())
}

async fn step(follower: &mut Follower, next: Next) -> Option<(Bytes, Next)> {
    let (begin, looked) = match next {
        Next::Nothing => return None,
        Next::First(view) => (COME_AGAIN, Ok(view)),
        Next::News => ("", follower.wait(Instant::now() + HEARTBEAT).await),
    };
    Some(match looked {
        Ok(view) if !follower.seen.covers(&view) => {
            follower.seen.note(&view);
            let next = if view.status.is_final() { Next::Nothing } else { Next::News };
            (event(begin, &view), next)
        }
        _ if follower.stop().is_cancelled() => (COME_AGAIN.into(), Next::Nothing),
        // It has aged out of the log.
        Err(problem) if !problem.is_transient() => (END.into(), Next::Nothing),
        Ok(_) | Err(_) => ([begin.as_bytes(), SILENCE].concat().into(), Next::News),
    })
}

fn event(begin: &str, view: &View) -> Bytes {
    let end = if view.status.is_final() { END } else { b"" };
    [begin.as_bytes(), b"id: ", view.id().as_bytes(), b"\ndata: ", &view.body, b"\n\n", end].concat().into()
}
