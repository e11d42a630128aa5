//! An S3 server over a folder, for `dev`, `demo` and tests. Signatures are really checked; bodies stream.
//!
//! Objects lie as plain files under `{folder}/{bucket}/{key}`; what else S3 keeps of an object (type, checksums) lies
//! beside the bucket in files whose names begin with a dot.

mod store;
mod uploads;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use events::Secret;
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use tokio::sync::Mutex;

use store::Store;

/// Which folder is served to whom.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where everything lies; made if it is not there.
    pub folder: PathBuf,
    /// The one bucket, made if it is not there.
    pub bucket: String,
    /// The name of the key that requests are signed with.
    pub access_key: String,
    /// The key itself.
    pub secret_key: Secret,
}

/// The server's state: the service, and the lock under which conditional writes run, since a folder has no
/// compare-and-swap.
struct Server {
    service: S3Service,
    conditional: Mutex<()>,
}

/// The whole server, to be put on a listener.
///
/// # Errors
/// The folder or the bucket cannot be made.
pub fn router(settings: &Settings) -> io::Result<Router> {
    std::fs::create_dir_all(settings.folder.join(&settings.bucket))?;
    let mut builder = S3ServiceBuilder::new(Store::new(&settings.folder)?);
    builder.set_auth(SimpleAuth::from_single(&*settings.access_key, settings.secret_key.expose()));
    let server = Server { service: builder.build(), conditional: Mutex::new(()) };
    Ok(Router::new().fallback(answer).with_state(Arc::new(server)))
}

async fn answer(State(server): State<Arc<Server>>, request: Request) -> Response {
    let mut response =
        if request.method() == Method::OPTIONS { preflight(request.headers()) } else { server.answer(request).await };
    allow_origins(response.headers_mut());
    response
}

impl Server {
    async fn answer(&self, request: Request) -> Response {
        let is_conditional = request.method() == Method::PUT || request.method() == Method::POST;
        let is_conditional = is_conditional
            && [header::IF_MATCH, header::IF_NONE_MATCH].iter().any(|name| request.headers().contains_key(name));
        let _alone = if is_conditional { Some(self.conditional.lock().await) } else { None };
        match self.service.call(request.map(s3s::Body::http_body_unsync)).await {
            Ok(response) => response.map(Body::new),
            Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        }
    }
}

/// What a browser asks before it sends a signed PUT: everything is allowed, since the signature decides.
fn preflight(asked: &HeaderMap) -> Response {
    let mut response = StatusCode::NO_CONTENT.into_response();
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, HEAD, PUT, POST, DELETE"));
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("3600"));
    if let Some(names) = asked.get(header::ACCESS_CONTROL_REQUEST_HEADERS) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, names.clone());
    }
    response
}

fn allow_origins(headers: &mut HeaderMap) {
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    let exposed = "accept-ranges, content-length, content-range, etag, last-modified";
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(exposed));
}
