//! The embedded S3 server, through the client and the addresses that production uses.

mod parts;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::IntoResponse;
use bytes::Bytes;
use futures_util::{future, stream};
use kiln::client::http_client;
use reqwest::{Method, StatusCode, header};

use crate::stage::Store;

const KEY: &str = "renders/0193a5c0-7c1e-7b3a-9d52-1f0c8a7be001/output.mp4";
const HOUR: Duration = Duration::from_hours(1);

#[tokio::test]
async fn signed_addresses_work_until_they_are_touched() {
    let store = Store::new().await;
    let http = http_client(HOUR);
    let put = store.bucket.sign_put(KEY, HOUR);
    let sent = http.put(put.expose()).body("a video").send().await.expect("an answer");
    assert_eq!(sent.status(), StatusCode::OK);
    let get = store.bucket.sign_get(KEY, HOUR);
    let got = http.get(get.expose()).header(header::RANGE, "bytes=2-").send().await.expect("an answer");
    assert_eq!(got.status(), StatusCode::PARTIAL_CONTENT);
    assert_eq!(got.headers()[header::CONTENT_RANGE], "bytes 2-6/7");
    assert_eq!(got.bytes().await.expect("bytes"), "video");
    let rows = [
        ("another key", get.expose().replacen("output.mp4", "audio.wav", 1), StatusCode::FORBIDDEN),
        ("no signature", get.expose().split('?').next().expect("a path").to_owned(), StatusCode::FORBIDDEN),
        ("a longer life", get.expose().replacen("X-Amz-Expires=3600", "X-Amz-Expires=7200", 1), StatusCode::FORBIDDEN),
    ];
    for (what, url, expected) in rows {
        let status = http.get(url).send().await.expect("an answer").status();
        assert_eq!(status, expected, "{what}");
    }
}

#[tokio::test]
async fn large_uploads_copies_and_removals_are_what_the_bucket_expects() {
    let store = Store::new().await;
    let bucket = &store.bucket;
    assert_eq!(bucket.head(KEY).await.expect("an answer"), None);
    let chunks = (0..20).map(|_| Ok::<_, std::io::Error>(Bytes::from(vec![7; 1 << 20])));
    bucket.put_stream(KEY, "video/mp4", stream::iter(chunks)).await.expect("an upload in parts");
    let head = bucket.head(KEY).await.expect("an answer").expect("an object");
    assert_eq!(head.size_bytes, 20 << 20);
    bucket.copy(KEY, "renders/copy/audio.wav").await.expect("a copy");
    let (object, first) = bucket.peek("renders/copy/audio.wav", 3).await.expect("an answer").expect("an object");
    assert_eq!((object.size_bytes, first.as_ref()), (20 << 20, &[7; 3][..]));
    bucket.delete(KEY).await.expect("a removal");
    assert_eq!(bucket.head(KEY).await.expect("an answer"), None);
}

#[tokio::test]
async fn a_plain_yes_takes_one_request_and_anything_else_is_asked_again() {
    let (asked, broken) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (count, fail) = (Arc::clone(&asked), Arc::clone(&broken));
    let counting = move |request: Request, next: Next| {
        count.fetch_add(1, Ordering::SeqCst);
        let fails = fail.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
        async move { if fails { StatusCode::SERVICE_UNAVAILABLE.into_response() } else { next.run(request).await } }
    };
    let store = Store::behind(|router| router.layer(from_fn(counting))).await;
    let bucket = &store.bucket;
    bucket.put(KEY, "video/mp4", Bytes::from_static(b"a video")).await.expect("stored");
    // Whether it is plainly answered, or the plain question fails and the SDK asks.
    for (failures, requests) in [(0, 1), (1, 2)] {
        let spent = async || {
            let spent = asked.swap(0, Ordering::SeqCst);
            broken.store(failures, Ordering::SeqCst);
            spent
        };
        spent().await;
        assert_eq!(bucket.head(KEY).await.expect("an answer").expect("an object").size_bytes, 7);
        assert_eq!(spent().await, requests, "head");
        let (object, first) = bucket.peek(KEY, 3).await.expect("an answer").expect("an object");
        assert_eq!((object.size_bytes, first.as_ref(), spent().await), (7, &b"a v"[..], requests), "peek");
        bucket.copy(KEY, "renders/copy/audio.wav").await.expect("copied");
        assert_eq!(spent().await, requests, "copy");
        broken.store(0, Ordering::SeqCst);
    }
    assert_eq!(bucket.head("renders/none").await.expect("an answer"), None);
    assert_eq!(bucket.peek("renders/none", 3).await.expect("an answer"), None);
    assert!(bucket.copy("renders/none", "renders/copy/audio.wav").await.is_err(), "there is nothing to copy");
    let (object, _) = bucket.peek("renders/copy/audio.wav", 3).await.expect("an answer").expect("the old copy");
    assert_eq!(object.size_bytes, 7);
}

#[tokio::test]
async fn of_many_conditional_writers_one_wins() {
    let store = Store::new().await;
    let http = http_client(HOUR);
    let url = store.bucket.sign_put(KEY, HOUR);
    let writers = (0..16)
        .map(|writer| http.put(url.expose()).header(header::IF_NONE_MATCH, "*").body(format!("{writer}")).send());
    let answers = future::join_all(writers).await;
    let statuses: Vec<_> = answers.into_iter().map(|answer| answer.expect("an answer").status()).collect();
    let won = statuses.iter().filter(|status| status.is_success()).count();
    let refused = statuses.iter().filter(|status| **status == StatusCode::PRECONDITION_FAILED).count();
    assert_eq!((won, refused), (1, 15), "{statuses:?}");
}

#[tokio::test]
async fn a_page_of_another_origin_may_upload() {
    let store = Store::new().await;
    let http = http_client(HOUR);
    let url = store.bucket.sign_put(KEY, HOUR);
    let asked = http
        .request(Method::OPTIONS, url.expose())
        .header(header::ORIGIN, "https://example.com")
        .header(header::ACCESS_CONTROL_REQUEST_METHOD, "PUT")
        .header(header::ACCESS_CONTROL_REQUEST_HEADERS, "content-type");
    let asked = asked.send().await.expect("an answer");
    assert_eq!(asked.status(), StatusCode::NO_CONTENT);
    assert_eq!(asked.headers()[header::ACCESS_CONTROL_ALLOW_HEADERS], "content-type");
    assert!(asked.headers()[header::ACCESS_CONTROL_ALLOW_METHODS].to_str().expect("text").contains("PUT"));
    let put = http.put(url.expose()).header(header::ORIGIN, "https://example.com").body("x").send().await;
    assert_eq!(put.expect("an answer").headers()[header::ACCESS_CONTROL_ALLOW_ORIGIN], "*");
}
