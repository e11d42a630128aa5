//! Audio by URL: what is asked, what is not, and what comes of it.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use events::JobId;
use futures_util::{StreamExt, stream};
use kiln::fetch::{Refusal, Rules, is_public};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::stage::{Store, wav};
use crate::support::{Server, serve};

#[test]
fn hostile_addresses_are_refused_by_their_text() {
    let urls = [
        "",
        "song.wav",
        "//example.com/",
        "javascript:alert(1)",
        "data:audio/wav;base64,UklGRg==",
        "file:///etc/passwd",
        "ftp://example.com/a.wav",
        "gopher://example.com/",
        "unix:/run/docker.sock",
        "http://",
        "http://?",
        "https://user@example.com/",
        "https://user:word@example.com/",
        "http://example.com:22/",
        "http://example.com:8080/",
        "http://example.com:6379/",
        "https://example.com:0/",
        "http://localhost:4222/",
        "http://0.0.0.0/",
        "http://0/",
        "http://127.0.0.1/",
        "http://127.1/",
        "http://2130706433/",
        "http://0x7f000001/",
        "http://0177.0.0.1/",
        "http://0x7f.1/",
        "http://127.0.0.1./",
        "http://①②⑦.⓪.⓪.①/",
        "http://10.0.0.1/",
        "http://100.64.0.1/",
        "http://169.254.169.254/latest/meta-data/",
        "http://[fe80::1]/",
        "http://172.16.0.1/",
        "http://172.31.255.255/",
        "http://192.0.0.8/",
        "http://192.0.2.1/",
        "http://192.88.99.1/",
        "http://192.168.1.1/",
        "http://198.18.0.1/",
        "http://198.51.100.1/",
        "http://203.0.113.1/",
        "http://224.0.0.1/",
        "http://240.0.0.1/",
        "http://255.255.255.255/",
        "http://[::]/",
        "http://[::1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://[::ffff:7f00:1]/",
        "http://[::127.0.0.1]/",
        "http://[64:ff9b::7f00:1]/",
        "http://[64:ff9b:1::1]/",
        "http://[100::1]/",
        "http://[2001::1]/",
        "http://[2001:db8::1]/",
        "http://[2002:7f00:1::]/",
        "http://[3fff::1]/",
        "http://[5f00::1]/",
        "http://[fc00::1]/",
        "http://[fd00:ec2::254]/",
        "http://[fec0::1]/",
        "http://[ff02::1]/",
    ];
    let rules = Rules::default();
    for url in urls {
        assert!(rules.check(url).is_err(), "{url}");
    }
    for url in
        ["https://example.com/song.wav?a=b#c", "http://example.com:80/", "http://1.1.1.1/", "http://[2606:4700::1]/"]
    {
        assert!(rules.check(url).is_ok(), "{url}");
    }
    let public = ["8.8.8.8", "172.32.0.1", "100.128.0.1", "192.0.1.1", "198.20.0.1", "2606:4700::1", "2a00:1450::1"];
    for address in public {
        assert!(is_public(address.parse().expect("an address")), "{address}");
    }
}

/// Tells one answer after the other, and counts.
#[derive(Clone, Default)]
struct Names {
    answers: Arc<Mutex<VecDeque<Vec<IpAddr>>>>,
    asked: Arc<AtomicUsize>,
}

impl Names {
    fn of(answers: impl IntoIterator<Item = Vec<IpAddr>>) -> Self {
        Self { answers: Arc::new(Mutex::new(answers.into_iter().collect())), asked: Arc::default() }
    }
}

