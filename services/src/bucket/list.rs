//! What lies in the bucket, a page at a time.

use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_sdk_s3::primitives::DateTime;
use events::Timestamp;

use super::{Bucket, Cause, Error, Object};

/// An object in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its key.
    pub key: String,
    /// What is known of it.
    pub object: Object,
}

/// At most a thousand objects, in the order of their keys.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// The objects.
    pub objects: Vec<Listed>,
    /// Whether there are more behind the last one.
    pub is_cut: bool,
}

/// An upload in parts that was begun and never ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Begun {
    /// Where it would have gone.
    pub key: String,
    /// The store's name for it.
    pub id: String,
    /// When it was begun.
    pub begun: Timestamp,
}

impl Bucket {
    /// The next objects whose keys begin with `prefix`, those up to and with `after` left out.
    pub async fn page(&self, prefix: &str, after: Option<&str>) -> Result<Page, Error> {
        self.list(prefix, after, None).await
    }

    /// What lies directly in a folder, whose name ends with a slash; a thousand objects at most.
    pub async fn folder(&self, folder: &str) -> Result<Vec<Listed>, Error> {
        Ok(self.list(folder, None, Some("/")).await?.objects)
    }

    async fn list(&self, prefix: &str, after: Option<&str>, delimiter: Option<&str>) -> Result<Page, Error> {
        let request = self.client.list_objects_v2().bucket(&self.name).prefix(prefix);
        let request = request.set_start_after(after.map(str::to_owned)).set_delimiter(delimiter.map(str::to_owned));
        let listed = request.send().await.map_err(|error| Error::List(prefix.to_owned(), Cause::of(&error)))?;
        let objects = listed.contents().iter().filter_map(|object| {
            let size_bytes = object.size().and_then(|size| u64::try_from(size).ok()).unwrap_or(0);
            let modified = time(object.last_modified());
            Some(Listed { key: object.key()?.to_owned(), object: Object { size_bytes, modified } })
        });
        Ok(Page { objects: objects.collect(), is_cut: listed.is_truncated().unwrap_or(false) })
    }

    /// Uploads in parts that were begun and never ended, a thousand at most. A store that does not tell has none.
    pub async fn unfinished(&self) -> Result<Vec<Begun>, Error> {
        match self.client.list_multipart_uploads().bucket(&self.name).send().await {
            Ok(listed) => {
                let uploads = listed.uploads().iter().filter_map(|upload| {
                    let (key, id) = (upload.key()?.to_owned(), upload.upload_id()?.to_owned());
                    Some(Begun { key, id, begun: time(upload.initiated()) })
                });
                Ok(uploads.collect())
            }
            Err(error) if error.code() == Some("NotImplemented") => Ok(Vec::new()),
            Err(error) => Err(Error::List("unfinished uploads".into(), Cause::of(&error))),
        }
    }

    /// Gives up an upload in parts; one that is not there any more is no error.
    pub async fn abort(&self, key: &str, id: &str) -> Result<(), Error> {
        let request = self.client.abort_multipart_upload().bucket(&self.name).key(key).upload_id(id);
        match request.send().await {
            Ok(_) => Ok(()),
            Err(error) if super::status(&error) == Some(404) => Ok(()),
            Err(error) => Err(Error::Delete(key.to_owned(), Cause::of(&error))),
        }
    }
}

/// A time that is missing counts as now would: what is of unknown age is not old.
fn time(time: Option<&DateTime>) -> Timestamp {
    let unix_ms = time.and_then(|time| time.to_millis().ok());
    unix_ms.map_or_else(crate::clock::now, Timestamp::from_unix_ms)
}
