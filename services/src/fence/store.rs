//! The fence's object in the bucket.

use bytes::Bytes;

use super::Fence;
use crate::bucket::{self, Bucket, Versioned};

/// Where the fence lies in the bucket.
pub const KEY: &str = "kiln/fence.json";
/// Times that the object is read again because somebody else has written it meanwhile.
const MAX_TRIES: usize = 8;

/// The fence in a bucket.
#[derive(Clone)]
pub struct Fences(Bucket);

/// The fence could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store did not answer as it should.
    #[error(transparent)]
    Store(#[from] bucket::Error),
    /// The object holds something else. Only a person can tell why.
    #[error("`{KEY}` in the bucket cannot be read; put the right one back, or remove it to begin anew")]
    Unreadable(#[source] serde_json::Error),
    /// Others write it again and again.
    #[error("`{KEY}` changes faster than it can be written")]
    Contended,
}

impl Fences {
    /// The fence in this bucket.
    pub fn new(bucket: Bucket) -> Self {
        Self(bucket)
    }

    /// What is written down; `None` before the first time.
    pub async fn read(&self) -> Result<Option<Fence>, Error> {
        Ok(self.versioned().await?.map(|(fence, _)| fence))
    }

    /// Writes the fence down if it is beyond what is there. Returns what is there then. Any number may do so at once.
    pub async fn advance(&self, fence: &Fence) -> Result<Fence, Error> {
        let body = Bytes::from(serde_json::to_vec_pretty(fence).expect("a fence is plain data"));
        for _ in 0..MAX_TRIES {
            let there = self.versioned().await?;
            let version = match there {
                Some((there, _)) if !fence.is_beyond(&there) => return Ok(there),
                Some((_, version)) => Some(version),
                None => None,
            };
            if self.0.replace(KEY, body.clone(), version.as_deref()).await? {
                return Ok(fence.clone());
            }
        }
        Err(Error::Contended)
    }

    async fn versioned(&self) -> Result<Option<(Fence, String)>, Error> {
        let Some(Versioned { body, version }) = self.0.read(KEY).await? else { return Ok(None) };
        let fence = serde_json::from_slice(&body).map_err(Error::Unreadable)?;
        Ok(Some((fence, version)))
    }
}
