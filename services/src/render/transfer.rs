//! Audio in, video out: streamed, resumed, and tried again.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use events::{Code, Failure, Secret};
use futures_util::StreamExt;
use reqwest::{Body, Client, Response, StatusCode, header};
use tokio::fs::{File, OpenOptions};
use tokio::io::AsyncWriteExt;
use tokio_util::io::ReaderStream;

use super::callback::is_passing;
use super::{Ending, storage_failure};
use crate::client::http_client;

/// Longest silence of a sender.
const IDLE: Duration = Duration::from_secs(30);
/// How often in a row a transfer may fail without having moved.
const TRIES: u32 = 5;
/// The largest object that R2 takes in one PUT: 5 MiB less than 5 GiB.
const LARGEST_PUT: u64 = (5 << 30) - (5 << 20);
/// The slowest upload that is waited for, in bytes per second.
const SLOWEST: u64 = 128 * 1024;

/// Why a transfer ended.
pub(super) enum Error {
    /// The address is not valid, or not any more: a fresh one may do.
    Refused,
    /// A fresh address would not help.
    Failed(Failure),
}

impl Error {
    /// What it means where there is no fresh address.
    pub(super) fn ending(self, code: Code, message: &str) -> Ending {
        match self {
            Self::Refused => Ending::Failed(Failure::reported(code, message, true)),
            Self::Failed(failure) => Ending::Failed(failure),
        }
    }
}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        Self::Failed(storage_failure(&error))
    }
}

/// What stores say of a signature that is wrong or ran out.
fn is_refusal(status: StatusCode) -> bool {
    matches!(status, StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
}

/// Pauses between tries without progress: 250 ms, doubled each time.
fn pause(tries: u32) -> Duration {
    Duration::from_millis(250 << tries.min(5))
}

/// Fetches `url` into a new file of at most `limit` bytes. A connection that breaks is taken up where it broke.
pub(super) async fn download(url: &Secret, to: &Path, limit: u64) -> Result<(), Error> {
    let mut download = Download { client: http_client(IDLE), limit, have: 0, tag: None, file: File::create(to).await? };
    let mut tries = 0;
    loop {
        let before = download.have;
        match download.piece(url).await? {
            Piece::Last => return Ok(download.file.sync_data().await?),
            Piece::Broken if download.have > before => tries = 0,
            Piece::Broken => tries += 1,
        }
        if tries == TRIES {
            return Err(Error::Failed(Failure::reported(Code::AudioMissing, "the audio could not be fetched", true)));
        }
        tokio::time::sleep(pause(tries)).await;
    }
}

struct Download {
    client: Client,
    limit: u64,
    have: u64,
    tag: Option<header::HeaderValue>,
    file: File,
}

enum Piece {
    Last,
    Broken,
}

impl Download {
    async fn piece(&mut self, url: &Secret) -> Result<Piece, Error> {
        let mut request = self.client.get(url.expose());
        if self.have > 0 {
            request = request.header(header::RANGE, format!("bytes={}-", self.have));
        }
        if let Some(tag) = self.tag.as_ref().filter(|_| self.have > 0) {
            request = request.header(header::IF_RANGE, tag);
        }
        let answer = match request.send().await {
            Ok(answer) => answer,
            Err(error) => return Ok(broken(&error.without_url())),
        };
        match answer.status() {
            StatusCode::OK => self.restart().await?,
            StatusCode::PARTIAL_CONTENT if starts_at(&answer, self.have) => {}
            status if is_refusal(status) => return Err(Error::Refused),
            status if is_passing(status) => return Ok(Piece::Broken),
            status => return Err(unavailable(status)),
        }
        self.receive(answer).await
    }

    /// The whole file comes again: what is here does not count.
    async fn restart(&mut self) -> Result<(), Error> {
        use tokio::io::AsyncSeekExt;
        self.file.set_len(0).await?;
        self.file.rewind().await?;
        self.have = 0;
        Ok(())
    }

    async fn receive(&mut self, answer: Response) -> Result<Piece, Error> {
        self.tag = answer.headers().get(header::ETAG).cloned();
        let expected = answer.content_length().unwrap_or(0);
        if self.have.saturating_add(expected) > self.limit {
            return Err(self.too_large());
        }
        let mut stream = answer.bytes_stream();
        while let Some(bytes) = stream.next().await {
            let bytes = match bytes {
                Ok(bytes) => bytes,
                Err(error) => {
                    self.file.flush().await?;
                    return Ok(broken(&error.without_url()));
                }
            };
            self.have += bytes.len() as u64;
            if self.have > self.limit {
                return Err(self.too_large());
            }
            self.file.write_all(&bytes).await?;
        }
        self.file.flush().await?;
        Ok(Piece::Last)
    }

    fn too_large(&self) -> Error {
        let message = format!("the audio is larger than {} bytes", self.limit);
        Error::Failed(Failure::new(Code::AudioTooLarge, &message))
    }
}

fn broken(error: &reqwest::Error) -> Piece {
    tracing::warn!(%error, "the audio's sender broke off");
    Piece::Broken
}

fn starts_at(answer: &Response, offset: u64) -> bool {
    let range = answer.headers().get(header::CONTENT_RANGE).and_then(|range| range.to_str().ok());
    range.is_some_and(|range| range.starts_with(&format!("bytes {offset}-")))
}

fn unavailable(status: StatusCode) -> Error {
    Error::Failed(Failure::new(Code::AudioMissing, &format!("the audio's address answered with {status}")))
}

/// Puts a file to `url`, as often as it takes.
pub(super) async fn upload(from: &Path, url: &Secret, headers: &BTreeMap<String, String>) -> Result<(), Error> {
    let size = tokio::fs::metadata(from).await?.len();
    if size > LARGEST_PUT {
        let message = format!("the video has {size} bytes, more than one upload may: {LARGEST_PUT}");
        return Err(Error::Failed(Failure::reported(Code::UploadFailed, &message, false)));
    }
    let time = Duration::from_secs(60 + size / SLOWEST);
    let client = http_client(time);
    for tries in 0..=TRIES {
        let mut request = client.put(url.expose()).timeout(time).header(header::CONTENT_LENGTH, size);
        if !headers.keys().any(|name| name.eq_ignore_ascii_case("content-type")) {
            request = request.header(header::CONTENT_TYPE, "video/mp4");
        }
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let file = OpenOptions::new().read(true).open(from).await?;
        match request.body(Body::wrap_stream(ReaderStream::with_capacity(file, 64 * 1024))).send().await {
            Ok(answer) if answer.status().is_success() => return Ok(()),
            Ok(answer) if is_passing(answer.status()) => {
                tracing::warn!(http.status = answer.status().as_u16(), "the store is not ready");
            }
            Ok(answer) if is_refusal(answer.status()) => {
                return Err(Error::Refused);
            }
            Ok(answer) => return Err(not_stored(&format!("the store answered with {}", answer.status()))),
            Err(error) => tracing::warn!(error = %error.without_url(), "the upload broke off"),
        }
        if tries < TRIES {
            tokio::time::sleep(pause(tries)).await;
        }
    }
    Err(not_stored(Code::UploadFailed.sentence()))
}

fn not_stored(message: &str) -> Error {
    Error::Failed(Failure::new(Code::UploadFailed, message))
}
