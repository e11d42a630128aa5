//! Uploads of any length in constant memory, which never replace what is there.

use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt};

use super::{Bucket, Cause, Error};

/// Size of each part of a large upload but the last; R2 wants them all alike.
const PART_BYTES: usize = 8 * 1024 * 1024;

/// Why an upload ended early.
#[derive(Debug, thiserror::Error)]
pub enum UploadError<E> {
    /// The bytes stopped coming, or were refused on the way.
    #[error("the upload broke off")]
    Body(E),
    /// There is an object under the key already, and it stays.
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
        let mut parts = Parts { stream, rest: BytesMut::new() };
        let first = parts.next().await.map_err(UploadError::Body)?;
        if first.len() < PART_BYTES {
            let put =
                self.client.put_object().bucket(&self.name).key(key).content_type(content_type).if_none_match("*");
            let put = put.body(ByteStream::from(first)).send().await;
            return put.map(|_| ()).map_err(|error| refused(key, &error));
        }
        let upload = self.begin(key, content_type).await?;
        match self.put_parts(key, &upload, first, &mut parts).await {
            Ok(()) => Ok(()),
            Err(error) => {
                self.abort(key, &upload).await;
                Err(error)
            }
        }
    }

    async fn begin(&self, key: &str, content_type: &str) -> Result<String, Error> {
        let begun = self.client.create_multipart_upload().bucket(&self.name).key(key).content_type(content_type);
        let begun = begun.send().await.map_err(|error| Error::Put(key.to_owned(), Cause::of(&error)))?;
        let id = begun.upload_id().map(str::to_owned);
        id.ok_or_else(|| Error::Put(key.to_owned(), Cause("the store named no upload".into())))
    }

    async fn put_parts<S, E>(
        &self,
        key: &str,
        upload: &str,
        first: Bytes,
        parts: &mut Parts<S>,
    ) -> Result<(), UploadError<E>>
    where
        S: Stream<Item = Result<Bytes, E>> + Unpin,
    {
        let mut done = Vec::new();
        let mut part = first;
        while !part.is_empty() {
            done.push(self.put_part(key, upload, i32::try_from(done.len() + 1).unwrap_or(i32::MAX), part).await?);
            part = parts.next().await.map_err(UploadError::Body)?;
        }
        let all = CompletedMultipartUpload::builder().set_parts(Some(done)).build();
        let request = self.client.complete_multipart_upload().bucket(&self.name).key(key).upload_id(upload);
        let completed = request.multipart_upload(all).if_none_match("*").send().await;
        completed.map(|_| ()).map_err(|error| refused(key, &error))
    }

    async fn put_part(&self, key: &str, upload: &str, number: i32, body: Bytes) -> Result<CompletedPart, Error> {
        let request = self.client.upload_part().bucket(&self.name).key(key).upload_id(upload).part_number(number);
        let put = request.body(ByteStream::from(body)).send().await;
        let put = put.map_err(|error| Error::Put(key.to_owned(), Cause::of(&error)))?;
        Ok(CompletedPart::builder().part_number(number).set_e_tag(put.e_tag().map(str::to_owned)).build())
    }

    async fn abort(&self, key: &str, upload: &str) {
        let request = self.client.abort_multipart_upload().bucket(&self.name).key(key).upload_id(upload);
        if let Err(error) = request.send().await {
            let error = Cause::of(&error);
            tracing::warn!(object.key = key, %error, "an unfinished upload could not be removed; a lifecycle rule should");
        }
    }
}

/// 412 and 409 are the store's ways to say that the key is taken.
fn refused<E, B>(key: &str, error: &SdkError<E>) -> UploadError<B>
where
    E: std::error::Error + ProvideErrorMetadata + 'static,
{
    match error.raw_response().map(|response| response.status().as_u16()) {
        Some(409 | 412) => UploadError::Taken,
        _ => UploadError::Store(Error::Put(key.to_owned(), Cause::of(error))),
    }
}

/// A stream in pieces of [`PART_BYTES`]; the last one is shorter, and what comes after it is empty.
struct Parts<S> {
    stream: S,
    rest: BytesMut,
}

impl<S, E> Parts<S>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin,
{
    async fn next(&mut self) -> Result<Bytes, E> {
        while self.rest.len() < PART_BYTES {
            match self.stream.next().await {
                Some(chunk) => self.rest.extend_from_slice(&chunk?),
                None => break,
            }
        }
        let length = self.rest.len().min(PART_BYTES);
        Ok(self.rest.split_to(length).freeze())
    }
}
