//! What every request passes before its handler: who calls, whether that one may, and whether there is a place left.

mod held;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, BodyDataStream};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use http_body_util::Limited;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::code::Code;
use super::problem::{self, Problem};
use super::route::{Class, Operation};
use crate::keys::{Keys, Refusal};
use held::Held;

/// How long a request may wait for a place.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long a refused client may go on sending.
const DRAIN: Duration = Duration::from_secs(10);
/// Largest body, but for uploads, which count for themselves.
const MAX_BODY: usize = 64 * 1024;

/// The gate of one listener. Clones share it.
#[derive(Clone)]
pub struct Gate {
    keys: Keys,
    uploads: Arc<Semaphore>,
    json: Arc<Semaphore>,
    polls: Arc<Semaphore>,
    streams: Arc<Semaphore>,
}

impl Gate {
    /// A gate that asks for these keys.
    pub fn new(keys: Keys, max_uploads: usize) -> Self {
        let [uploads, json, polls, streams] =
            [max_uploads, 256, 1024, 2500].map(|places| Arc::new(Semaphore::new(places)));
        Self { keys, uploads, json, polls, streams }
    }

    /// A gate that asks nobody who he is.
    pub fn open() -> Self {
        Self::new(Keys::none(), 32)
    }

    /// Waits a moment for a place among the requests of this class.
    async fn place(&self, class: Class) -> Result<OwnedSemaphorePermit, Problem> {
        let places = match class {
            Class::Upload => &self.uploads,
            Class::Json => &self.json,
            Class::Poll => &self.polls,
            Class::Stream => &self.streams,
        };
        enter(places, 1).await
    }

    fn admit(&self, operation: &Operation, request: &mut Request) -> Result<(), Problem> {
        let Some(scope) = operation.scope else { return Ok(()) };
        let authorization = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let caller = self.keys.admit(authorization, scope).map_err(|refusal| match refusal {
            Refusal::Unknown => Problem::unauthorized(),
            Refusal::Scope(scope) => {
                Problem::new(Code::Forbidden, format!("this key has not the scope `{}`", scope.name()))
            }
            Refusal::Rate(rest) => {
                Problem::new(Code::RateLimited, "this key makes more requests than it may; wait").retry_after(rest)
            }
        })?;
        request.extensions_mut().insert(caller);
        Ok(())
    }
}

/// Routes of which only so many are at work at once: a flood of them is told to come again, and leaves the others fast.
pub fn limited(router: Router, places: usize) -> Router {
    router.layer(middleware::from_fn_with_state(Arc::new(Semaphore::new(places)), crowd))
}

async fn crowd(State(places): State<Arc<Semaphore>>, request: Request, next: Next) -> Response {
    match enter(&places, 1).await {
        Ok(place) => next.run(request).await.map(|body| Body::new(Held::new(body, place))),
        Err(problem) => refuse(request, problem),
    }
}

/// So many places, or a 503 after a moment.
pub(crate) async fn enter(places: &Arc<Semaphore>, count: u32) -> Result<OwnedSemaphorePermit, Problem> {
    if let Ok(place) = Arc::clone(places).try_acquire_many_owned(count) {
        return Ok(place);
    }
    let place = tokio::time::timeout(PATIENCE, Arc::clone(places).acquire_many_owned(count)).await;
    let full = || Problem::new(Code::Overloaded, "too many requests like this one at once; try again");
    place.map_err(|_| full())?.map_err(|_| full())
}

/// A route's gate.
pub(super) async fn pass(State(state): State<Arc<(Gate, Operation)>>, request: Request, next: Next) -> Response {
    let (gate, operation) = &*state;
    let response = passed(gate, operation, request, next).await;
    check(operation, &response);
    response
}

async fn passed(gate: &Gate, operation: &Operation, mut request: Request, next: Next) -> Response {
    let class = class(operation, request.headers());
    let entered = match gate.admit(operation, &mut request).and_then(|()| fits(class, request.headers())) {
        Ok(()) => gate.place(class).await,
        Err(problem) => Err(problem),
    };
    let place = match entered {
        Ok(place) => place,
        Err(problem) => return refuse(request, problem),
    };
    let limit = |body| if class == Class::Upload { body } else { Body::new(Limited::new(body, MAX_BODY)) };
    let response = next.run(request.map(limit)).await;
    response.map(|body| Body::new(Held::new(body, place)))
}

/// An answer that stays open counts among those, whatever the route.
fn class(operation: &Operation, headers: &HeaderMap) -> Class {
    let has = |name, word| headers.get_all(name).iter().any(|value| contains(value, word));
    let stays_open = has(header::ACCEPT, "text/event-stream") || has(header::HeaderName::from_static("prefer"), "wait");
    if operation.class == Class::Poll && stays_open { Class::Stream } else { operation.class }
}

fn contains(value: &HeaderValue, word: &str) -> bool {
    value.to_str().is_ok_and(|value| value.to_ascii_lowercase().contains(word))
}

/// What says itself that it is too long is refused before it is read.
fn fits(class: Class, headers: &HeaderMap) -> Result<(), Problem> {
    let length = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if class != Class::Upload && length.is_some_and(|length| length > MAX_BODY as u64) {
        return Err(Problem::too_large("the body is longer than 64 KiB"));
    }
    Ok(())
}

fn refuse(request: Request, problem: Problem) -> Response {
    let (head, body) = request.into_parts();
    drain(&head.headers, body);
    problem.into_response()
}

/// The answer goes out at once, and what the client still sends is taken beside it. Who waits for a `100 Continue` sends
/// nothing.
pub(crate) fn drain(headers: &HeaderMap, body: Body) {
    if !headers.contains_key(header::EXPECT) {
        tokio::spawn(take_rest(body.into_data_stream()));
    }
}

/// Takes what a refused client still sends, for a while: most clients read the answer only when they have sent all, and
/// would see nothing but a broken connection. Who sends for longer is cut.
pub(crate) async fn take_rest(mut body: BodyDataStream) {
    let _ = tokio::time::timeout(DRAIN, async { while let Some(Ok(_)) = body.next().await {} }).await;
}

/// An answer that the document does not name is a defect: every test of a route looks for it.
fn check(operation: &Operation, response: &Response) {
    let status = response.status();
    let problem = problem::of(response);
    let is_documented = match &problem {
        Some(problem) => operation.codes().contains(&problem.code()),
        None => operation.answers.iter().any(|answer| answer.status == status.as_u16()),
    };
    if !is_documented {
        let code = problem.map_or("", |problem| problem.code().word());
        tracing::error!(path = operation.path, %status, code, "an answer that the document does not name");
        debug_assert!(status == StatusCode::INTERNAL_SERVER_ERROR, "{} answered {status} {code}", operation.path);
    }
}
