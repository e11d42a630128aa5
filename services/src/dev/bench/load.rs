//! Clients: they submit by key, and wait until the bucket says that the job has ended.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use events::wire::client::{Accepted, Upload, UploadRequest};
use events::{JobId, Status};
use nats::{Bus, Watch};
use serde::de::DeserializeOwned;
use serde_json::json;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::client;
use crate::dev::music;

/// No job takes longer, however slow the machine is.
const LIMIT: Duration = Duration::from_mins(2);

/// Everything that a client needs; clones share it.
#[derive(Clone)]
pub(super) struct Load {
    http: reqwest::Client,
    url: String,
    /// A request for the one audio of all jobs.
    request: serde_json::Value,
    watch: Watch,
    _watching: Arc<JoinSet<()>>,
}

impl Load {
    pub(super) async fn start(api: &str, bus: &Bus) -> anyhow::Result<Self> {
        let http = client::http_client(LIMIT);
        let key = upload(&http, api).await?;
        let (watch, mut watching) = (Watch::default(), JoinSet::new());
        let (bus, seen) = (bus.clone(), watch.clone());
        watching.spawn(async move { Box::pin(seen.run(&bus, CancellationToken::new())).await });
        watch.caught_up().await;
        let request = json!({"audio": {"type": "key", "key": key}});
        Ok(Self { http, url: format!("{api}/api/render"), request, watch, _watching: Arc::new(watching) })
    }

    pub(super) async fn submit(&self) -> anyhow::Result<JobId> {
        let accepted: Accepted = read(self.http.post(&self.url).json(&self.request)).await?;
        Ok(accepted.job_id)
    }

    /// Returns once the bucket says that the job is complete.
    pub(super) async fn ended(&self, job: JobId) -> anyhow::Result<()> {
        let status = self.wait(job, Status::is_final).await?;
        ensure!(status == Status::Complete, "job {job} ended as `{status}`");
        Ok(())
    }

    /// So many whole lives, by so many clients.
    pub(super) async fn live(&self, jobs: u64, at_once: u32) -> anyhow::Result<Duration> {
        let load = self.clone();
        spread(jobs, at_once, move |_| {
            let load = load.clone();
            async move { load.ended(load.submit().await?).await }
        })
        .await
    }

    /// Submits jobs that nobody takes yet.
    pub(super) async fn queue(&self, jobs: u64, at_once: u32) -> anyhow::Result<Vec<JobId>> {
        let (sender, mut queued) = tokio::sync::mpsc::unbounded_channel();
        let load = self.clone();
        spread(jobs, at_once, move |_| {
            let (load, sender) = (load.clone(), sender.clone());
            async move { Ok(sender.send(load.submit().await?)?) }
        })
        .await?;
        let mut all = Vec::new();
        while let Some(job) = queued.recv().await {
            let status = self.wait(job, |_| true).await?;
            ensure!(status == Status::Pending, "job {job} did not wait in the queue");
            all.push(job);
        }
        Ok(all)
    }

    async fn wait(&self, job: JobId, is_enough: impl Fn(Status) -> bool) -> anyhow::Result<Status> {
        let mut news = self.watch.subscribe(job);
        let waiting = async {
            loop {
                match self.watch.row(job).filter(|row| is_enough(row.status)) {
                    Some(row) => return Ok(row.status),
                    None => news.changed().await.context("the bucket is not watched any more")?,
                }
            }
        };
        tokio::time::timeout(LIMIT, waiting).await.with_context(|| format!("job {job} did not end"))?
    }
}

/// One audio for all jobs.
async fn upload(http: &reqwest::Client, api: &str) -> anyhow::Result<String> {
    let audio = music::wav(0.1);
    let wanted = UploadRequest { filename: "bench.wav".into(), size_bytes: audio.len() as u64 };
    let upload: Upload = read(http.post(format!("{api}/api/uploads")).json(&wanted)).await?;
    let mut put = http.put(upload.url.expose());
    for (name, value) in &upload.headers {
        put = put.header(name, value);
    }
    let status = put.body(audio).send().await.map_err(reqwest::Error::without_url)?.status();
    ensure!(status.is_success(), "the store did not take the audio (HTTP status {status})");
    Ok(upload.key)
}

async fn read<T: DeserializeOwned>(request: reqwest::RequestBuilder) -> anyhow::Result<T> {
    let answer = request.send().await.context("the api does not answer")?;
    let (status, body) = (answer.status(), answer.bytes().await?);
    ensure!(status.is_success(), "the api refused (HTTP status {status}): {}", String::from_utf8_lossy(&body));
    Ok(serde_json::from_slice(&body)?)
}

/// Does something so many times, by so many at once. How long it took, or the first error.
pub(super) async fn spread<F: Future<Output = anyhow::Result<()>> + Send + 'static>(
    times: u64,
    at_once: u32,
    act: impl Fn(u64) -> F + Clone + Send + 'static,
) -> anyhow::Result<Duration> {
    let (next, began) = (Arc::new(AtomicU64::new(0)), Instant::now());
    let mut tasks = JoinSet::new();
    for _ in 0..at_once {
        let (next, act) = (Arc::clone(&next), act.clone());
        tasks.spawn(async move {
            loop {
                let n = next.fetch_add(1, Ordering::Relaxed);
                if n >= times {
                    return anyhow::Ok(());
                }
                act(n).await?;
            }
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended.context("a client panicked")??;
    }
    Ok(began.elapsed())
}
