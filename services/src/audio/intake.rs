//! Audio on its way into the bucket: sniffed, counted and hashed while it streams.

use bytes::Bytes;
use events::{AudioKey, JobId, hex};
use futures_util::{Stream, StreamExt, stream};
use sha2::{Digest, Sha256};

use super::{Kind, MAX_BYTES, SNIFF_BYTES, sniff};
use crate::bucket::{self, Bucket, UploadError};

/// Audio that was read to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Its job's place for it.
    pub key: AudioKey,
    /// SHA-256 of its bytes, in hexadecimal.
    pub sha256: String,
    /// Its length.
    pub size_bytes: u64,
}

/// Why audio was not stored. Nothing of it stays.
#[derive(Debug, thiserror::Error)]
pub enum Refused<E> {
    /// There is not one byte of it.
    #[error("the audio is empty")]
    Empty,
    /// Its first bytes are those of no kind that is taken.
    #[error("the file is no audio that is known")]
    NotAudio,
    /// It has more than [`MAX_BYTES`].
    #[error("the audio is too long")]
    TooLong,
    /// It broke off.
    #[error("the audio broke off")]
    Body(E),
    /// The job's place for it is taken, by this audio or another one. What came is told.
    #[error("the job has audio already")]
    Taken(Stored),
    /// The store.
    #[error(transparent)]
    Store(#[from] bucket::Error),
}

/// Streams audio to its job's place in the bucket.
pub async fn store<S, E>(bucket: &Bucket, job: JobId, stream: S) -> Result<Stored, Refused<E>>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin,
{
    let (kind, stream) = begin(stream).await?;
    let mut measure = Measure::default();
    let key = key(job, kind);
    let measured = stream.map(|chunk| measure.add(chunk));
    let put = bucket.put_stream(&key.to_string(), kind.content_type, measured).await;
    let stored = measure.stored(key);
    match put {
        Ok(()) => Ok(stored),
        Err(UploadError::Taken) => Err(Refused::Taken(stored)),
        Err(UploadError::Body(refused)) => Err(refused),
        Err(UploadError::Store(error)) => Err(Refused::Store(error)),
    }
}

/// What [`store`] would say, without storing anything.
pub async fn digest<S, E>(job: JobId, stream: S) -> Result<Stored, Refused<E>>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin,
{
    let (kind, mut stream) = begin(stream).await?;
    let mut measure = Measure::default();
    while let Some(chunk) = stream.next().await {
        measure.add(chunk)?;
    }
    Ok(measure.stored(key(job, kind)))
}

fn key(job: JobId, kind: Kind) -> AudioKey {
    AudioKey::of_job(job, kind.extension).expect("the extensions that we know are extensions")
}

/// Reads so much that the kind is known, and puts it back in front.
async fn begin<S, E>(mut stream: S) -> Result<(Kind, impl Stream<Item = Result<Bytes, E>> + Unpin), Refused<E>>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin,
{
    let mut head = Vec::new();
    while head.len() < SNIFF_BYTES {
        match stream.next().await {
            Some(chunk) => head.extend_from_slice(&chunk.map_err(Refused::Body)?),
            None => break,
        }
    }
    if head.is_empty() {
        return Err(Refused::Empty);
    }
    let kind = sniff(&head).ok_or(Refused::NotAudio)?;
    Ok((kind, stream::iter([Ok(Bytes::from(head))]).chain(stream)))
}

#[derive(Default)]
struct Measure {
    hash: Sha256,
    size_bytes: u64,
}

impl Measure {
    fn add<E>(&mut self, chunk: Result<Bytes, E>) -> Result<Bytes, Refused<E>> {
        let chunk = chunk.map_err(Refused::Body)?;
        self.size_bytes += chunk.len() as u64;
        if self.size_bytes > MAX_BYTES {
            return Err(Refused::TooLong);
        }
        self.hash.update(&chunk);
        Ok(chunk)
    }

    fn stored(self, key: AudioKey) -> Stored {
        Stored { key, sha256: hex(&self.hash.finalize()), size_bytes: self.size_bytes }
    }
}
