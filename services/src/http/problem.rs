//! Errors as clients see them: RFC 9457, with a stable code and a sentence that says what to do. Never internals.

use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use events::Status;
use events::spec::FieldError;
use events::wire::client;

use super::code::Code;

/// A problem, before the request's name is known.
#[derive(Clone, Debug)]
pub struct Problem {
    code: Code,
    detail: String,
    errors: Vec<FieldError>,
    retry_after_seconds: Option<u32>,
    job_status: Option<Status>,
}

impl Problem {
    /// A problem with a sentence that says what happened here, and what to do. A 429 or 503 asks to try again soon.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        let may_try_again = matches!(code.status(), StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
        let retry_after_seconds = may_try_again.then_some(2);
        Self { code, detail: detail.into(), errors: Vec::new(), retry_after_seconds, job_status: None }
    }

    /// With another time to wait; parts of a second count whole.
    #[must_use]
    pub fn retry_after(self, rest: Duration) -> Self {
        let seconds = u32::try_from(rest.as_millis().div_ceil(1000)).unwrap_or(u32::MAX);
        Self { retry_after_seconds: Some(seconds.max(1)), ..self }
    }

    /// With how the job has ended, for programs.
    #[must_use]
    pub fn of_job(self, status: Status) -> Self {
        Self { job_status: Some(status), ..self }
    }

    /// The kind.
    pub fn code(&self) -> Code {
        self.code
    }

    /// Whether the same request may be answered in a while.
    pub fn is_transient(&self) -> bool {
        self.code.status().is_server_error()
    }

    /// 400: the request cannot be read.
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(Code::BadRequest, detail)
    }

    /// 401: always the same, whatever is wrong.
    pub fn unauthorized() -> Self {
        Self::new(Code::Unauthorized, "the Authorization header does not allow this")
    }

    /// 404.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(Code::NotFound, detail)
    }

    /// 413.
    pub fn too_large(detail: impl Into<String>) -> Self {
        Self::new(Code::TooLarge, detail)
    }

    /// 415.
    pub fn unsupported(detail: impl Into<String>) -> Self {
        Self::new(Code::UnsupportedMediaType, detail)
    }

    /// 422: fields break their bounds.
    pub fn invalid(errors: Vec<FieldError>) -> Self {
        let detail = errors.iter().map(|error| format!("`{}` {}", error.pointer, error.detail)).collect::<Vec<_>>();
        Self { errors, ..Self::new(Code::InvalidRequest, detail.join("; ")) }
    }

    /// 422 about one field.
    pub fn field(pointer: &str, detail: impl Into<String>) -> Self {
        Self::invalid(vec![FieldError { pointer: pointer.into(), detail: detail.into() }])
    }

    /// 500: a defect of ours, told without its innards.
    pub fn internal() -> Self {
        Self::new(Code::Internal, "kiln failed at this request; its log says why")
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.code.status().into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// The problem that a response tells, also where the framework made it.
pub(super) fn of(response: &Response) -> Option<Problem> {
    let told = response.extensions().get::<Problem>();
    told.cloned().or_else(|| framework_refusal(response.status()))
}

/// Writes the body of a problem, now that the request has a name; also for refusals that the framework made.
pub(super) fn write_out(mut response: Response, request_id: &str) -> Response {
    if let Some(problem) = of(&response) {
        response = write(problem, response, request_id);
    }
    if let Ok(value) = HeaderValue::from_str(request_id) {
        response.headers_mut().insert("x-request-id", value);
    }
    response
}

/// A refusal by axum's own extractors has a plain text that may repeat the input; only its status is kept.
fn framework_refusal(status: StatusCode) -> Option<Problem> {
    if !(status.is_client_error() || status.is_server_error()) {
        return None;
    }
    let code = Code::of_status(status);
    let title = code.status().canonical_reason().unwrap_or("the request was refused").to_lowercase();
    Some(Problem::new(code, title))
}

/// What else the response says in its headers, such as `Allow`, stays.
fn write(problem: Problem, mut response: Response, request_id: &str) -> Response {
    let status = problem.code.status();
    let body = client::Problem {
        kind: "about:blank".into(),
        title: status.canonical_reason().unwrap_or("Error").into(),
        status: status.as_u16(),
        detail: problem.detail,
        code: problem.code.word().into(),
        request_id: request_id.into(),
        errors: problem.errors,
        job_status: problem.job_status,
    };
    let body = serde_json::to_vec(&body).expect("a problem is plain JSON");
    *response.body_mut() = Body::from(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    if problem.code == Code::Unauthorized {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"kiln\""));
    }
    headers.remove(header::CONTENT_LENGTH);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(seconds) = problem.retry_after_seconds {
        headers.insert(header::RETRY_AFTER, seconds.into());
    }
    response
}
