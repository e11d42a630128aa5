//! Submits by key, in an open loop.

use std::path::PathBuf;
use std::time::Duration;

use kiln::client::http_client;
use kiln::clock;
use reqwest::{Client, StatusCode};
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::stack::{self, Took};

/// What is done once, connections above all, is not timed.
const WARMING: u32 = 100;

pub(crate) async fn run(rate: u32, seconds: u32, store: Option<PathBuf>) {
    let log = stack::folder();
    let below = |folder| tempfile::tempdir_in(folder).expect("a folder");
    let objects = store.map_or_else(stack::folder_elsewhere, below);
    let (server, bus) = stack::nats(log.path(), true).await;
    let (_store, bucket) = stack::store_beside(objects.path()).await;
    let mut tasks = JoinSet::new();
    let key = format!("uploads/{}/audio.wav", clock::new_id());
    let audio = [b"RIFF\0\0\0\0WAVEfmt ".to_vec(), vec![7; 48_000]].concat();
    bucket.put(&key, "audio/wav", audio.into()).await.expect("stored");
    let api = stack::api(&mut tasks, &server, bucket).await;
    let url = format!("http://{}/api/render", stack::serve(&mut tasks, api, axum::Router::new()).await);
    tasks.spawn(async move { nats::project(&bus, CancellationToken::new()).await });

    let http = http_client(Duration::from_secs(30));
    for _ in 0..WARMING {
        submit(&http, &url, &key).await;
    }
    let took = at_rate(rate, rate * seconds, || {
        let (http, url, key) = (http.clone(), url.clone(), key.clone());
        async move { submit(&http, &url, &key).await }
    });
    took.await.print(&format!("submit by key, {rate}/s"));
    tasks.abort_all();
}

/// Each is timed from the moment when it was due.
async fn at_rate<F: Future<Output = ()> + Send + 'static>(rate: u32, count: u32, begin: impl Fn() -> F) -> Took {
    let mut ticks = interval(Duration::from_secs(1) / rate);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut running = JoinSet::new();
    for _ in 0..count {
        let due = ticks.tick().await.into_std();
        let submit = begin();
        running.spawn(async move {
            submit.await;
            due.elapsed()
        });
    }
    let mut took = Took::default();
    running.join_all().await.into_iter().for_each(|duration| took.add(duration));
    took
}

async fn submit(http: &Client, url: &str, key: &str) {
    let request = http.post(url).json(&json!({"audio": {"key": key}}));
    let answer = request.send().await.expect("it is answered");
    assert_eq!(answer.status(), StatusCode::ACCEPTED);
    answer.bytes().await.expect("all of it");
}
