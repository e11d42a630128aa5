//! kiln as its users speak to it: submit, poll, look back, download. What the demo and the command line are made of.

use std::path::Path;
use std::time::Duration;

use events::wire::client::{Accepted, History, Poll, Problem, RenderRequest};
use events::{JobId, Secret};
use futures_util::StreamExt;
use reqwest::{Body, Response, header};
use serde::de::DeserializeOwned;
use tokio::fs::File;
use tokio::io::AsyncWriteExt;
use tokio_util::io::ReaderStream;

/// A client of one kiln.
pub struct Client {
    http: reqwest::Client,
    base: String,
}

/// Why kiln did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file of ours.
    #[error("cannot use the file `{file}`")]
    File {
        /// Its name.
        file: String,
        /// Why.
        source: std::io::Error,
    },
    /// Nobody answered, or not to the end.
    #[error("kiln does not answer at {0}")]
    Unreachable(String),
    /// It answered with a problem.
    #[error("kiln says: {}", .0.detail)]
    Problem(Box<Problem>),
    /// It answered with something else than documented.
    #[error("kiln's answer cannot be read (HTTP status {0})")]
    Answer(u16),
    /// The download did not arrive whole.
    #[error("the video did not arrive whole")]
    Download,
}

impl Client {
    /// A client of the kiln at this address, without a slash at its end.
    pub fn new(base: &str) -> Self {
        Self { http: super::http_client(Duration::from_mins(1)), base: base.to_owned() }
    }

    /// Submits a file, streamed; `on_progress` is told the part that is sent, from 0 to 1.
    pub async fn submit(
        &self,
        audio: &Path,
        request: &RenderRequest,
        on_progress: impl Fn(f32) + Send + 'static,
    ) -> Result<Accepted, Error> {
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
            on_progress(fraction(sent, length));
        });
        let text = |text: String| futures_util::stream::iter([Ok(bytes::Bytes::from(text))]);
        let body = Body::wrap_stream(text(head).chain(audio).chain(text(tail)));
        let request = self
            .http
            .post(format!("{}/api/render", self.base))
            .header(header::CONTENT_TYPE, format!("multipart/form-data; boundary={boundary}"))
            .header(header::CONTENT_LENGTH, total)
            .body(body);
        self.read(request.send().await).await
    }

    /// Where a job stands.
    pub async fn poll(&self, job: JobId) -> Result<Poll, Error> {
        self.read(self.http.get(format!("{}/api/render/{job}", self.base)).send().await).await
    }

    /// What happened to a job.
    pub async fn history(&self, job: JobId) -> Result<History, Error> {
        self.read(self.http.get(format!("{}/api/render/{job}/events", self.base)).send().await).await
    }

    /// Downloads to a file; a broken download leaves none.
    pub async fn download(&self, url: &Secret, to: &Path, on_progress: impl Fn(f32)) -> Result<(), Error> {
        let part = to.with_extension("part");
        let failed = |source| Error::File { file: part.display().to_string(), source };
        let mut file = File::create(&part).await.map_err(failed)?;
        let done = self.write(url, &mut file, &part, on_progress).await;
        match done {
            Ok(()) => tokio::fs::rename(&part, to).await.map_err(failed),
            Err(error) => {
                let _ = tokio::fs::remove_file(&part).await;
                Err(error)
            }
        }
    }

    async fn write(
        &self,
        url: &Secret,
        file: &mut File,
        part: &Path,
        on_progress: impl Fn(f32),
    ) -> Result<(), Error> {
        let failed = |source| Error::File { file: part.display().to_string(), source };
        let mut response = self.http.get(url.expose()).send().await.map_err(|_| Error::Download)?;
        let length = response.content_length().filter(|_| response.status().is_success()).ok_or(Error::Download)?;
        let mut written = 0;
        while let Some(chunk) = response.chunk().await.map_err(|_| Error::Download)? {
            file.write_all(&chunk).await.map_err(failed)?;
            written += chunk.len() as u64;
            on_progress(fraction(written, length));
        }
        file.sync_all().await.map_err(failed)?;
        if written == length { Ok(()) } else { Err(Error::Download) }
    }

    async fn read<T: DeserializeOwned>(&self, answer: reqwest::Result<Response>) -> Result<T, Error> {
        let unreachable = |_| Error::Unreachable(self.base.clone());
        let response = answer.map_err(unreachable)?;
        let status = response.status();
        let body = response.bytes().await.map_err(unreachable)?;
        if status.is_success() {
            return serde_json::from_slice(&body).map_err(|_| Error::Answer(status.as_u16()));
        }
        match serde_json::from_slice::<Problem>(&body) {
            Ok(problem) => Err(Error::Problem(Box::new(problem))),
            Err(_) => Err(Error::Answer(status.as_u16())),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "for a progress bar")]
fn fraction(part: u64, whole: u64) -> f32 {
    if whole == 0 { 1.0 } else { (part as f32 / whole as f32).min(1.0) }
}
