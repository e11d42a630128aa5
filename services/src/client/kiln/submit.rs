//! A file on its way to kiln, streamed.

use std::path::Path;

use events::wire::client::{Accepted, DryRun, RenderRequest};
use futures_util::StreamExt;
use reqwest::{Body, Method, RequestBuilder, header};
use tokio::fs::File;
use tokio_util::io::ReaderStream;

use super::{Client, Error, Portion};

pub(super) const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// What is sent.
#[derive(Clone, Copy)]
pub struct Submission<'a> {
    /// The file.
    pub audio: &'a Path,
    /// The settings.
    pub request: &'a RenderRequest,
    /// However often it is sent under this key, it gives one job.
    pub idempotency_key: &'a str,
}

impl Client {
    /// Submits a file once, under a key of its own; `on_progress` is told how much of it is sent.
    pub async fn submit(
        &self,
        audio: &Path,
        request: &RenderRequest,
        on_progress: impl Fn(Portion) + Send + 'static,
    ) -> Result<Accepted, Error> {
        let idempotency_key = crate::clock::random_hex();
        self.send(Submission { audio, request, idempotency_key: &idempotency_key }, on_progress).await
    }

    /// Submits once. After an error that is transient the same may be sent again.
    pub async fn send(
        &self,
        submission: Submission<'_>,
        on_progress: impl Fn(Portion) + Send + 'static,
    ) -> Result<Accepted, Error> {
        let request = self.request(Method::POST, "/api/render");
        self.ask(form(request, submission, on_progress).await?).await
    }

    /// What a submission would do. The file is sent, and looked at, and not kept.
    pub async fn try_submit(
        &self,
        submission: Submission<'_>,
        on_progress: impl Fn(Portion) + Send + 'static,
    ) -> Result<DryRun, Error> {
        let request = self.request(Method::POST, "/api/render?dryRun=true");
        self.ask(form(request, submission, on_progress).await?).await
    }
}

/// The settings, and then the file, without holding it in memory.
async fn form(
    http: RequestBuilder,
    submission: Submission<'_>,
    on_progress: impl Fn(Portion) + Send + 'static,
) -> Result<RequestBuilder, Error> {
    let Submission { audio, request, idempotency_key } = submission;
    let failed = |source| Error::File { file: audio.display().to_string(), source };
    let file = File::open(audio).await.map_err(failed)?;
    let length = file.metadata().await.map_err(failed)?.len();
    let request = serde_json::to_string(request).expect("a request is plain JSON");
    let boundary = format!("kiln-{}", crate::clock::random_hex());
    let head = format!(
        "--{boundary}\r\nContent-Disposition: form-data; name=\"request\"\r\n\
         Content-Type: application/json\r\n\r\n{request}\r\n\
         --{boundary}\r\nContent-Disposition: form-data; name=\"audio\"; filename=\"audio\"\r\n\r\n"
    );
    let tail = format!("\r\n--{boundary}--\r\n");
    let total = head.len() as u64 + length + tail.len() as u64;
    let mut sent = 0;
    let audio = ReaderStream::with_capacity(file, 64 * 1024).inspect(move |chunk| {
        sent += chunk.as_ref().map_or(0, bytes::Bytes::len) as u64;
        on_progress(Portion { done: sent.min(length), total: length });
    });
    let text = |text: String| futures_util::stream::iter([Ok(bytes::Bytes::from(text))]);
    let body = Body::wrap_stream(text(head).chain(audio).chain(text(tail)));
    Ok(http
        .header(header::CONTENT_TYPE, format!("multipart/form-data; boundary={boundary}"))
        .header(header::CONTENT_LENGTH, total)
        .header(IDEMPOTENCY_KEY, idempotency_key)
        .body(body))
}
