//! Audio that comes with the request.

use axum::body::BodyDataStream;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use events::wire::client::RenderRequest;
use events::{AudioKey, hex, spec};
use futures_util::{Stream, StreamExt, stream};
use multer::{Field, Multipart};
use sha2::{Digest, Sha256};

use super::order::{Audio, Order};
use super::{check, read_json};
use crate::api::unavailable;
use crate::audio::{self, Refused, Stored, TAKEN};
use crate::bucket::{self, Bucket};
use crate::http::code::Code;
use crate::http::problem::Problem;

/// Largest part `request`.
const MAX_REQUEST: usize = 128 * 1024;
/// Characters of base64 that are decoded at a time; four of them are three bytes.
const PIECE: usize = 256 * 1024;

pub(super) fn not_audio() -> Problem {
    Problem::unsupported(format!("this is no audio file that kiln knows; it takes {TAKEN}"))
}

pub(super) fn too_long() -> Problem {
    Problem::too_large("the audio is longer than 2 GiB")
}

/// A part `request`, which may be absent, and then the part `audio`, and nothing more.
pub(super) async fn multipart(
    order: &Order,
    body: &mut BodyDataStream,
    boundary: String,
) -> Result<(RenderRequest, Audio), Problem> {
    let mut parts = Multipart::new(body, boundary);
    let mut request = None;
    while let Some(part) = next(&mut parts).await? {
        match part.name() {
            Some("request") if request.is_none() => request = Some(read_request(part).await?),
            Some("audio") => {
                let request = request.unwrap_or_default();
                check(&request)?;
                return Ok((request, take(order, Box::pin(last_part(parts, part))).await?));
            }
            _ => return Err(unexpected(&part)),
        }
    }
    Err(Problem::field("/audio", "is missing: the file must be a part `audio`, after the part `request`"))
}

async fn next<'a>(parts: &mut Multipart<'a>) -> Result<Option<Field<'a>>, Problem> {
    parts.next_field().await.map_err(|error| broken(&error))
}

fn unexpected(part: &Field<'_>) -> Problem {
    let name = events::clean(part.name().unwrap_or_default(), 64);
    let problem = match &*name {
        "request" | "audio" => "is a part too many, or in the wrong order",
        _ => "is no part that kiln knows",
    };
    let expected = "there may be one part `request`, with the settings, and then one part `audio`, the file";
    Problem::field(&format!("/{name}"), format!("{problem}: {expected}"))
}

/// The bytes of a part behind which the form must end: else nothing of it is kept.
fn last_part<'a>(parts: Multipart<'a>, part: Field<'a>) -> impl Stream<Item = Result<Bytes, Problem>> {
    stream::try_unfold((parts, Some(part)), async |(mut parts, mut part)| {
        if let Some(open) = &mut part
            && let Some(chunk) = open.chunk().await.map_err(|error| broken(&error))?
        {
            return Ok(Some((chunk, (parts, part))));
        }
        drop(part);
        match next(&mut parts).await? {
            None => Ok(None),
            Some(part) => Err(unexpected(&part)),
        }
    })
}

async fn read_request(mut part: Field<'_>) -> Result<RenderRequest, Problem> {
    let mut bytes = Vec::new();
    while let Some(chunk) = part.chunk().await.map_err(|error| broken(&error))? {
        if bytes.len() + chunk.len() > MAX_REQUEST {
            return Err(Problem::too_large("the part `request` is longer than 128 KiB"));
        }
        bytes.extend_from_slice(&chunk);
    }
    let request: RenderRequest = read_json(&bytes)?;
    if request.audio.is_some() {
        return Err(Problem::field("/audio", "is the other part of this request; leave it out here"));
    }
    Ok(request)
}

fn broken(error: &multer::Error) -> Problem {
    Problem::bad_request(format!("the multipart body broke off or is malformed: {error}"))
}

/// Audio inside the JSON, decoded piece by piece.
pub(super) async fn base64(order: &Order, data: String) -> Result<Audio, Problem> {
    let pieces = data.as_bytes().chunks(PIECE).map(|piece| match STANDARD.decode(piece) {
        Ok(bytes) => Ok(Bytes::from(bytes)),
        Err(_) => Err(Problem::field("/audio/data", "is not base64 as RFC 4648 has it, with padding")),
    });
    take(order, stream::iter(pieces)).await
}

/// Streams audio to its job's place in the bucket, or only through the measure where nothing is to be stored.
async fn take<S>(order: &Order, stream: S) -> Result<Audio, Problem>
where
    S: Stream<Item = Result<Bytes, Problem>> + Unpin,
{
    let taken = if order.stores() {
        audio::store(&order.api.bucket, order.id, stream).await
    } else {
        audio::digest(order.id, stream).await
    };
    let stored = match taken {
        Ok(stored) => stored,
        Err(Refused::Taken(stored)) => {
            is_in_place(&order.api.bucket, &stored).await?;
            stored
        }
        Err(Refused::Empty) => return Err(Problem::field("/audio", "is empty")),
        Err(Refused::NotAudio) => return Err(not_audio()),
        Err(Refused::TooLong) => return Err(too_long()),
        Err(Refused::Body(problem)) => return Err(problem),
        Err(Refused::Store(error)) => return Err(unavailable(&error)),
    };
    let Stored { key, sha256, size_bytes } = stored;
    let source = sha256.clone();
    Ok(Audio { audio: spec::Audio::Stored { key, sha256: Some(sha256), size_bytes: Some(size_bytes) }, source })
}

/// The same request was here before, or is here at the same time, or its first answer was lost: what lies in its place
/// must be what this one brings.
async fn is_in_place(bucket: &Bucket, stored: &Stored) -> Result<(), Problem> {
    if hash(bucket, &stored.key).await? == stored.sha256 { Ok(()) } else { Err(key_reused()) }
}

/// SHA-256 of an object.
pub(super) async fn hash(bucket: &Bucket, key: &AudioKey) -> Result<String, Problem> {
    let failed = |error: bucket::Error| unavailable(&error);
    let (key, mut hash) = (key.to_string(), Sha256::new());
    let mut chunks = bucket.get(&key).await.map_err(failed)?;
    while let Some(chunk) = chunks.next().await {
        hash.update(chunk.map_err(failed)?);
    }
    Ok(hex(&hash.finalize()))
}

/// 422: one `Idempotency-Key` for two requests.
pub(super) fn key_reused() -> Problem {
    Problem::new(Code::IdempotencyKeyReused, "this Idempotency-Key was used before for another request; use a new one")
}
