//! What an object is, and how it begins.

use aws_sdk_s3::error::SdkError;
use aws_sdk_s3::operation::get_object::GetObjectError;
use aws_sdk_s3::operation::head_object::HeadObjectError;
use aws_sdk_s3::primitives::{DateTime, DateTimeFormat};
use bytes::Bytes;
use events::Timestamp;
use reqwest::header::{CONTENT_LENGTH, CONTENT_RANGE, HeaderMap, HeaderName, LAST_MODIFIED, RANGE};

use super::plain::{LIFETIME, LOOKING, told};
use super::{Bucket, Cause, Error, Object, status};
use crate::clock;

impl Bucket {
    /// The object under a key, or none.
    pub async fn head(&self, key: &str) -> Result<Option<Object>, Error> {
        let address = self.signer.address(("HEAD", "HeadObject"), key, clock::now(), LIFETIME);
        if let Some(object) =
            told(self.plain.head(address.expose()), LOOKING).await.and_then(|told| read(told.headers()))
        {
            return Ok(Some(object));
        }
        match self.client.head_object().bucket(&self.name).key(key).send().await {
            Ok(head) => Ok(Some(object(None, head.content_length(), head.last_modified()))),
            Err(error) if error.as_service_error().is_some_and(HeadObjectError::is_not_found) => Ok(None),
            Err(error) => Err(Error::Head(key.to_owned(), Cause::of(&error))),
        }
    }

    /// What an object is and how it begins, in one question; none if it is not there or is empty.
    pub async fn peek(&self, key: &str, count: u64) -> Result<Option<(Object, Bytes)>, Error> {
        let range = format!("bytes=0-{}", count.saturating_sub(1));
        let address = self.sign_get(key, LIFETIME);
        if let Some(told) = told(self.plain.get(address.expose()).header(RANGE, &range), LOOKING).await
            && let Some(object) = read(told.headers())
            && told.content_length().is_some_and(|length| length <= count)
            && let Ok(bytes) = told.bytes().await
        {
            return Ok(Some((object, bytes)).filter(|(object, _)| object.size_bytes > 0));
        }
        let got = match self.client.get_object().bucket(&self.name).key(key).range(range).send().await {
            Ok(got) => got,
            Err(error) if has_no_bytes(&error) => return Ok(None),
            Err(error) => return Err(Error::Get(key.to_owned(), Cause::of(&error))),
        };
        let total = got.content_range().and_then(|range| range.rsplit_once('/')?.1.parse().ok());
        let object = object(total, got.content_length(), got.last_modified());
        let bytes = got.body.collect().await.map_err(|error| Error::Get(key.to_owned(), Cause(error.to_string())))?;
        Ok(Some((object, bytes.into_bytes())).filter(|(object, _)| object.size_bytes > 0))
    }
}

/// The object that the SDK tells of; of a range, the total is its length.
fn object(total: Option<u64>, length: Option<i64>, modified: Option<&DateTime>) -> Object {
    let whole = length.and_then(|length| u64::try_from(length).ok());
    let unix_ms = modified.and_then(|time| time.to_millis().ok()).unwrap_or(0);
    Object { size_bytes: total.or(whole).unwrap_or(0), modified: Timestamp::from_unix_ms(unix_ms) }
}

/// The object that an answer's headers are about, if they tell all of it.
fn read(headers: &HeaderMap) -> Option<Object> {
    let text = |name: HeaderName| headers.get(name)?.to_str().ok();
    let size = match text(CONTENT_RANGE) {
        Some(range) => range.rsplit_once('/')?.1,
        None => text(CONTENT_LENGTH)?,
    };
    let modified = DateTime::from_str(text(LAST_MODIFIED)?, DateTimeFormat::HttpDate).ok()?.to_millis().ok()?;
    Some(Object { size_bytes: size.parse().ok()?, modified: Timestamp::from_unix_ms(modified) })
}

/// There is no such object, or no first byte of it (416).
fn has_no_bytes(error: &SdkError<GetObjectError>) -> bool {
    error.as_service_error().is_some_and(GetObjectError::is_no_such_key) || status(error) == Some(416)
}
