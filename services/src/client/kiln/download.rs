//! A video on its way from the store to a file: what is there already is not fetched again, and what arrives is checked.

use std::fs::TryLockError;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use events::wire::client::Poll;
use events::{JobId, Secret, hex};
use reqwest::{StatusCode, header};
use sha2::{Digest, Sha256};
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};

use super::{Client, Error, Portion};

/// How often in a row a connection may bring nothing new.
const TRIES: u32 = 5;
/// Between two tries.
const PAUSE: Duration = Duration::from_secs(1);

/// What a download did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Downloaded {
    /// The video's length.
    pub size_bytes: u64,
    /// How much of it was there before.
    pub resumed_bytes: u64,
    /// Whether its SHA-256 is what the container said; `false` where none was told.
    pub is_verified: bool,
}

impl Client {
    /// Downloads a job's video to a file, which is there when it is whole and not before. Until then it is called
    /// `….part`, and a later download goes on from there. `on_progress` is told how much is there.
    pub async fn download(
        &self,
        job: JobId,
        to: &Path,
        on_progress: impl Fn(Portion) + Send,
    ) -> Result<Downloaded, Error> {
        let mut part = Part::open(to).await?;
        let done = self.fill(job, &mut part, &on_progress).await;
        match &done {
            Ok(_) => part.finish(to).await?,
            Err(_) if part.length == 0 => part.remove().await,
            Err(_) => {}
        }
        done
    }

    async fn fill(
        &self,
        job: JobId,
        part: &mut Part,
        on_progress: &(impl Fn(Portion) + Send),
    ) -> Result<Downloaded, Error> {
        let (mut tries, mut first) = (0, None);
        loop {
            // Each time an address that is signed anew.
            let video = Video::of(self.poll(job).await?)?;
            let before = part.prepare(&video).await?;
            let resumed_bytes = *first.get_or_insert(before);
            match self.fetch(&video, part, on_progress).await {
                Ok(()) if part.is_right(&video) => {
                    let is_verified = video.sha256.is_some();
                    return Ok(Downloaded { size_bytes: part.length, resumed_bytes, is_verified });
                }
                // It is whole and wrong: what was there before may be to blame.
                Ok(()) => {
                    part.clear().await?;
                    if tries + 1 >= TRIES {
                        return Err(Error::Download("its SHA-256 is not what the render said".into()));
                    }
                    first = Some(0);
                }
                Err(error) if !error.is_transient() || tries + 1 >= TRIES => return Err(error),
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
            tries = if part.length > before { 0 } else { tries + 1 };
        }
    }

    async fn fetch(
        &self,
        video: &Video,
        part: &mut Part,
        on_progress: &(impl Fn(Portion) + Send),
    ) -> Result<(), Error> {
        if video.size_bytes == Some(part.length) {
            return Ok(());
        }
        let broken = |reason: &str| Error::Download(reason.into());
        let mut request = self.http.get(video.url.expose());
        if part.length > 0 {
            request = request.header(header::RANGE, format!("bytes={}-", part.length));
        }
        let mut response = request.send().await.map_err(|error| Error::Download(super::reason(&error)))?;
        match response.status() {
            StatusCode::PARTIAL_CONTENT => {}
            StatusCode::OK => part.clear().await?,
            StatusCode::RANGE_NOT_SATISFIABLE => {
                part.clear().await?;
                return Err(broken("the part that is there is longer than the video"));
            }
            status => return Err(broken(&format!("the store answered with status {}", status.as_u16()))),
        }
        let total = part.length + response.content_length().ok_or_else(|| broken("the store tells no length"))?;
        if video.size_bytes.is_some_and(|size| size != total) {
            return Err(broken("the store has another size than the render said"));
        }
        while let Some(chunk) = response.chunk().await.map_err(|error| Error::Download(super::reason(&error)))? {
            part.append(&chunk).await?;
            on_progress(Portion { done: part.length, total });
        }
        if part.length == total { Ok(()) } else { Err(broken("the connection was closed")) }
    }
}

/// What is to be fetched.
struct Video {
    url: Secret,
    size_bytes: Option<u64>,
    sha256: Option<String>,
}

impl Video {
    fn of(poll: Poll) -> Result<Self, Error> {
        let (Some(output), Some(url)) = (poll.result, poll.download_url) else {
            return Err(Error::NoVideo(poll.status));
        };
        Ok(Self { url, size_bytes: output.size_bytes, sha256: output.sha256 })
    }
}

/// A file that is not whole yet; nobody else writes into it.
struct Part {
    path: PathBuf,
    file: File,
    length: u64,
    hash: Sha256,
}

impl Part {
    async fn open(to: &Path) -> Result<Self, Error> {
        let mut name = to.as_os_str().to_owned();
        name.push(".part");
        let path = PathBuf::from(name);
        let opened = std::fs::OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let file = opened.map_err(|source| failed(&path, source))?;
        file.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => failed(&path, io::Error::other("another download writes into it")),
            TryLockError::Error(source) => failed(&path, source),
        })?;
        let mut part = Self { path, file: File::from_std(file), length: 0, hash: Sha256::new() };
        part.read().await.map_err(|source| failed(&part.path, source))?;
        Ok(part)
    }

    /// Takes in what is there.
    async fn read(&mut self) -> io::Result<()> {
        let mut buffer = vec![0; 256 * 1024];
        loop {
            let length = self.file.read(&mut buffer).await?;
            if length == 0 {
                return Ok(());
            }
            self.hash.update(&buffer[..length]);
            self.length += length as u64;
        }
    }

    /// Keeps only what can be checked at the end; says how much that is.
    async fn prepare(&mut self, video: &Video) -> Result<u64, Error> {
        let is_usable = video.sha256.is_some() && video.size_bytes.is_some_and(|size| self.length <= size);
        if !is_usable && self.length > 0 {
            self.clear().await?;
        }
        Ok(self.length)
    }

    async fn clear(&mut self) -> Result<(), Error> {
        (self.length, self.hash) = (0, Sha256::new());
        let cleared = async {
            self.file.set_len(0).await?;
            self.file.rewind().await.map(drop)
        };
        cleared.await.map_err(|source| failed(&self.path, source))
    }

    async fn append(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.file.write_all(bytes).await.map_err(|source| failed(&self.path, source))?;
        self.hash.update(bytes);
        self.length += bytes.len() as u64;
        Ok(())
    }

    fn is_right(&self, video: &Video) -> bool {
        video.sha256.as_ref().is_none_or(|sha256| *sha256 == hex(&self.hash.clone().finalize()))
    }

    /// It held nothing.
    async fn remove(&self) {
        let _ = tokio::fs::remove_file(&self.path).await;
    }

    async fn finish(self, to: &Path) -> Result<(), Error> {
        let finished = async {
            self.file.sync_all().await?;
            tokio::fs::rename(&self.path, to).await
        };
        finished.await.map_err(|source| failed(to, source))
    }
}

fn failed(path: &Path, source: io::Error) -> Error {
    Error::File { file: path.display().to_string(), source }
}
