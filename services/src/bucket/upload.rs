//! Uploads of any length in constant memory, which never replace what is there.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt, stream};

use super::{Bucket, Cause, Error, status};

/// Size of each part of a large upload but the last: the smallest that S3 takes, and all alike as R2 wants them.
const PART_BYTES: usize = 5 * 1024 * 1024;
/// Parts that are in memory at a time, on their way out or coming in.
const AT_ONCE: usize = 2;
/// What is longer gets the room of a whole part.
const SHORT: usize = 256 * 1024;

/// Why an upload ended early.
#[derive(Debug, thiserror::Error)]
pub enum UploadError<E> {
    /// The bytes stopped coming, or were refused on the way.
    #[error("the upload broke off")]
    Body(E),
    /// There is an object under the key already, and it stays. The stream was read to its end.
    #[error("the key is taken")]
    Taken,
    /// The store.
    #[error(transparent)]
    Store(#[from] Error),
}

impl Bucket {
    /// Stores a stream in constant memory: at once if it is short, else in parts of [`PART_BYTES`]. An object that is there
    /// already is not replaced. If the stream breaks off, nothing is left behind.
    pub async fn put_stream<S, E>(&self, key: &str, content_type: &str, stream: S) -> Result<(), UploadError<E>>
    where
        S: Stream<Item = Result<Bytes, E>> + Unpin,
    {
        let mut parts = Parts { stream, rest: Bytes::new(), spare: Arc::default() };
        let first = parts.next().await.map_err(UploadError::Body)?;
        if first.len() < PART_BYTES {
            let put =
                self.client.put_object().bucket(&self.name).key(key).content_type(content_type).if_none_match("*");
            let put = put.body(ByteStream::from(first)).send().await;
            return put.map(|_| ()).map_err(|error| refused(key, &error));
        }
        let upload = Unfinished::begin(self, key, content_type).await?;
        let done = upload.put_parts(first, &mut parts).await?;
        upload.complete(done).await
    }

    async fn is_there(&self, key: &str) -> bool {
        self.head(key).await.is_ok_and(|object| object.is_some())
    }
}

/// An upload in parts. Whoever lets go of it before its end gives it up: also a handler whose client went away, which is
/// dropped wherever it stands.
pub(super) struct Unfinished {
    bucket: Bucket,
    key: String,
    pub(super) id: String,
    is_finished: bool,
}

impl Unfinished {
    pub(super) async fn begin(bucket: &Bucket, key: &str, content_type: &str) -> Result<Self, Error> {
        let begun = bucket.client.create_multipart_upload().bucket(&bucket.name).key(key).content_type(content_type);
        let begun = begun.send().await.map_err(|error| Error::Put(key.to_owned(), Cause::of(&error)))?;
        let Some(id) = begun.upload_id().map(str::to_owned) else {
            return Err(Error::Put(key.to_owned(), Cause("the store named no upload".into())));
        };
        Ok(Self { bucket: bucket.clone(), key: key.to_owned(), id, is_finished: false })
    }

    /// There is nothing to give up any more.
    pub(super) fn finished(mut self) {
        self.is_finished = true;
    }

    /// Sends part after part, two at a time, while the next one comes in as soon as one of them has arrived.
    async fn put_parts<S, E>(&self, first: Bytes, parts: &mut Parts<S>) -> Result<Vec<CompletedPart>, UploadError<E>>
    where
        S: Stream<Item = Result<Bytes, E>> + Unpin,
    {
        let (is_lost, spare) = (AtomicBool::new(false), Arc::clone(&parts.spare));
        let coming = stream::once(async { Ok(first) }).chain(parts.while_not(&is_lost)).enumerate();
        let sending = coming.map(async |(index, part)| match part {
            Ok(part) => {
                let sent = self.put_part(i32::try_from(index + 1).unwrap_or(i32::MAX), part.clone()).await;
                spare.put_back(part);
                Ok(sent?)
            }
            Err(error) => Err(UploadError::Body(error)),
        });
        let mut done = Vec::new();
        let mut lost = None;
        let mut sending = pin!(sending.buffered(AT_ONCE));
        // All to their end: a part that is still on its way would outlive the upload that is given up.
        while let Some(sent) = sending.next().await {
            match sent {
                Ok(part) => done.push(part),
                Err(error) => {
                    is_lost.store(true, Ordering::Relaxed);
                    lost.get_or_insert(error);
                }
            }
        }
        lost.map_or(Ok(done), Err)
    }

