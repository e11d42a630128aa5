//! An S3 server that keeps everything in memory, and no more of one than the roles ask for here: somebody else's store, so
//! that it should cost next to nothing. Signatures are not looked at.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::SystemTime;

use aws_sdk_s3::primitives::{DateTime, DateTimeFormat};
use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

/// The objects, by key.
#[derive(Clone, Default)]
struct Objects(Arc<Mutex<HashMap<String, Object>>>);

#[derive(Clone)]
struct Object {
    body: Bytes,
    tag: String,
    modified: String,
}

/// The whole server.
pub(super) fn router() -> Router {
    let object = get(read).put(write);
    Router::new().route("/{bucket}/{*key}", object).with_state(Objects::default())
}

impl Objects {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Object>> {
        self.0.lock().expect("nothing panics under this lock")
    }
}

impl Object {
    fn new(body: Bytes) -> Self {
        let mut hasher = DefaultHasher::new();
        body.hash(&mut hasher);
        let modified = DateTime::from(SystemTime::now()).fmt(DateTimeFormat::HttpDate).unwrap_or_default();
        Self { body, tag: format!("\"{:016x}\"", hasher.finish()), modified }
    }

    fn headers(&self) -> [(header::HeaderName, String); 2] {
        [(header::ETAG, self.tag.clone()), (header::LAST_MODIFIED, self.modified.clone())]
    }
}

/// All of an object, or as many of its first bytes as are asked for; its length alone where that is asked for.
async fn read(State(objects): State<Objects>, Path((_, key)): Path<(String, String)>, headers: HeaderMap) -> Response {
    let Some(object) = objects.lock().get(&key).cloned() else {
        return (StatusCode::NOT_FOUND, "<Error><Code>NoSuchKey</Code></Error>").into_response();
    };
    let asked = text(&headers, "range").and_then(|range| range.strip_prefix("bytes=0-")?.parse::<usize>().ok());
    let Some(last) = asked.map(|last| last.min(object.body.len().saturating_sub(1))) else {
        return (object.headers(), object.body).into_response();
    };
    let range = format!("bytes 0-{last}/{}", object.body.len());
    let answer = (StatusCode::PARTIAL_CONTENT, object.headers(), [(header::CONTENT_RANGE, range)]);
    (answer.0, answer.1, answer.2, object.body.slice(..=last)).into_response()
}

/// Stores what comes, or a copy of what is there, if the conditions hold.
async fn write(
    State(objects): State<Objects>,
    Path((_, key)): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let mut all = objects.lock();
    let known = all.get(&key).map(|object| object.tag.as_str());
    let must_be = text(&headers, "if-match");
    if must_be.is_some() && must_be != known || headers.contains_key(header::IF_NONE_MATCH) && known.is_some() {
        return StatusCode::PRECONDITION_FAILED.into_response();
    }
    let from = text(&headers, "x-amz-copy-source").and_then(|source| source.trim_start_matches('/').split_once('/'));
    let object = match from {
        None => Object::new(body),
        Some((_, from)) => match all.get(from) {
            Some(object) => object.clone(),
            None => return (StatusCode::NOT_FOUND, "<Error><Code>NoSuchKey</Code></Error>").into_response(),
        },
    };
    let copied = format!("<CopyObjectResult><ETag>{}</ETag></CopyObjectResult>", object.tag);
    let answer = (object.headers(), if from.is_some() { copied } else { String::new() });
    all.insert(key, object);
    answer.into_response()
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}
