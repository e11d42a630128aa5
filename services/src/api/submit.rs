//! `POST /api/render`: audio in, a promise out. The 202 means that the audio is in the bucket and the request in the log.

mod order;
mod place;
mod received;
mod room;
mod source;

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, header};
use axum::response::Response;
use events::spec::FieldError;
use events::wire::client::RenderRequest;
use events::{AudioKey, JobId, spec};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::Api;
use crate::http::gate;
use crate::http::problem::Problem;
use crate::keys::Caller;
use crate::{audio, trace};
pub(super) use order::Order;
pub(super) use place::LONG_BODIES_KIB;
use place::Place;
pub(super) use room::Space;
pub(super) use source::copy;

/// Room for the form around the audio.
const FORM: u64 = 1024 * 1024;

/// What may stand behind the `?`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Asked {
    /// Say what would be done, and do nothing.
    #[serde(default)]
    pub(super) dry_run: bool,
}

pub(super) async fn submit(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let (order, kind) = match begin(api, &caller, &headers, asked.dry_run).await {
        Ok(begun) => begun,
        Err(problem) => {
            gate::drain(&headers, body);
            return Err(problem);
        }
    };
    let (request, audio) = match kind {
        Kind::Form(boundary) => {
            let mut body = body.into_data_stream();
            let received = received::multipart(&order, &mut body, boundary).await;
            if received.is_err() {
                gate::take_rest(body).await;
            }
            received?
        }
        Kind::Json(place) => source::json(&order, place, body).await?,
    };
    order.place(request, audio).await
}

/// What the body is, and what it needs to be read.
enum Kind {
    /// Its boundary.
    Form(String),
    Json(Place),
}

/// Everything that can be refused without the body is refused here.
async fn begin(api: Api, caller: &Caller, headers: &HeaderMap, is_dry: bool) -> Result<(Order, Kind), Problem> {
    let order = Order::begin(api.traced(headers), caller, headers, is_dry).await?;
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let length = content_length(headers);
    if let Ok(boundary) = multer::parse_boundary(content_type) {
        if length.is_some_and(|length| length > audio::MAX_BYTES + FORM) {
            return Err(received::too_long());
        }
        return Ok((order, Kind::Form(boundary)));
    }
    if !is_json(content_type) {
        return Err(Problem::unsupported("send application/json, or multipart/form-data with a part `audio`"));
    }
    let place = Place::of(&order.api.long_bodies, length).await?;
    Ok((order, Kind::Json(place)))
}

fn is_json(content_type: &str) -> bool {
    content_type.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

impl Api {
    /// The same role, writing on behalf of the trace that the request belongs to.
    pub(super) fn traced(mut self, headers: &HeaderMap) -> Self {
        let shared = Arc::make_mut(&mut self.0);
        shared.log = shared.log.traced(Some(trace::continued(trace::given(headers))));
        self
    }
}

/// JSON as its type wants it, or which field is wrong.
pub(super) fn read_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    // A list would be taken for an object whose fields come in order.
    if bytes.trim_ascii_start().first() == Some(&b'[') {
        return Err(Problem::field("", "must be an object"));
    }
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let text = error.inner().to_string();
        if !error.inner().is_data() {
            return Problem::bad_request(format!("this is no JSON: {}", events::clean(&text, 300)));
        }
        let steps: Vec<String> = error.path().iter().map(ToString::to_string).collect();
        Problem::field(
            &events::clean(&format!("/{}", steps.join("/")), 300),
            events::clean(&in_plain_words(&text), 300),
        )
    })?;
    reader.end().map_err(|error| Problem::bad_request(format!("this is no JSON: {error}")))?;
    Ok(value)
}

/// What was expected, without the names of our types, nor the place of a field that is named anyway.
fn in_plain_words(text: &str) -> String {
    let text = text.rsplit_once(" at line ").map_or(text, |(text, _)| text);
    let Some((found, expected)) = text.rsplit_once("expected ") else { return text.to_owned() };
    let expected = match expected {
        "u8" | "u16" | "u32" | "u64" | "i64" => "a whole number",
        "a map" => "an object",
        expected if expected.starts_with("struct ") => "an object",
        expected => expected,
    };
    format!("{found}expected {expected}")
}

/// The bounds that the types alone do not hold, before a byte of audio is stored.
fn check(request: &RenderRequest) -> Result<(), Problem> {
    let placeholder = AudioKey::of_job(JobId::new(0, [0; 10]), "wav").map_err(|_| Problem::internal())?;
    let audio = spec::Audio::Stored { key: placeholder, sha256: None, size_bytes: None };
    let errors: Vec<FieldError> = request.clone().into_spec(audio).errors();
    if errors.is_empty() { Ok(()) } else { Err(Problem::invalid(errors)) }
}
