//! The object store: R2, or anything that speaks S3. Keys are spelled in `events`; here they are only used.

mod copy;
mod list;
mod look;
mod plain;
mod rules;
mod sign;
mod upload;
mod versioned;

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{
    BehaviorVersion, Credentials, Region, RequestChecksumCalculation, ResponseChecksumValidation,
};
use aws_sdk_s3::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::ByteStream;
use aws_smithy_http_client::{Builder as HttpClient, tls};
use bytes::Bytes;
use events::{Secret, Timestamp};
use futures_util::Stream;

use crate::{clock, config};
pub use list::{Begun, Listed, Page};
pub use rules::Expiry;
use sign::Signer;
pub use upload::UploadError;
pub use versioned::Versioned;

/// What a signature by AWS Signature Version 4 can last at most, and so every signed address.
pub const LONGEST_SIGNATURE: Duration = Duration::from_hours(7 * 24);

/// The only one that R2 has; other stores take any name for theirs.
const REGION: &str = "auto";

/// One bucket, with the keys to it.
#[derive(Clone)]
pub struct Bucket {
    client: Client,
    name: String,
    signer: Arc<Signer>,
    plain: reqwest::Client,
}

/// The store did not do what it was asked. A variant per operation.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Making the bucket.
    #[error("the bucket `{0}` cannot be made")]
    Create(String, #[source] Cause),
    /// Looking at an object.
    #[error("the store did not tell of `{0}`")]
    Head(String, #[source] Cause),
    /// Reading an object.
    #[error("the store did not give `{0}`")]
    Get(String, #[source] Cause),
    /// Writing an object.
    #[error("the store did not take `{0}`")]
    Put(String, #[source] Cause),
    /// Copying an object.
    #[error("the store did not copy `{0}`")]
    Copy(String, #[source] Cause),
    /// Listing objects, or uploads that were never finished.
    #[error("the store did not list `{0}`")]
    List(String, #[source] Cause),
    /// Removing an object.
    #[error("the store did not remove `{0}`")]
    Delete(String, #[source] Cause),
    /// Asking for the bucket's own rules.
    #[error("the store does not tell the rules of the bucket `{0}`")]
    Rules(String, #[source] Cause),
}

/// What the SDK said, on one line.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Cause(String);

impl Cause {
    fn of<E: std::error::Error + ProvideErrorMetadata + 'static>(error: &SdkError<E>) -> Self {
        match error {
            SdkError::ServiceError(service) => {
                let code = service.err().code().unwrap_or("no code");
                let message = service.err().message().unwrap_or("no message");
                let status = service.raw().status().as_u16();
                Self(events::clean(&format!("HTTP {status}, {code}: {message}"), 300))
            }
            other => Self(events::clean(&DisplayErrorContext(other).to_string(), 300)),
        }
    }
}

/// An object, as a look at it tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Object {
    /// Length in bytes.
    pub size_bytes: u64,
    /// When it was last written.
    pub modified: Timestamp,
}

impl Bucket {
    /// A client for the bucket; nothing is asked of it yet.
    pub fn new(config: &config::Bucket) -> Result<Self, config::Misconfigured> {
        let keys = Credentials::new(&config.r2_access_key_id, config.r2_secret_access_key.expose(), None, None, "kiln");
        let http =
            HttpClient::new().tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring)).build_https();
        let settings = aws_sdk_s3::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(REGION))
            .endpoint_url(config.endpoint()?)
            .credentials_provider(keys)
            .force_path_style(true)
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
            .retry_config(RetryConfig::standard().with_max_attempts(3))
            .timeout_config(
                TimeoutConfig::builder()
                    .connect_timeout(Duration::from_secs(5))
                    .operation_attempt_timeout(Duration::from_mins(1))
                    .build(),
            )
            .http_client(http)
            .build();
        let (client, signer) = (Client::from_conf(settings), Arc::new(Signer::new(config)?));
        Ok(Self { client, name: config.r2_bucket_name.clone(), signer, plain: plain::client() })
    }

    /// Scheme, host and port of every address that is signed here.
    pub fn origin(&self) -> &str {
        self.signer.origin()
    }

    /// Makes the bucket if it is not there. Returns whether it was made.
    pub async fn provision(&self) -> Result<bool, Error> {
        if self.client.head_bucket().bucket(&self.name).send().await.is_ok() {
            return Ok(false);
        }
        let made = self.client.create_bucket().bucket(&self.name).send().await;
        made.map(|_| true).map_err(|error| Error::Create(self.name.clone(), Cause::of(&error)))
    }

    /// Removes an object; one that is not there is no error.
    pub async fn delete(&self, key: &str) -> Result<(), Error> {
        let deleted = self.client.delete_object().bucket(&self.name).key(key).send().await;
        deleted.map(|_| ()).map_err(|error| Error::Delete(key.to_owned(), Cause::of(&error)))
    }

    /// An address to GET an object with, signed here.
    pub fn sign_get(&self, key: &str, lifetime: Duration) -> Secret {
        self.sign_get_from(key, clock::now(), lifetime)
    }

    /// The same, signed as of an earlier moment: all day the same address, if that is the beginning of the day.
    pub fn sign_get_from(&self, key: &str, from: Timestamp, lifetime: Duration) -> Secret {
        self.signer.address(("GET", "GetObject"), key, from, lifetime)
    }

    /// An address to PUT an object with, signed here.
    pub fn sign_put(&self, key: &str, lifetime: Duration) -> Secret {
        self.signer.address(("PUT", "PutObject"), key, clock::now(), lifetime)
    }

    /// The bytes of an object, as they come.
    pub async fn get(&self, key: &str) -> Result<impl Stream<Item = Result<Bytes, Error>> + Unpin, Error> {
        let failed = |cause| Error::Get(key.to_owned(), cause);
        let got = self.client.get_object().bucket(&self.name).key(key).send().await;
        let mut body = got.map_err(|error| failed(Cause::of(&error)))?.body;
        Ok(futures_util::stream::poll_fn(move |context| {
            let next = std::pin::Pin::new(&mut body).poll_next(context);
            next.map(|chunk| chunk.map(|chunk| chunk.map_err(|error| failed(Cause(error.to_string())))))
        }))
    }

    /// Stores a few bytes.
    pub async fn put(&self, key: &str, content_type: &str, body: Bytes) -> Result<(), Error> {
        let request = self.client.put_object().bucket(&self.name).key(key).content_type(content_type);
        let put = request.body(ByteStream::from(body)).send().await;
        put.map(|_| ()).map_err(|error| Error::Put(key.to_owned(), Cause::of(&error)))
    }
}

/// The HTTP status that the store answered with, if it answered.
fn status<E>(error: &SdkError<E>) -> Option<u16> {
    error.raw_response().map(|response| response.status().as_u16())
}
