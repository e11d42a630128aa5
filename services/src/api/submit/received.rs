//! Audio on its way into the bucket: sniffed, counted and hashed while it streams.

use std::time::Duration;

use axum::body::BodyDataStream;
use bytes::Bytes;
use events::wire::client::RenderRequest;
use events::{AudioKey, JobId, hex};
use futures_util::{Stream, StreamExt, stream};
use sha2::{Digest, Sha256};

use super::{Api, MAX_AUDIO, check, read_json, unavailable};
use crate::audio::{self, SNIFF_BYTES, TAKEN};
use crate::bucket::UploadError;
use crate::http::code::Code;
use crate::http::problem::Problem;

/// Largest part `request`.
const MAX_REQUEST: usize = 128 * 1024;

/// How long a refused client may go on sending.
const DRAIN: Duration = Duration::from_secs(10);

/// Audio that is in the bucket.
pub(super) struct Stored {
    pub(super) key: AudioKey,
    /// What tells it from other audio: its hash, or the key that the client named.
    pub(super) source: String,
    pub(super) sha256: Option<String>,
    pub(super) size_bytes: u64,
}

pub(super) fn not_audio() -> Problem {
    Problem::unsupported(format!("this is no audio file that kiln knows; it takes {TAKEN}"))
}

/// A part `request`, which may be absent, and then the part `audio`.
pub(super) async fn multipart(
    api: &Api,
    id: JobId,
    body: &mut BodyDataStream,
    boundary: String,
) -> Result<(RenderRequest, Stored), Problem> {
    let mut parts = multer::Multipart::new(body, boundary);
    let mut request = RenderRequest::default();
    while let Some(part) = parts.next_field().await.map_err(|error| broken(&error))? {
        match part.name() {
            Some("request") => request = read_request(part).await?,
            Some("audio") => {
                check(&request)?;
                let stream = part.map(|chunk| chunk.map_err(|error| broken(&error)));
                return Ok((request, store(api, id, Box::pin(stream)).await?));
            }
            _ => return Err(Problem::bad_request("only the parts `request` and `audio` are known")),
        }
    }
    Err(Problem::bad_request("the part `audio` is missing"))
}

/// Takes what a refused client still sends, for a while: most clients read the answer only when they have sent all, and
/// would see nothing but a broken connection.
pub(super) async fn drain(body: &mut BodyDataStream) {
    let rest = async { while let Some(Ok(_)) = body.next().await {} };
    // Who sends for longer than that is cut.
    let _ = tokio::time::timeout(DRAIN, rest).await;
}

async fn read_request(mut part: multer::Field<'_>) -> Result<RenderRequest, Problem> {
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

/// Audio inside the JSON.
pub(super) async fn base64(api: &Api, id: JobId, data: &str) -> Result<Stored, Problem> {
    use base64::Engine as _;
    let bytes = base64::engine::general_purpose::STANDARD
        .decode(data)
        .map_err(|error| Problem::field("/audio/data", format!("is not base64: {error}")))?;
    store(api, id, stream::iter([Ok(Bytes::from(bytes))])).await
}

/// Streams audio to its job's place in the bucket. If it is no audio, or too long, nothing stays there.
async fn store<S>(api: &Api, id: JobId, mut stream: S) -> Result<Stored, Problem>
where
    S: Stream<Item = Result<Bytes, Problem>> + Unpin,
{
    let mut head = Vec::new();
    while head.len() < SNIFF_BYTES {
        match stream.next().await {
            Some(chunk) => head.extend_from_slice(&chunk?),
            None => break,
        }
    }
    if head.is_empty() {
        return Err(Problem::field("/audio", "is empty"));
    }
    let kind = audio::sniff(&head).ok_or_else(not_audio)?;
    let key = AudioKey::of_job(id, kind.extension).map_err(|_| Problem::internal())?;
    let mut hash = Sha256::new();
    let mut size_bytes = 0;
    let counted = stream::iter([Ok(Bytes::from(head))]).chain(stream).map(|chunk| {
        let chunk = chunk?;
        size_bytes += chunk.len() as u64;
        if size_bytes > MAX_AUDIO {
            return Err(Problem::too_large("the audio is longer than 2 GiB"));
        }
        hash.update(&chunk);
        Ok(chunk)
    });
    let stored = api.bucket.put_stream(&key.to_string(), kind.content_type, counted).await;
    let sha256 = hex(&hash.finalize());
    match stored {
        Ok(()) => {}
        Err(UploadError::Taken) => same_as_stored(api, &key, &sha256).await?,
        Err(UploadError::Body(problem)) => return Err(problem),
        Err(UploadError::Store(error)) => return Err(unavailable(&error)),
    }
    let source = sha256.clone();
    Ok(Stored { key, source, sha256: Some(sha256), size_bytes })
}

/// The same request was here before, or is here at the same time: what it stored must be what this one brings.
async fn same_as_stored(api: &Api, key: &AudioKey, sha256: &str) -> Result<(), Problem> {
    let (key, mut hash) = (key.to_string(), Sha256::new());
    let mut chunks = api.bucket.get(&key).await.map_err(|error| unavailable(&error))?;
    while let Some(chunk) = chunks.next().await {
        hash.update(chunk.map_err(|error| unavailable(&error))?);
    }
    if hex(&hash.finalize()) == sha256 { Ok(()) } else { Err(key_reused()) }
}

/// 422: one `Idempotency-Key` for two requests.
pub(super) fn key_reused() -> Problem {
    Problem::new(Code::IdempotencyKeyReused, "this Idempotency-Key was used before for another request; use a new one")
}
