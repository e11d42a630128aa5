//! What HTTP clients see while the log is not written.

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use nats::Bus;

use crate::http::code::Code;
use crate::http::problem::Problem;

/// Routes that answer 503 to whoever wants to change something while the log is fenced off. Questions are answered, and
/// the header `Kiln-Stale: true` says that newer facts are missing; of a job that is missing itself, nothing is claimed.
pub fn guarded(router: Router, bus: Bus) -> Router {
    router.layer(middleware::from_fn_with_state(bus, pass))
}

async fn pass(State(bus): State<Bus>, request: Request, next: Next) -> Response {
    let is_question = request.method().is_safe();
    if bus.refusal().is_some() && !is_question {
        return fenced();
    }
    let mut response = next.run(request).await;
    if bus.refusal().is_none() {
        return response;
    }
    if response.status() == StatusCode::NOT_FOUND {
        return fenced();
    }
    response.headers_mut().insert("kiln-stale", HeaderValue::from_static("true"));
    response
}

fn fenced() -> Response {
    let detail = "kiln's log is not the one that it wrote before; nothing is taken until an operator has looked at it";
    Problem::new(Code::LogFenced, detail).into_response()
}
