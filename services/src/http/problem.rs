//! Errors as clients see them: RFC 9457, with a stable code and a sentence that says what to do. Never internals.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use events::spec::FieldError;
use events::wire::client;

/// A problem, before the request's name is known.
#[derive(Clone, Debug)]
pub struct Problem {
    status: StatusCode,
    code: &'static str,
    detail: String,
    errors: Vec<FieldError>,
    retry_after_seconds: Option<u32>,
}

impl Problem {
    /// A problem of this status, with a stable code and a sentence.
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self { status, code, detail: detail.into(), errors: Vec::new(), retry_after_seconds: None }
    }

    /// 400: the request cannot be read.
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", detail)
    }

    /// 401: always the same, whatever is wrong.
    pub fn unauthorized() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", "the Authorization header does not allow this")
    }

    /// 404.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", detail)
    }

    /// 405.
    pub fn method_not_allowed() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "this address does not take this method")
    }

    /// 409.
    pub fn conflict(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, code, detail)
    }

    /// 410: whoever works at this must stop.
    pub fn gone(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::GONE, code, detail)
    }

    /// 413.
    pub fn too_large(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", detail)
    }

    /// 415.
    pub fn unsupported(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail)
    }

    /// 422: fields break their bounds.
    pub fn invalid(errors: Vec<FieldError>) -> Self {
        let detail = errors.iter().map(|error| format!("`{}` {}", error.pointer, error.detail)).collect::<Vec<_>>();
        Self { errors, ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_request", detail.join("; ")) }
    }

    /// 422 about one field.
    pub fn field(pointer: &str, detail: impl Into<String>) -> Self {
        Self::invalid(vec![FieldError { pointer: pointer.into(), detail: detail.into() }])
    }

    /// 500: a defect of ours, told without its innards.
    pub fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "kiln failed at this request; its log says why")
    }

    /// 503: try again soon.
    pub fn unavailable(code: &'static str, detail: impl Into<String>) -> Self {
        Self { retry_after_seconds: Some(2), ..Self::new(StatusCode::SERVICE_UNAVAILABLE, code, detail) }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// Writes the body of a problem, now that the request has a name; also for refusals that the framework made.
pub(super) fn finish(mut response: Response, request_id: &str) -> Response {
    let problem = response.extensions_mut().remove::<Problem>().or_else(|| framework_refusal(&response));
    if let Some(problem) = problem {
        response = write(problem, request_id);
    }
    if let Ok(value) = HeaderValue::from_str(request_id) {
        response.headers_mut().insert("x-request-id", value);
    }
    response
}

/// A refusal by axum's own extractors has a plain text that may repeat the input; only its status is kept.
fn framework_refusal(response: &Response) -> Option<Problem> {
    let is_ours = response.headers().contains_key("x-kiln");
    let status = response.status();
    if is_ours || !(status.is_client_error() || status.is_server_error()) {
        return None;
    }
    let title = status.canonical_reason().unwrap_or("the request was refused").to_lowercase();
    Some(Problem::new(status, if status.is_server_error() { "internal" } else { "bad_request" }, title))
}

fn write(problem: Problem, request_id: &str) -> Response {
    let body = client::Problem {
        kind: "about:blank".into(),
        title: problem.status.canonical_reason().unwrap_or("Error").into(),
        status: problem.status.as_u16(),
        detail: problem.detail,
        code: problem.code.into(),
        request_id: request_id.into(),
        errors: problem.errors,
    };
    let body = serde_json::to_vec(&body).expect("a problem is plain JSON");
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = problem.status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(seconds) = problem.retry_after_seconds {
        headers.insert(header::RETRY_AFTER, seconds.into());
    }
    response
}
