//! Small objects that several processes write: read with a version, replaced only at that version.

use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_sdk_s3::operation::get_object::GetObjectError;
use aws_sdk_s3::primitives::ByteStream;
use bytes::Bytes;

use super::{Bucket, Cause, Error};

/// An object with the store's name for this version of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Versioned {
    /// All of it.
    pub body: Bytes,
    /// The store's name for the version, its entity tag.
    pub version: String,
}

impl Bucket {
    /// A small object with its version, or none.
    pub async fn read(&self, key: &str) -> Result<Option<Versioned>, Error> {
        let got = match self.client.get_object().bucket(&self.name).key(key).send().await {
            Ok(got) => got,
            Err(error) if error.as_service_error().is_some_and(GetObjectError::is_no_such_key) => return Ok(None),
            Err(error) => return Err(Error::Get(key.to_owned(), Cause::of(&error))),
        };
        let version = got.e_tag().unwrap_or_default().to_owned();
        let body = got.body.collect().await.map_err(|error| Error::Get(key.to_owned(), Cause(error.to_string())))?;
        Ok(Some(Versioned { body: body.into_bytes(), version }))
    }

    /// Replaces a small object if it still has this version; with none, makes it if it is not there. Returns whether it
    /// did. A store that knows no conditions replaces it anyhow.
    pub async fn replace(&self, key: &str, body: Bytes, version: Option<&str>) -> Result<bool, Error> {
        let put = self.client.put_object().bucket(&self.name).key(key).content_type("application/json");
        let put = put.body(ByteStream::from(body.clone()));
        let conditional = match version {
            Some(version) => put.if_match(version),
            None => put.if_none_match("*"),
        };
        match conditional.send().await {
            Ok(_) => Ok(true),
            Err(error) => match error.raw_response().map(|response| response.status().as_u16()) {
                Some(404 | 409 | 412) => Ok(false),
                Some(501) if error.code() == Some("NotImplemented") => {
                    self.put(key, "application/json", body).await.map(|()| true)
                }
                _ => Err(Error::Put(key.to_owned(), Cause::of(&error))),
            },
        }
    }
}
