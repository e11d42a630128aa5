//! The page for people, served by the api at `/`: plain files, put into the program, that ask the api like any client.
//!
//! It must not know anything that a client of the api does not: no key is needed for the files, and each request that the
//! page makes shows its own. Nothing comes from another host but audio and videos from the store.

use axum::Router;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use sha2::{Digest, Sha256};

/// Where each file is, and what stands in it.
const FILES: &[(&str, &[u8])] = &[
    ("/", include_bytes!("page/index.html")),
    ("/page/api.js", include_bytes!("page/api.js")),
    ("/page/dom.js", include_bytes!("page/dom.js")),
    ("/page/download.js", include_bytes!("page/download.js")),
    ("/page/health.js", include_bytes!("page/health.js")),
    ("/page/icon.svg", include_bytes!("page/icon.svg")),
    ("/page/job.css", include_bytes!("page/job.css")),
    ("/page/job.js", include_bytes!("page/job.js")),
    ("/page/key.js", include_bytes!("page/key.js")),
    ("/page/letters.js", include_bytes!("page/letters.js")),
    ("/page/list.js", include_bytes!("page/list.js")),
    ("/page/main.js", include_bytes!("page/main.js")),
    ("/page/page.css", include_bytes!("page/page.css")),
    ("/page/parts.css", include_bytes!("page/parts.css")),
    ("/page/patience.js", include_bytes!("page/patience.js")),
    ("/page/stream.js", include_bytes!("page/stream.js")),
    ("/page/theme.js", include_bytes!("page/theme.js")),
    ("/page/upload.js", include_bytes!("page/upload.js")),
    ("/page/words.js", include_bytes!("page/words.js")),
];

/// The page's routes. They are for people and no operations of the api, so they stand beside its table. `store` is the
/// origin of the addresses that are signed for clients: the one other host that the page may speak to.
pub(crate) fn router<S: Clone + Send + Sync + 'static>(store: &str) -> Router<S> {
    let policy = policy(store);
    FILES.iter().fold(Router::new(), |router, &(path, bytes)| {
        let headers = headers(path, bytes, &policy);
        router.route(path, get(async move |asked: HeaderMap| answer(&asked, headers, bytes)))
    })
}

fn policy(store: &str) -> HeaderValue {
    let policy = format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self' {store}; \
         media-src 'self' {store}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    HeaderValue::try_from(policy).expect("an origin is plain text")
}

fn headers(path: &str, bytes: &[u8], policy: &HeaderValue) -> HeaderMap {
    let media = match path.rsplit_once('.').map(|(_, extension)| extension) {
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "text/html; charset=utf-8",
    };
    let tag = format!("\"{}\"", events::hex(&Sha256::digest(bytes)[..8]));
    HeaderMap::from_iter([
        (header::CONTENT_TYPE, HeaderValue::from_static(media)),
        (header::ETAG, HeaderValue::try_from(tag).expect("hex digits are plain text")),
        // A newer kiln's page comes with the next look.
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        (header::CONTENT_SECURITY_POLICY, policy.clone()),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    ])
}

fn answer(asked: &HeaderMap, headers: HeaderMap, bytes: &'static [u8]) -> Response {
    let is_known = asked.get_all(header::IF_NONE_MATCH).iter().any(|known| known == headers[header::ETAG]);
    if is_known { (StatusCode::NOT_MODIFIED, headers).into_response() } else { (headers, bytes).into_response() }
}
