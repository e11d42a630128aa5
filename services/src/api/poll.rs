//! `GET /api/render/{job}`: where a job stands.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use events::event::Output;
use events::wire::client::Poll;
use events::{Job, JobId};
use serde_json::Value;

use super::{Api, parse_id};
use crate::bucket::LONGEST_SIGNATURE;
use crate::clock;
use crate::http::problem::Problem;

pub(super) async fn poll(State(api): State<Api>, Path(job): Path<String>) -> Result<Response, Problem> {
    let id = parse_id(&job)?;
    let job = api.find(id).await?;
    Ok(answer(&api.body(id, &job).await))
}

/// The original's clients read `error` as a string; nothing else differs.
pub(super) async fn poll_as_original(State(api): State<Api>, Path(job): Path<String>) -> Result<Response, Problem> {
    let id = parse_id(&job)?;
    let job = api.find(id).await?;
    let body = api.body(id, &job).await;
    let message = body.error.as_ref().map_or(Value::Null, |failure| failure.message.clone().into());
    let mut body = serde_json::to_value(&body).map_err(|_| Problem::internal())?;
    body["error"] = message;
    Ok(answer(&body))
}

fn answer(body: &impl serde::Serialize) -> Response {
    ([(header::CACHE_CONTROL, "no-store")], Json(body)).into_response()
}

impl Api {
    /// The whole answer. If the download address cannot be signed, the rest still comes.
    pub(super) async fn body(&self, id: JobId, job: &Job) -> Poll {
        let output = job.completed().map(|completed| completed.output.clone());
        let expires = clock::now() + LONGEST_SIGNATURE;
        let url = match output.as_ref().and_then(Output::key) {
            Some(key) => self.bucket.sign_get(key, LONGEST_SIGNATURE).await.ok(),
            None => None,
        };
        Poll {
            job_id: id,
            kind: "render".into(),
            status: job.status(),
            progress: job.percent(),
            stage: job.stage().map(str::to_owned),
            attempt: job.shown_attempt(),
            queue_position: None,
            waiting_for: job.waiting_for(),
            result: output,
            error: job.failure(),
            download_url_expires_at: url.as_ref().map(|_| expires),
            download_url: url,
            metadata: job.spec().map(|spec| spec.metadata.clone()).unwrap_or_default(),
            created_at: job.requested.as_ref().map(|fact| fact.time),
            updated_at: job.updated_at,
        }
    }
}
