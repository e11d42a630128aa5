//! Uploads through the api: their speed beside the same PUT straight to the store, and their memory. The store has a
//! process of its own; the clients are in this one, and their memory counts.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use bytes::Bytes;
use events::{AudioKey, JobId};
use futures_util::future::join_all;
use futures_util::{Stream, StreamExt, stream};
use kiln::bucket::Bucket;
use kiln::client::http_client;
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE};
use reqwest::{Body, Client, StatusCode};
use tokio::task::JoinSet;

use crate::stack;

const HOUR: Duration = Duration::from_hours(1);
const CHUNK: usize = 256 * 1024;
const HEAD: &[u8] = b"--kiln\r\ncontent-disposition: form-data; name=\"audio\"; filename=\"long.wav\"\r\n\r\n";
const TAIL: &[u8] = b"\r\n--kiln--\r\n";

struct Ways {
    http: Client,
    bucket: Bucket,
    url: String,
    noise: Bytes,
}

pub(crate) async fn run(size: u64, rounds: u32, parallel: u32, each: u64) {
    let (log, objects) = (stack::folder(), stack::folder());
    let (server, _bus) = stack::nats(log.path(), true).await;
    let (_store, bucket) = stack::store_beside(objects.path()).await;
    let mut tasks = JoinSet::new();
    let api = stack::api(&mut tasks, &server, bucket.clone()).await;
    let url = format!("http://{}/api/render", stack::serve(&mut tasks, api, axum::Router::new()).await);
    let ways = Ways { http: http_client(HOUR), bucket, url, noise: noise() };

    let (mut through, mut straight, mut in_parts) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..rounds {
        let before = stack::resident_mib();
        stack::forget_peak();
        through.push(ways.submit(size).await);
        if round == 0 {
            println!(
                "memory of the first upload of {} MiB: {:.0} MiB more than before",
                size >> 20,
                stack::peak_mib() - before
            );
        }
        straight.push(ways.put(size).await);
        in_parts.push(ways.put_in_parts(size).await);
    }
    let straight = median(straight);
    println!("straight to the store, one PUT: {:.0} MiB/s", mib_per_second(size, straight));
    for (way, seconds) in [("straight to the store, in parts", in_parts), ("through the api", through)] {
        let seconds = median(seconds);
        println!("{way}: {:.0} MiB/s, {:.2} of one PUT", mib_per_second(size, seconds), straight / seconds);
    }

    stack::forget_peak();
    let began = Instant::now();
    join_all((0..parallel).map(|_| ways.submit(each))).await;
    let rate = mib_per_second(each * u64::from(parallel), began.elapsed().as_secs_f64());
    println!(
        "{parallel} at once of {} MiB: {:.0} MiB resident at most, {rate:.0} MiB/s",
        each >> 20,
        stack::peak_mib()
    );
    tasks.abort_all();
}

impl Ways {
    /// Seconds from the first byte to the 202.
    async fn submit(&self, size: u64) -> f64 {
        let (head, tail) = (Bytes::from_static(HEAD), Bytes::from_static(TAIL));
        let length = size + (head.len() + tail.len()) as u64;
        let body = stream::iter([head]).chain(self.audio(size)).chain(stream::iter([tail]));
        let request = self.http.post(&self.url).header(CONTENT_TYPE, "multipart/form-data; boundary=kiln");
        let request = request.header(CONTENT_LENGTH, length).body(Body::wrap_stream(body.map(Ok::<_, Infallible>)));
        let began = Instant::now();
        let answer = request.send().await.expect("it is answered");
        assert_eq!(answer.status(), StatusCode::ACCEPTED);
        let took = began.elapsed().as_secs_f64();
        let accepted: serde_json::Value = answer.json().await.expect("JSON");
        let id = accepted["jobId"].as_str().and_then(|id| JobId::parse(id).ok()).expect("a job");
        let key = AudioKey::of_job(id, "wav").expect("a key").to_string();
        let stored = self.bucket.head(&key).await.expect("an answer").expect("it is stored");
        assert_eq!(stored.size_bytes, size);
        self.bucket.delete(&key).await.expect("removed");
        took
    }

    /// Seconds from the first byte to the 200.
    async fn put(&self, size: u64) -> f64 {
        let request = self.http.put(self.bucket.sign_put("straight.wav", HOUR).expose()).header(CONTENT_LENGTH, size);
        let request = request.body(Body::wrap_stream(self.audio(size).map(Ok::<_, Infallible>)));
        let began = Instant::now();
        let answer = request.send().await.expect("it is answered");
        assert_eq!(answer.status(), StatusCode::OK);
        let took = began.elapsed().as_secs_f64();
        self.bucket.delete("straight.wav").await.expect("removed");
        took
    }

    /// The same as the api sends it. A store on disk may have to put the parts together.
    async fn put_in_parts(&self, size: u64) -> f64 {
        let began = Instant::now();
        let put = self.bucket.put_stream("parts.wav", "audio/wav", Box::pin(self.audio(size).map(Ok::<_, Infallible>)));
        put.await.expect("stored");
        let took = began.elapsed().as_secs_f64();
        self.bucket.delete("parts.wav").await.expect("removed");
        took
    }

    fn audio(&self, size: u64) -> impl Stream<Item = Bytes> + use<> {
        let noise = self.noise.clone();
        stream::unfold(size, move |left| {
            let next = usize::try_from(left).unwrap_or(usize::MAX).min(CHUNK);
            let chunk = (next > 0).then(|| (noise.slice(..next), left - next as u64));
            std::future::ready(chunk)
        })
        .fuse()
    }
}

/// A chunk that begins like a wav, and repeats nothing within itself.
fn noise() -> Bytes {
    let mut noise = b"RIFF\xff\xff\xff\xffWAVEfmt ".to_vec();
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    while noise.len() < CHUNK {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        noise.extend_from_slice(&state.to_le_bytes());
    }
    noise.into()
}

fn median(mut seconds: Vec<f64>) -> f64 {
    seconds.sort_by(f64::total_cmp);
    seconds[seconds.len() / 2]
}

fn mib_per_second(bytes: u64, seconds: f64) -> f64 {
    bytes as f64 / f64::from(1 << 20) / seconds
}
