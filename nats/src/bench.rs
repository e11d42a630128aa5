//! What a bench needs of the server: how much was written, the same writes without kiln, and a queue that waits.
//!
//! It works on a private server only: it makes streams beside those of the topology.

use async_nats::HeaderMap;
use bytes::Bytes;
use events::{Kind, Timestamp};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::topology::{KV_JOBS, RENDER, RENDER_PROGRESS, WORKER};
use crate::{Bus, Cause, Error};

/// The subjects of the copies.
const COPIES: [(&str, &str, &str); 2] = [(RENDER, "BENCH_LOG", "bench.log"), (KV_JOBS, "BENCH_JOBS", "bench.jobs")];

/// How much a stream has taken since it was made.
#[derive(Debug, Clone, Copy, Default)]
pub struct Stream {
    /// Messages that were ever written, those that were replaced since too.
    pub written: u64,
    /// Bytes of a message that is kept, headers too, on average.
    pub message_bytes: u64,
}

/// How much was written for the jobs so far.
#[derive(Debug, Clone, Copy, Default)]
pub struct Written {
    /// Facts.
    pub log: Stream,
    /// Entries of the bucket.
    pub jobs: Stream,
    /// Reports of how far a render is; the server answers for them before they are on disk.
    pub reports: Stream,
}

#[derive(Deserialize)]
struct Info {
    config: Value,
    state: State,
}

#[derive(Deserialize)]
struct State {
    messages: u64,
    bytes: u64,
    last_seq: u64,
    #[serde(default)]
    subjects: Option<std::collections::BTreeMap<String, u64>>,
}

/// What was written until now.
pub async fn written(bus: &Bus) -> Result<Written, Error> {
    let stream = async |name| {
        let state = info(bus, name, json!({})).await?.state;
        Ok::<_, Error>(Stream { written: state.last_seq, message_bytes: state.bytes / state.messages.max(1) })
    };
    Ok(Written { log: stream(RENDER).await?, jobs: stream(KV_JOBS).await?, reports: stream(RENDER_PROGRESS).await? })
}

/// How many jobs have an event of this kind in the log.
pub async fn jobs_with(bus: &Bus, kind: Kind) -> Result<usize, Error> {
    let filter = json!({"subjects_filter": format!("render.*.{}", kind.name())});
    let state = info(bus, RENDER, filter).await?.state;
    Ok(state.subjects.unwrap_or_default().len())
}

/// Whether requests wait in the queue although workers are there.
pub async fn hold_queue(bus: &Bus, is_held: bool) -> Result<(), Error> {
    // Nobody waits until then; the end of time would be refused.
    let until = if is_held { json!("2200-01-01T00:00:00Z") } else { json!(Timestamp::default()) };
    let request = format!("CONSUMER.PAUSE.{RENDER}.{WORKER}");
    bus.ask::<Value>(&request, &json!({"pause_until": until})).await.map(|_| ()).map_err(Error::Bench)
}

/// Makes streams as the log and the bucket are, with nobody who reads them.
pub async fn copy_streams(bus: &Bus) -> Result<(), Error> {
    for (stream, copy, subject) in COPIES {
        let mut config = info(bus, stream, json!({})).await?.config;
        config["name"] = json!(copy);
        config["subjects"] = json!([format!("{subject}.>")]);
        bus.ask::<Value>(&format!("STREAM.CREATE.{copy}"), &config).await.map_err(Error::Bench)?;
    }
    Ok(())
}

/// What a job makes kiln write, one after the other, into the copies: so many facts and entries of these sizes.
pub async fn write_bare(bus: &Bus, job: u64, facts: (u64, Bytes), entries: (u64, Bytes)) -> Result<(), Error> {
    let [(_, _, log), (_, _, jobs)] = COPIES;
    for n in 0..facts.0 {
        put(bus, format!("{log}.{job}.{n}"), &facts.1).await?;
    }
    for _ in 0..entries.0 {
        put(bus, format!("{jobs}.{job}"), &entries.1).await?;
    }
    Ok(())
}

async fn put(bus: &Bus, subject: String, payload: &Bytes) -> Result<(), Error> {
    bus.put(subject, HeaderMap::new(), payload.clone()).await.map(|_| ()).map_err(Error::Bench)
}

async fn info(bus: &Bus, stream: &str, body: Value) -> Result<Info, Error> {
    let answer: Result<Info, Cause> = bus.ask(&format!("STREAM.INFO.{stream}"), &body).await;
    answer.map_err(Error::Bench)
}