impl Resolve for Names {
    fn resolve(&self, _: Name) -> Resolving {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let next = self.answers.lock().expect("answers").pop_front().unwrap_or_default();
        Box::pin(async move {
            let addresses: Vec<SocketAddr> = next.into_iter().map(|address| SocketAddr::new(address, 0)).collect();
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

const HOME: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const OTHER: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));

/// A server of music, rules that allow it alone, and a bucket.
struct Hall {
    server: Server,
    rules: Rules,
    store: Store,
    port: u16,
}

impl Hall {
    async fn new(router: Router) -> Self {
        let server = serve(router).await;
        let port: u16 = server.url.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port");
        let rules = Rules {
            exempt: vec![SocketAddr::new(HOME, port)],
            names: Arc::new(Names::of([])),
            idle: Duration::from_secs(1),
            total: Duration::from_secs(20),
        };
        Self { server, rules, store: Store::new().await, port }
    }

    async fn fetch(&self, path: &str) -> Result<String, Refusal> {
        self.fetch_from(&format!("{}{path}", self.server.url)).await
    }

    async fn fetch_from(&self, url: &str) -> Result<String, Refusal> {
        let job: JobId = kiln::clock::new_id();
        let fetched = self.rules.fetch(&self.store.bucket, job, url).await;
        let left = self.store.bucket.folder(&format!("renders/{job}/")).await.expect("a list");
        assert_eq!(left.len(), usize::from(fetched.is_ok()), "{url}: {left:?}");
        Ok(fetched?.extension().to_owned())
    }
}

async fn song() -> Vec<u8> {
    wav()
}

/// Chunks of this size for ever, with a pause before each.
fn endless(size: usize, pause: Duration) -> Body {
    let chunks = stream::unfold(wav(), move |chunk| async move {
        tokio::time::sleep(pause).await;
        Some((Ok::<_, std::io::Error>(Bytes::from(chunk)), vec![0; size]))
    });
    Body::from_stream(chunks)
}

fn broken() -> Response {
    let chunks = stream::iter([Ok(Bytes::from(wav())), Err(std::io::Error::other("it breaks off"))]);
    Body::from_stream(chunks).into_response()
}

fn packed() -> Response {
    ([(header::CONTENT_ENCODING, "gzip")], wav()).into_response()
}

fn huge() -> Response {
    let body = Body::from_stream(stream::iter([Ok::<_, std::io::Error>(Bytes::from(wav()))]).chain(stream::pending()));
    ([(header::CONTENT_LENGTH, "9000000000")], body).into_response()
}

type Check = fn(&Refusal) -> bool;

#[tokio::test]
async fn what_comes_is_taken_only_if_it_is_audio_and_comes_to_an_end() {
    let router = Router::new()
        .route("/song", get(song))
        .route("/once", get(async || Redirect::temporary("/song")))
        .route("/html", get(async || "<html>"))
        .route("/empty", get(async || ""))
        .route("/missing", get(async || StatusCode::NOT_FOUND))
        .route("/down", get(async || StatusCode::BAD_GATEWAY))
        .route("/part", get(async || (StatusCode::PARTIAL_CONTENT, wav())))
        .route("/packed", get(async || packed()))
        .route("/huge", get(async || huge()))
        .route("/broken", get(async || broken()))
        .route("/silent", get(async || endless(1, Duration::from_secs(1000))))
        .route("/loop", get(async || Redirect::temporary("/loop")))
        .route("/nowhere", get(async || StatusCode::FOUND))
        .route("/inside", get(async || Redirect::temporary("http://169.254.169.254/latest/meta-data/")))
        .route("/port", get(async || Redirect::temporary("http://127.0.0.1:22/")))
        .route("/file", get(async || Redirect::temporary("file:///etc/passwd")))
        .route("/trickle", get(async || endless(1, Duration::from_millis(200))));
    let mut hall = Hall::new(router).await;
    assert_eq!(hall.fetch("/song").await.expect("a song"), "wav");
    assert_eq!(hall.fetch("/once").await.expect("a song"), "wav");
    let rows: [(&str, bool, Check); 14] = [
        ("/html", false, |refusal| matches!(refusal, Refusal::Audio)),
        ("/empty", false, |refusal| matches!(refusal, Refusal::Audio)),
        ("/missing", false, |refusal| matches!(refusal, Refusal::Status(_))),
        ("/down", true, |refusal| matches!(refusal, Refusal::Status(_))),
        ("/part", false, |refusal| matches!(refusal, Refusal::Status(_))),
        ("/packed", false, |refusal| matches!(refusal, Refusal::Encoded)),
        ("/huge", false, |refusal| matches!(refusal, Refusal::Audio)),
        ("/broken", true, |refusal| matches!(refusal, Refusal::Broken)),
        ("/silent", true, |refusal| matches!(refusal, Refusal::Broken)),
        ("/loop", false, |refusal| matches!(refusal, Refusal::Redirects)),
        ("/nowhere", false, |refusal| matches!(refusal, Refusal::Redirects)),
        ("/inside", false, |refusal| matches!(refusal, Refusal::Private)),
        ("/port", false, |refusal| matches!(refusal, Refusal::Port)),
        ("/file", false, |refusal| matches!(refusal, Refusal::Text)),
    ];
    for (path, is_transient, is_right) in rows {
        let refusal = hall.fetch(path).await.expect_err(path);
        assert!(is_right(&refusal) && refusal.is_transient() == is_transient, "{path}: {refusal:?}");
    }
    hall.rules.total = Duration::from_secs(2);
    assert!(matches!(hall.fetch("/trickle").await, Err(Refusal::Slow)), "it never ends");
}

#[tokio::test]
async fn a_name_means_what_it_meant_when_it_was_looked_at() {
    let mut hall = Hall::new(Router::new().route("/song", get(song))).await;
    let url = format!("http://rebinding.example:{}/song", hall.port);
    let rows = [
        ("only what is allowed", vec![vec![HOME]], 1, true),
        ("allowed first, then another", vec![vec![HOME], vec![OTHER]], 1, true),
        ("another", vec![vec![OTHER], vec![HOME]], 1, false),
        ("one of several", vec![vec![HOME, OTHER]], 1, false),
        ("none", vec![vec![]], 1, false),
    ];
    for (what, answers, asked, is_fetched) in rows {
        let names = Names::of(answers);
        hall.rules.names = Arc::new(names.clone());
        assert_eq!(hall.fetch_from(&url).await.is_ok(), is_fetched, "{what}");
        assert_eq!(names.asked.load(Ordering::SeqCst), asked, "{what}");
    }
}

#[tokio::test]
async fn every_hop_is_looked_at_anew() {
    let mut hall = Hall::new(Router::new()).await;
    let port = hall.port;
    let hop = move || async move { Redirect::temporary(&format!("http://second.example:{port}/song")) };
    hall.server = serve(Router::new().route("/hop", get(hop)).route("/song", get(song))).await;
    let port = hall.server.url.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port");
    hall.rules.exempt.push(SocketAddr::new(HOME, port));
    let names = Names::of([vec![HOME], vec![OTHER]]);
    hall.rules.names = Arc::new(names.clone());
    let refusal =
        hall.fetch_from(&format!("http://first.example:{port}/hop")).await.expect_err("the second is private");
    assert!(matches!(refusal, Refusal::Private), "{refusal:?}");
    assert_eq!(names.asked.load(Ordering::SeqCst), 2);
}
