//! `POST /api/uploads`: a signed PUT, for large files from browsers.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use events::AudioKey;
use events::wire::client::{Upload, UploadRequest};

use super::{Api, submit};
use crate::http::problem::Problem;
use crate::{audio, clock};

/// How long the address lasts.
const LIFETIME: Duration = Duration::from_hours(1);

pub(super) async fn upload(State(api): State<Api>, body: Bytes) -> Result<(StatusCode, Json<Upload>), Problem> {
    let request: UploadRequest = submit::read_json(&body)?;
    if request.size_bytes == 0 {
        return Err(Problem::field("/sizeBytes", "must be the length of the file, at least 1"));
    }
    if request.size_bytes > audio::MAX_BYTES {
        return Err(Problem::too_large("the audio is longer than 2 GiB"));
    }
    let extension = request.filename.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase());
    let extension = extension.filter(|extension| audio::is_taken(extension));
    let extension = extension.ok_or_else(|| {
        Problem::field("/filename", format!("must end with the extension of a kind that is taken: {}", audio::TAKEN))
    })?;
    let key = AudioKey::of_upload(clock::new_id(), &extension).map_err(|_| Problem::internal())?.to_string();
    let url = api.bucket.sign_put(&key, LIFETIME);
    let expires_at = clock::now() + LIFETIME;
    let answer = Upload { key, url, method: "PUT".into(), headers: BTreeMap::new(), expires_at };
    Ok((StatusCode::CREATED, Json(answer)))
}