    async fn put_part(&self, number: i32, body: Bytes) -> Result<CompletedPart, Error> {
        let request = self.bucket.client.upload_part().bucket(&self.bucket.name).key(&self.key);
        let request = request.upload_id(&self.id).part_number(number).body(ByteStream::from(body));
        // Long audio is hashed while it comes, and its reader compares: once is enough.
        let put = request.customize().disable_payload_signing().send().await;
        let put = put.map_err(|error| Error::Put(self.key.clone(), Cause::of(&error)))?;
        Ok(CompletedPart::builder().part_number(number).set_e_tag(put.e_tag().map(str::to_owned)).build())
    }

    async fn complete<E>(self, parts: Vec<CompletedPart>) -> Result<(), UploadError<E>> {
        let all = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
        let request = self.bucket.client.complete_multipart_upload().bucket(&self.bucket.name).key(&self.key);
        match request.upload_id(&self.id).multipart_upload(all).if_none_match("*").send().await {
            Ok(_) => {
                self.finished();
                Ok(())
            }
            // The answer to a completion may be lost, and the repeat of it is refused: then the object tells.
            Err(error) if !is_taken(&error) && self.bucket.is_there(&self.key).await => Err(UploadError::Taken),
            Err(error) => Err(refused(&self.key, &error)),
        }
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if self.is_finished {
            return;
        }
        let (bucket, key, id) = (self.bucket.clone(), self.key.clone(), self.id.clone());
        // Nobody waits for it; what is left after a kill is the sweeper's.
        tokio::spawn(async move {
            if let Err(error) = bucket.abort(&key, &id).await {
                tracing::warn!(
                    object.key = key,
                    error = crate::chain(&error),
                    "an unfinished upload is left to the sweeper"
                );
            }
        });
    }
}

/// 412 and 409 are the store's ways to say that the key is taken.
pub(super) fn is_taken<E>(error: &SdkError<E>) -> bool {
    matches!(status(error), Some(409 | 412))
}

fn refused<E, B>(key: &str, error: &SdkError<E>) -> UploadError<B>
where
    E: std::error::Error + ProvideErrorMetadata + 'static,
{
    if is_taken(error) {
        return UploadError::Taken;
    }
    UploadError::Store(Error::Put(key.to_owned(), Cause::of(error)))
}

/// A stream in pieces of [`PART_BYTES`]; the last one is shorter, and what comes after it is empty.
struct Parts<S> {
    stream: S,
    rest: Bytes,
    spare: Arc<Spare>,
}

/// The room of parts that have arrived, for those that come: taken anew each time it would leave holes of that size.
#[derive(Default)]
struct Spare(Mutex<Vec<BytesMut>>);

impl Spare {
    fn take(&self) -> BytesMut {
        self.rooms().pop().unwrap_or_default()
    }

    fn put_back(&self, part: Bytes) {
        // Whoever still has it keeps it.
        if let Ok(mut room) = part.try_into_mut() {
            room.clear();
            self.rooms().push(room);
        }
    }

    fn rooms(&self) -> MutexGuard<'_, Vec<BytesMut>> {
        self.0.lock().expect("nothing panics while it holds this lock")
    }
}

impl<S, E> Parts<S>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin,
{
    /// Those that are left, until the upload is lost.
    fn while_not(&mut self, is_lost: &AtomicBool) -> impl Stream<Item = Result<Bytes, E>> {
        stream::unfold(self, async |parts| {
            if is_lost.load(Ordering::Relaxed) {
                return None;
            }
            let next = parts.next().await;
            let is_end = next.as_ref().is_ok_and(Bytes::is_empty);
            (!is_end).then_some((next, parts))
        })
    }

    async fn next(&mut self) -> Result<Bytes, E> {
        let mut part = self.spare.take();
        while part.len() < PART_BYTES {
            if self.rest.is_empty() {
                match self.stream.next().await {
                    Some(chunk) => self.rest = chunk?,
                    None => break,
                }
            }
            let piece = self.rest.split_to(self.rest.len().min(PART_BYTES - part.len()));
            if part.len() + piece.len() > SHORT {
                // Growing by doubling would hold twice as much.
                part.reserve(PART_BYTES - part.len());
            }
            part.extend_from_slice(&piece);
        }
        Ok(part.freeze())
    }
}
