//! kiln as its users speak to it: submit, poll, follow, look back, download. What the command line and the demo are made of.

mod download;
mod follow;
mod submit;

use std::error::Error as _;
use std::time::Duration;

use events::wire::client::{Accepted, DryRun, History, JobList, Poll, Problem};
use events::wire::operator::{DeadLetterList, Health, Redriven, WholeDeadLetter};
use events::{JobId, Secret, Status};
use reqwest::{Method, RequestBuilder, Response, header};
use serde::de::DeserializeOwned;

pub use download::Downloaded;
pub use follow::Following;
pub use submit::Submission;

/// A client of one kiln.
pub struct Client {
    http: reqwest::Client,
    base: String,
    key: Option<Secret>,
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
    #[error("kiln does not answer at {base} ({reason})")]
    Unreachable {
        /// The address.
        base: String,
        /// What went wrong, in a few words.
        reason: String,
    },
    /// It answered with a problem.
    #[error("kiln says: {}", .0.detail)]
    Problem(Box<Problem>),
    /// It answered with something else than documented.
    #[error("kiln's answer cannot be read (HTTP status {0}); is the address that of a kiln?")]
    Answer(u16),
    /// The job has no video to download.
    #[error("there is no video: the job is `{0}`")]
    NoVideo(Status),
    /// The download did not arrive whole; what came is kept.
    #[error("the video did not arrive whole: {0}")]
    Download(String),
}

/// How much of a file has gone its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Portion {
    /// Bytes that have.
    pub done: u64,
    /// Bytes in all.
    pub total: u64,
}

impl Portion {
    /// From 0 to 1.
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    pub fn fraction(self) -> f32 {
        if self.total == 0 { 1.0 } else { self.done as f32 / self.total as f32 }
    }
}

impl Error {
    /// Whether the same request may be answered in a while.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Download(_) => true,
            Self::Problem(problem) => problem.status == 429 || problem.status >= 500,
            Self::Answer(status) => *status >= 500,
            Self::File { .. } | Self::NoVideo(_) => false,
        }
    }
}

impl Client {
    /// A client of the kiln at this address, without a slash at its end.
    pub fn new(base: &str) -> Self {
        Self { http: super::http_client(Duration::from_mins(1)), base: base.to_owned(), key: None }
    }

    /// The same, which shows this API key.
    #[must_use]
    pub fn with_key(self, key: Option<Secret>) -> Self {
        Self { key, ..self }
    }

    /// Where it is.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Whether anybody is there; what is answered does not matter.
    pub async fn ping(&self) -> Result<(), Error> {
        let answer = self.request(Method::GET, "/livez").send().await;
        answer.map(drop).map_err(|error| self.unreachable(&error))
    }

    /// Where a job stands.
    pub async fn poll(&self, job: JobId) -> Result<Poll, Error> {
        self.ask(self.request(Method::GET, &format!("/api/render/{job}"))).await
    }

    /// What happened to a job.
    pub async fn history(&self, job: JobId) -> Result<History, Error> {
        self.ask(self.request(Method::GET, &format!("/api/render/{job}/events"))).await
    }

    /// A page of jobs, the newest first.
    pub async fn list(&self, status: Option<Status>, limit: usize, cursor: Option<&str>) -> Result<JobList, Error> {
        let query = [("status", status.map_or("", Status::name)), ("cursor", cursor.unwrap_or_default())];
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
        self.ask(self.request(Method::GET, &format!("/api/render?limit={limit}&{query}"))).await
    }

    /// Nobody wants it any more.
    pub async fn cancel(&self, job: JobId) -> Result<Poll, Error> {
        self.ask(self.request(Method::DELETE, &format!("/api/render/{job}"))).await
    }

    /// The same once more, as a new job. The same key gives the same job.
    pub async fn retry(&self, job: JobId, idempotency_key: &str) -> Result<Accepted, Error> {
        self.ask(self.retrying(job, "").header(submit::IDEMPOTENCY_KEY, idempotency_key)).await
    }

    /// What a retry would do.
    pub async fn try_retry(&self, job: JobId) -> Result<DryRun, Error> {
        self.ask(self.retrying(job, "?dryRun=true")).await
    }

    /// How kiln is, for people.
    pub async fn health(&self) -> Result<Health, Error> {
        self.ask(self.request(Method::GET, "/api/health")).await
    }

    /// A page of dead letters, the newest first.
    pub async fn dead_letters(&self, limit: usize, cursor: Option<&str>) -> Result<DeadLetterList, Error> {
        let cursor = form_urlencoded::byte_serialize(cursor.unwrap_or_default().as_bytes()).collect::<String>();
        self.ask(self.request(Method::GET, &format!("/api/deadletters?limit={limit}&cursor={cursor}"))).await
    }

    /// What a dead letter says.
    pub async fn dead_letter(&self, id: u64) -> Result<WholeDeadLetter, Error> {
        self.ask(self.request(Method::GET, &format!("/api/deadletters/{id}"))).await
    }

    /// Has the log read again from where a dead letter came from.
    pub async fn redrive(&self, id: u64) -> Result<Redriven, Error> {
        self.ask(self.request(Method::POST, &format!("/api/deadletters/{id}/redrive"))).await
    }

    fn retrying(&self, job: JobId, query: &str) -> RequestBuilder {
        self.request(Method::POST, &format!("/api/render/{job}/retry{query}"))
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.base));
        match &self.key {
            Some(key) => request.bearer_auth(key.expose()),
            None => request,
        }
    }

    async fn ask<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, Error> {
        let response = request.header(header::ACCEPT, "application/json").send().await;
        self.read(response.map_err(|error| self.unreachable(&error))?).await
    }

    async fn read<T: DeserializeOwned>(&self, response: Response) -> Result<T, Error> {
        let status = response.status();
        let body = response.bytes().await.map_err(|error| self.unreachable(&error))?;
        if status.is_success() {
            return serde_json::from_slice(&body).map_err(|_| Error::Answer(status.as_u16()));
        }
        match serde_json::from_slice::<Problem>(&body) {
            Ok(problem) => Err(Error::Problem(Box::new(problem))),
            Err(_) => Err(Error::Answer(status.as_u16())),
        }
    }

    fn unreachable(&self, error: &reqwest::Error) -> Error {
        Error::Unreachable { base: self.base.clone(), reason: reason(error) }
    }
}

/// The deepest cause: what the system or the other side said. The layers above it repeat the address.
fn reason(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "no answer in time".into();
    }
    let mut text = "the connection broke off".to_owned();
    let mut below = error.source();
    while let Some(cause) = below {
        text = cause.to_string();
        below = cause.source();
    }
    let text = text.split(" (os error").next().unwrap_or_default().to_lowercase();
    events::clean(&text, 200)
}
