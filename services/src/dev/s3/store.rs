//! What the server can do: all that a folder of files can, and uploads in parts in its own way.

use std::io::{self, SeekFrom};
use std::path::Path;
use std::pin::Pin;

use s3s::{S3, S3Request, S3Response, S3Result, dto, s3_error};
use s3s_fs::FileSystem;
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio_util::io::ReaderStream;

use super::uploads::{Uploads, failed};

/// The trait's own form of what its methods promise.
type Answer<'answer, T> = Pin<Box<dyn Future<Output = S3Result<S3Response<T>>> + Send + 'answer>>;

/// How much of a source is read at a time.
const CHUNK: usize = 256 * 1024;

/// Plain objects are `s3s-fs`'s. It puts an upload in parts together by reading all of them again and writing them anew,
/// three times the work; here they lie in one file from the start.
#[derive(Debug)]
pub(super) struct Store {
    files: FileSystem,
    uploads: Uploads,
}

impl Store {
    pub(super) fn new(root: &Path) -> io::Result<Self> {
        let uploads = Uploads::new(root)?;
        let files = FileSystem::new(root).map_err(|error| io::Error::other(format!("{error:?}")))?;
        Ok(Self { files, uploads })
    }

    async fn begin(
        &self,
        request: S3Request<dto::CreateMultipartUploadInput>,
    ) -> S3Result<S3Response<dto::CreateMultipartUploadOutput>> {
        let (bucket, key) = (request.input.bucket.clone(), request.input.key.clone());
        let begun = self.files.create_multipart_upload(request).await?;
        let id = begun.output.upload_id.as_deref().ok_or_else(|| s3_error!(InternalError))?;
        self.uploads.begin(id, bucket, key);
        Ok(begun)
    }

    async fn put_part(&self, input: dto::UploadPartInput) -> S3Result<S3Response<dto::UploadPartOutput>> {
        let body = input.body.ok_or_else(|| s3_error!(IncompleteBody))?;
        let e_tag = self.uploads.put(&input.upload_id, input.part_number, body).await?;
        Ok(S3Response::new(dto::UploadPartOutput { e_tag: Some(e_tag), ..dto::UploadPartOutput::default() }))
    }

    async fn copy_part(&self, input: dto::UploadPartCopyInput) -> S3Result<S3Response<dto::UploadPartCopyOutput>> {
        let dto::CopySource::Bucket { bucket, key, .. } = &input.copy_source else {
            return Err(s3_error!(NotImplemented));
        };
        let path = self.uploads.object(bucket, key)?;
        let mut source = tokio::fs::File::open(path).await.map_err(|error| s3_error!(error, NoSuchKey))?;
        let length = source.metadata().await.map_err(failed)?.len();
        let (from, to) = input.copy_source_range.as_deref().map_or(Ok((0, length)), |range| span(range, length))?;
        source.seek(SeekFrom::Start(from)).await.map_err(failed)?;
        let bytes = ReaderStream::with_capacity(source.take(to - from), CHUNK);
        let e_tag = self.uploads.put_sized(&input.upload_id, input.part_number, to - from, bytes).await?;
        let copied = dto::CopyPartResult { e_tag: Some(e_tag), ..dto::CopyPartResult::default() };
        let output =
            dto::UploadPartCopyOutput { copy_part_result: Some(copied), ..dto::UploadPartCopyOutput::default() };
        Ok(S3Response::new(output))
    }

    async fn complete(
        &self,
        input: dto::CompleteMultipartUploadInput,
    ) -> S3Result<S3Response<dto::CompleteMultipartUploadOutput>> {
        let (bucket, key) = (input.bucket.clone(), input.key.clone());
        let e_tag = Some(self.uploads.complete(input).await?);
        let output =
            dto::CompleteMultipartUploadOutput { bucket: Some(bucket), key: Some(key), e_tag, ..Default::default() };
        Ok(S3Response::new(output))
    }

    async fn give_up(
        &self,
        request: S3Request<dto::AbortMultipartUploadInput>,
    ) -> S3Result<S3Response<dto::AbortMultipartUploadOutput>> {
        self.uploads.forget(&request.input.upload_id)?;
        self.files.abort_multipart_upload(request).await
    }
}

/// The first byte, and the one behind the last, of `bytes=first-last`.
fn span(range: &str, length: u64) -> S3Result<(u64, u64)> {
    let ends = range.strip_prefix("bytes=").and_then(|range| range.split_once('-'));
    let ends = ends.and_then(|(first, last)| Some((first.parse().ok()?, last.parse::<u64>().ok()?)));
    let (first, last) = ends.ok_or_else(|| s3_error!(InvalidArgument, "a range is `bytes=first-last`"))?;
    if first <= last && last < length { Ok((first, last + 1)) } else { Err(s3_error!(InvalidRange)) }
}

/// The methods that are the folder's as they are.
macro_rules! as_in_a_folder {
    ($($operation:ident($input:ident) -> $output:ident;)*) => { $(
        fn $operation<'store, 'answer>(&'store self, request: S3Request<dto::$input>) -> Answer<'answer, dto::$output>
        where
            'store: 'answer,
        {
            self.files.$operation(request)
        }
    )* };
}

/// The methods that are ours.
macro_rules! as_here {
    ($($operation:ident($input:ident) -> $output:ident = |$store:ident, $request:ident| $answer:expr;)*) => { $(
        fn $operation<'store, 'answer>(&'store self, $request: S3Request<dto::$input>) -> Answer<'answer, dto::$output>
        where
            'store: 'answer,
        {
            let $store = self;
            Box::pin($answer)
        }
    )* };
}

impl S3 for Store {
    as_in_a_folder! {
        copy_object(CopyObjectInput) -> CopyObjectOutput;
        create_bucket(CreateBucketInput) -> CreateBucketOutput;
        delete_bucket(DeleteBucketInput) -> DeleteBucketOutput;
        delete_object(DeleteObjectInput) -> DeleteObjectOutput;
        delete_objects(DeleteObjectsInput) -> DeleteObjectsOutput;
        get_bucket_location(GetBucketLocationInput) -> GetBucketLocationOutput;
        get_object(GetObjectInput) -> GetObjectOutput;
        head_bucket(HeadBucketInput) -> HeadBucketOutput;
        head_object(HeadObjectInput) -> HeadObjectOutput;
        list_buckets(ListBucketsInput) -> ListBucketsOutput;
        list_objects(ListObjectsInput) -> ListObjectsOutput;
        list_objects_v2(ListObjectsV2Input) -> ListObjectsV2Output;
        put_object(PutObjectInput) -> PutObjectOutput;
    }

    as_here! {
        abort_multipart_upload(AbortMultipartUploadInput) -> AbortMultipartUploadOutput
            = |store, request| store.give_up(request);
        complete_multipart_upload(CompleteMultipartUploadInput) -> CompleteMultipartUploadOutput
            = |store, request| store.complete(request.input);
        create_multipart_upload(CreateMultipartUploadInput) -> CreateMultipartUploadOutput
            = |store, request| store.begin(request);
        list_multipart_uploads(ListMultipartUploadsInput) -> ListMultipartUploadsOutput
            = |store, request| std::future::ready(Ok(S3Response::new(store.uploads.list(&request.input.bucket))));
        upload_part(UploadPartInput) -> UploadPartOutput
            = |store, request| store.put_part(request.input);
        upload_part_copy(UploadPartCopyInput) -> UploadPartCopyOutput
            = |store, request| store.copy_part(request.input);
    }
}
