//! Callbacks go through the stand-in, so that it can lose, repeat and delay them, and knows who claimed.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderName, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use events::wire::callback::{CallbackAnswer, ProgressBody};
use futures_util::FutureExt;

use super::Executor;
use super::faults::Fault;
use crate::trace;

/// A callback on its way.
#[derive(Clone)]
struct Callback {
    method: Method,
    url: String,
    headers: HeaderMap,
    body: Bytes,
}

/// Claim and progress.
pub(super) async fn callback(
    State(executor): State<Executor>,
    Path((call, path)): Path<(String, String)>,
    method: Method,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let Some(live) = executor.calls().live(&call).cloned() else { return gone() };
    let url = format!("{}/{path}", live.callback_url.trim_end_matches('/'));
    let answer = executor.forward(Callback { method, url, headers, body: body.clone() }).await;
    if path.ends_with("/claim") {
        if answer.status() == StatusCode::OK
            && let Err(error) = executor.calls().change(&call, |record| record.claims += 1)
        {
            tracing::error!(%error, "a claim could not be kept");
        }
    } else if serde_json::from_slice::<ProgressBody>(&body).is_ok_and(|body| body.progress > 30) {
        live.is_rendering.send_replace(true);
    }
    answer
}

/// The end.
pub(super) async fn webhook(
    State(executor): State<Executor>,
    Path(call): Path<String>,
    method: Method,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let Some(live) = executor.calls().live(&call).cloned() else { return gone() };
    let callback = Callback { method, url: live.webhook_url, headers, body };
    if executor.strikes(Fault::DropCallback) {
        return Json(CallbackAnswer { success: true }).into_response();
    }
    if executor.strikes(Fault::LateCallback) {
        let (later, stop) = (executor.clone(), executor.0.stop.clone());
        let send = async move {
            if stop.run_until_cancelled(tokio::time::sleep(Fault::LATE)).await.is_some() {
                later.forward(callback).await;
            }
        };
        executor.enqueue(send.boxed());
        return Json(CallbackAnswer { success: true }).into_response();
    }
    if executor.strikes(Fault::RepeatCallback) {
        executor.forward(callback.clone()).await;
        executor.forward(callback.clone()).await;
    }
    executor.forward(callback).await
}

impl Executor {
    async fn forward(&self, callback: Callback) -> Response {
        let mut request = self.0.client.request(callback.method, callback.url).body(callback.body);
        for name in [header::AUTHORIZATION, header::CONTENT_TYPE, HeaderName::from_static(trace::HEADER)] {
            if let Some(value) = callback.headers.get(&name) {
                request = request.header(name, value);
            }
        }
        let Ok(answer) = request.send().await else {
            return (StatusCode::BAD_GATEWAY, "the webhook cannot be reached").into_response();
        };
        let (status, headers) = (answer.status(), answer.headers().clone());
        let mut response = (status, answer.bytes().await.unwrap_or_default()).into_response();
        for name in [header::CONTENT_TYPE, header::RETRY_AFTER] {
            if let Some(value) = headers.get(&name) {
                response.headers_mut().insert(name, value.clone());
            }
        }
        response
    }
}

/// Only a container that outlived its call comes here.
fn gone() -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, "this call has ended").into_response()
}
