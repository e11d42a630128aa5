//! Audio by its address, through a whole world: the worker fetches it, and the container never sees where it came from.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use events::wire::client::{AudioSource, RenderRequest};
use events::{Code, JobId, Status};
use futures_util::{StreamExt, stream};
use kiln::config::AudioUrls;
use kiln::dev::world::Options;
use serde_json::Value;
use tokio::sync::mpsc;

use crate::support::{Server, serve, wait_for};
use crate::world::TestWorld;

/// A second of music.
static SONG: LazyLock<Vec<u8>> = LazyLock::new(|| kiln::dev::music::wav(1.0));

/// A world that may fetch from this server, which is not public.
async fn world_beside(server: &Server) -> TestWorld {
    let address: SocketAddr = server.url.trim_start_matches("http://").parse().expect("an address");
    let audio_urls = AudioUrls { allow_audio_url: true, insecure_audio_host: vec![address] };
    TestWorld::start_with(|options| Options { audio_urls, ..options }).await
}

async fn submit(world: &TestWorld, url: String) -> JobId {
    let audio = Some(AudioSource { url: Some(url), ..AudioSource::default() });
    let request = world.http.post(world.url("/api/render")).json(&RenderRequest { audio, ..RenderRequest::default() });
    let accepted: Value = request.send().await.expect("an answer").json().await.expect("JSON");
    accepted["jobId"].as_str().and_then(|id| id.parse().ok()).unwrap_or_else(|| panic!("{accepted}"))
}

fn stored(world: &TestWorld, job: JobId) -> Option<Vec<u8>> {
    std::fs::read(world.folder.path().join(format!("data/s3/kiln/renders/{job}/audio.wav"))).ok()
}

#[tokio::test]
async fn a_song_at_an_address_becomes_a_video_though_the_address_falters_once() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let song = move || async move {
        match count.fetch_add(1, Ordering::SeqCst) {
            0 => StatusCode::BAD_GATEWAY.into_response(),
            _ => SONG.as_slice().into_response(),
        }
    };
    let server = serve(Router::new().route("/song", get(song))).await;
    let world = world_beside(&server).await;
    let job = submit(&world, format!("{}/song", server.url)).await;
    let done = world.wait_for_end(job).await;
    assert_eq!((done.status, done.attempt.get()), (Status::Complete, 1), "{:?}", done.error);
    assert_eq!(asked.load(Ordering::SeqCst), 2, "once in vain, and then once");
    assert!(stored(&world, job).is_some_and(|stored| stored == *SONG), "it lies in the bucket like any other");
    assert_eq!(world.kinds(job).await, ["requested", "started", "completed"]);
    world.stop().await;
}

#[tokio::test]
async fn what_an_address_has_that_is_no_audio_ends_the_job_with_a_reason_that_tells_nothing_of_our_network() {
    let page = async || "<html>";
    let server = serve(Router::new().route("/song", get(page))).await;
    let world = world_beside(&server).await;
    let job = submit(&world, format!("{}/song", server.url)).await;
    let failure = world.wait_for_end(job).await.error.expect("a reason");
    assert_eq!((failure.code, failure.retryable), (Code::AudioUrlRefused, false));
    assert!(!failure.message.contains("127.0.0.1") && !failure.message.contains("html"), "{failure:?}");
    assert_eq!((world.rendered().await, stored(&world, job)), ((0, 0), None));
    world.stop().await;
}

/// Dropped when whoever fetches has gone.
struct Fetching(mpsc::UnboundedSender<()>);

impl Drop for Fetching {
    fn drop(&mut self) {
        let _ = self.0.send(());
    }
}

/// The beginning of a song, and then only its hum.
fn endless(fetching: Fetching) -> Response {
    let hum = stream::unfold(fetching, async |fetching| {
        tokio::time::sleep(Duration::from_millis(20)).await;
        Some((Ok::<_, std::io::Error>(Bytes::from_static(&[0; 4096])), fetching))
    });
    let begin = stream::once(async { Ok(Bytes::from_static(&SONG)) });
    Body::from_stream(begin.chain(hum)).into_response()
}

#[tokio::test]
async fn a_job_that_is_cancelled_while_its_song_is_fetched_stops_the_fetch_and_leaves_nothing() {
    let (gone, mut is_gone) = mpsc::unbounded_channel();
    let began = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&began);
    let song = move || async move {
        count.fetch_add(1, Ordering::SeqCst);
        endless(Fetching(gone.clone()))
    };
    let server = serve(Router::new().route("/song", get(song))).await;
    let world = world_beside(&server).await;
    let job = submit(&world, format!("{}/song", server.url)).await;
    wait_for("the fetch", async || (began.load(Ordering::SeqCst) == 1).then_some(())).await;
    let cancel = world.http.delete(world.url(&format!("/api/render/{job}"))).send().await.expect("an answer");
    assert_eq!(cancel.status(), 200);
    tokio::time::timeout(Duration::from_mins(1), is_gone.recv()).await.expect("the fetch ends").expect("it began");
    assert_eq!(world.wait_for_end(job).await.status, Status::Cancelled);
    assert_eq!((world.rendered().await, stored(&world, job)), ((0, 0), None));
    assert_eq!(began.load(Ordering::SeqCst), 1, "nobody begins anew");
    assert_eq!(world.kinds(job).await, ["requested", "cancelled"]);
    world.stop().await;
}
