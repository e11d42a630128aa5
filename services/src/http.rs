//! Serving HTTP/1 with a clock on everything: `axum::serve` never closes idle or trickling sockets.

pub mod code;
pub mod gate;
mod pace;
mod patient;
pub mod problem;
pub mod route;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::http::header;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::cors::CorsLayer;

use crate::clock;
use crate::keys::Scope;
use crate::metrics::{self, Metrics};
use code::Code;
use gate::Gate;
use pace::Paced;
use patient::Patient;
use problem::Problem;
use route::{Answer, Class, Operation};

/// A request's head must be here by then, and an idle connection is closed after it.
const HEAD_TIMEOUT: Duration = Duration::from_secs(15);
/// A client that takes nothing of an answer for so long is cut.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// Requests in progress may go on so long after the stop.
const GRACE: Duration = Duration::from_secs(25);
/// Connections that are open at once.
const MAX_CONNECTIONS: usize = 4096;
/// Files that are open at once, at most: a connection, and what an upload needs beside it.
const ENOUGH_FILES: u64 = 4 * MAX_CONNECTIONS as u64;
/// Largest head: request line and headers.
const MAX_HEAD: usize = 64 * 1024;

/// What `/readyz` asks: `Ok`, or a sentence that says what is missing.
pub trait Ready: Clone + Send + Sync + 'static {
    /// Whether the role can do its work now.
    fn ready(&self) -> impl Future<Output = Result<(), String>> + Send;
}

/// What [`health`] serves.
pub fn health_operations() -> [Operation; 3] {
    let livez = Operation {
        path: "/livez",
        name: "livez",
        summary: "Whether the process lives",
        answers: vec![Answer::text("It lives.", "text/plain")],
        ..Operation::default()
    };
    let readyz = Operation {
        path: "/readyz",
        name: "readyz",
        summary: "Whether the role can do its work now",
        answers: vec![Answer::text("It can.", "text/plain")],
        problems: &[Code::NotReady],
        ..Operation::default()
    };
    let metrics = Operation {
        path: "/metrics",
        name: "metrics",
        summary: "What this process has counted",
        class: Class::Poll,
        scope: Some(Scope::Admin),
        answers: vec![Answer::text("OpenMetrics, as Prometheus reads it.", "application/openmetrics-text")],
        ..Operation::default()
    };
    [livez, readyz, metrics]
}

/// `/livez`, `/readyz` and `/metrics`, the same for every role. Where there are keys, the last one asks for one.
pub fn health<R: Ready>(role: R, gate: &Gate, metrics: Metrics) -> Router {
    let readyz = move || {
        let role = role.clone();
        async move {
            match role.ready().await {
                Ok(()) => "ready\n".into_response(),
                Err(reason) => Problem::new(Code::NotReady, reason).into_response(),
            }
        }
    };
    let count = move || async move { ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], metrics.text()) };
    let [live, ready, counted] = health_operations();
    let open = vec![live.by(get(|| async { "alive\n" })), ready.by(get(readyz))];
    // No flood of requests makes a process look dead.
    route::router(open, &Gate::open()).merge(route::router(vec![counted.by(get(count))], gate))
}

/// What every role's routes have in common: a name for each request, problems in one form, a clock on bodies, and a panic
/// that is one request's alone. `cors` is what browsers are told about other origins.
pub fn finish(router: Router, cors: Option<CorsLayer>, metrics: &Metrics) -> Router {
    let router = router
        .fallback(|| async { Problem::not_found("there is nothing at this address") })
        .method_not_allowed_fallback(|| async {
            Problem::new(Code::MethodNotAllowed, "this address does not take this method")
        })
        .layer(middleware::from_fn(pace_body))
        .layer(CatchPanicLayer::custom(|_| Problem::internal().into_response()));
    let router = match cors {
        Some(cors) => router.layer(cors),
        None => router,
    };
    router.layer(middleware::from_fn_with_state(metrics.clone(), name_request))
}

/// Lets this process open enough files, as far as it may: each connection is one, and many systems give 1024 unasked.
pub fn allow_many_connections() {
    let limit = getrlimit(Resource::Nofile);
    let enough = limit.maximum.unwrap_or(ENOUGH_FILES).min(ENOUGH_FILES);
    if limit.current.is_some_and(|current| current < enough) {
        // Without it, connections beyond the limit wait to be accepted.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(enough), ..limit });
    }
}

/// Serves until `stop`, then lets requests in progress finish.
pub async fn serve(listener: TcpListener, router: Router, stop: CancellationToken) {
    let service = TowerToHyperService::new(router);
    let graceful = GracefulShutdown::new();
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).max_buf_size(MAX_HEAD);
    loop {
        let (socket, place) = tokio::select! {
            () = stop.cancelled() => break,
            accepted = accept(&listener, &places) => accepted,
        };
        let connection =
            graceful.watch(http.serve_connection(TokioIo::new(Patient::new(socket, WRITE_TIMEOUT)), service.clone()));
        tokio::spawn(async move {
            // A connection that breaks off is the client's business.
            let _ = connection.await;
            drop(place);
        });
    }
    drop(listener);
    if tokio::time::timeout(GRACE, graceful.shutdown()).await.is_err() {
        tracing::warn!("some requests were still in progress after {} s and are cut", GRACE.as_secs());
    }
}

async fn accept(listener: &TcpListener, places: &Arc<Semaphore>) -> (TcpStream, tokio::sync::OwnedSemaphorePermit) {
    let place = Arc::clone(places).acquire_owned().await.expect("the semaphore is never closed");
    loop {
        match listener.accept().await {
            Ok((socket, _)) => {
                let _ = socket.set_nodelay(true);
                return (socket, place);
            }
            // Out of file descriptors, or a connection that was gone before it was taken: both pass.
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

/// A body that comes too slowly is a 408, whatever its reader made of it.
async fn pace_body(request: Request, next: Next) -> Response {
    let is_late = Arc::new(AtomicBool::new(false));
    let pace = |body| Body::new(Paced::new(body, Arc::clone(&is_late)));
    let response = next.run(request.map(pace)).await;
    if is_late.load(Ordering::Relaxed) && !response.status().is_success() {
        return Problem::new(Code::Timeout, "the body came too slowly").into_response();
    }
    response
}

/// Gives every request a name, which problems repeat and the log can be searched for, and counts its answer.
async fn name_request(State(metrics): State<Metrics>, request: Request, next: Next) -> Response {
    let (id, start) = (clock::new_id().to_string(), Instant::now());
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let response = problem::write_out(next.run(request).await, &id);
    let route = route.as_ref().map_or("other", MatchedPath::as_str);
    metrics.answered(&method, route, response.status().as_u16(), start.elapsed());
    response
}
