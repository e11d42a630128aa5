//! The video that an attempt should have left: what the bucket has, whatever anybody says of it.

use crate::bucket::{self, Bucket, Object};

/// Bytes at the start of a file that tell an mp4: the length of the first box, then its name.
const HEAD_BYTES: u64 = 12;

/// What lies where a video should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// Nothing, or nothing but a name.
    Nothing,
    /// Something that does not begin like an mp4.
    Other(Object),
    /// A file that begins like an mp4.
    Video(Object),
}

/// Looks at the object under a key. An error means that nobody knows.
pub async fn look(bucket: &Bucket, key: &str) -> Result<Found, bucket::Error> {
    Ok(match bucket.peek(key, HEAD_BYTES).await? {
        None => Found::Nothing,
        Some((object, head)) if is_mp4(&head) => Found::Video(object),
        Some((object, _)) => Found::Other(object),
    })
}

/// ISO/IEC 14496-12, 4.3: the file begins with a box named `ftyp`.
fn is_mp4(head: &[u8]) -> bool {
    head.get(4..8) == Some(b"ftyp")
}
