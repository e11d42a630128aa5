//! Audio that a JSON request names: its bytes, a key in the bucket, or an address.

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use events::wire::client::{AudioKind, AudioSource, RenderRequest};
use events::{AudioKey, spec};
use tokio::time::timeout;

use super::order::{Audio, Order};
use super::place::{self, Place};
use super::received::{self, key_reused};
use super::{check, read_json};
use crate::api::unavailable;
use crate::audio;
use crate::http::code::Code;
use crate::http::problem::Problem;

/// The whole JSON must be here by then: while it comes, it has a place that others may want.
const LONGEST_READ: Duration = Duration::from_mins(2);

/// The place is held until the audio is stored.
pub(super) async fn json(order: &Order, mut place: Place, body: Body) -> Result<(RenderRequest, Audio), Problem> {
    let bytes = timeout(LONGEST_READ, axum::body::to_bytes(body, place::MAX_JSON))
        .await
        .map_err(|_| Problem::new(Code::Timeout, "the JSON was not here within two minutes; use multipart/form-data"))?
        .map_err(|_| place::too_long())?;
    place.shrink(bytes.len());
    let mut request = parse(bytes).await?;
    let source = request.audio.take().ok_or_else(|| Problem::field("/audio", "is missing"))?;
    check(&request)?;
    let audio = match checked(source)? {
        Source::Key(key) => copied(order, &key).await?,
        Source::Data(data) => received::base64(order, data).await?,
        Source::Url { url, filename } => remote(order, url, filename).await?,
    };
    Ok((request, audio))
}

/// Long JSON takes its time, which nobody else should wait for.
async fn parse(bytes: Bytes) -> Result<RenderRequest, Problem> {
    if !place::is_long(bytes.len() as u64) {
        return read_json(&bytes);
    }
    let parsed = tokio::task::spawn_blocking(move || read_json(&bytes)).await;
    parsed.unwrap_or_else(|_| Err(Problem::internal()))
}

enum Source {
    Key(String),
    Data(String),
    Url { url: String, filename: Option<String> },
}

/// Exactly one source, which `type` must agree with.
fn checked(source: AudioSource) -> Result<Source, Problem> {
    let AudioSource { kind, url, data, key, filename } = source;
    let (found, source) = match (url, data, key) {
        (Some(url), None, None) => (AudioKind::Url, Source::Url { url, filename }),
        (None, Some(data), None) => (AudioKind::Base64, Source::Data(data)),
        (None, None, Some(key)) => (AudioKind::Key, Source::Key(key)),
        _ => return Err(Problem::field("/audio", "needs exactly one of `key`, `data` and `url`")),
    };
    match kind {
        Some(kind) if kind != found => Err(Problem::field("/audio/type", "is not what the other fields say")),
        _ => Ok(source),
    }
}

/// Audio that is in the bucket already: looked at, and copied to its job's own place.
async fn copied(order: &Order, key: &str) -> Result<Audio, Problem> {
    let from = AudioKey::parse(key).map_err(|error| Problem::field("/audio/key", error.to_string()))?;
    let bucket = &order.api.bucket;
    let looked = bucket.peek(key, audio::SNIFF_BYTES as u64).await.map_err(|error| unavailable(&error))?;
    let (object, first) = looked
        .ok_or_else(|| Problem::field("/audio/key", "there is no such object, or it is empty; upload it first"))?;
    let size_bytes = object.size_bytes;
    if size_bytes > audio::MAX_BYTES {
        return Err(received::too_long());
    }
    let kind = audio::sniff(&first).ok_or_else(received::not_audio)?;
    let to = AudioKey::of_job(order.id, kind.extension).map_err(|_| Problem::internal())?;
    if order.stores() {
        copy(order, &from, &to, kind.content_type).await?;
    }
    let audio = spec::Audio::Stored { key: to, sha256: None, size_bytes: Some(size_bytes) };
    Ok(Audio { audio, source: key.to_owned() })
}

/// A job whose id is its own alone has a place of its own alone. Under an `Idempotency-Key` others may be at the same: of
/// them one copies, and the others must have meant the same sound.
pub(in crate::api) async fn copy(
    order: &Order,
    from: &AudioKey,
    to: &AudioKey,
    content_type: &str,
) -> Result<(), Problem> {
    let bucket = &order.api.bucket;
    if from == to {
        return Ok(());
    }
    if !order.id.is_derived() {
        return bucket.copy(&from.to_string(), &to.to_string()).await.map_err(|error| unavailable(&error));
    }
    let copied = bucket.copy_new(&from.to_string(), &to.to_string(), content_type).await;
    if copied.map_err(|error| unavailable(&error))?
        || received::hash(bucket, from).await? == received::hash(bucket, to).await?
    {
        return Ok(());
    }
    Err(key_reused())
}

/// Audio at an address: the worker will fetch it. Here only its text is looked at.
async fn remote(order: &Order, url: String, filename: Option<String>) -> Result<Audio, Problem> {
    let Some(rules) = &order.api.audio_urls else {
        return Err(Problem::field("/audio/url", "audio by URL is not allowed here; upload the file"));
    };
    let audio = spec::Audio::Remote { url: url.clone(), filename };
    let errors = spec::Spec::new(audio.clone()).errors();
    if !errors.is_empty() {
        return Err(Problem::invalid(errors));
    }
    rules.check(&url).map_err(|_| Problem::field("/audio/url", "must be a public http or https address"))?;
    order.mark_awaited().await?;
    Ok(Audio { audio, source: url })
}
