//! What a bench needs of the server: how much was written, the same writes without kiln, and a queue that waits.
//!
//! It works on a private server only: it makes streams beside those of the topology.

use bytes::Bytes;
use events::{JobId, Kind, Timestamp};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::jobs::expecting;
use crate::log::expect;
use crate::topology::{KV_JOBS, RENDER, RENDER_PROGRESS, WORKER};
use crate::{Bus, Cause, Error, Log};

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

/// Streams as the log and the bucket are, with nobody who reads them, and a connection to each.
#[derive(Debug, Clone)]
pub struct Copies {
    log: Log,
    jobs: Bus,
    /// What a fact weighs without its payload, and an entry.
    frames: [u64; 2],
}

impl Copies {
    /// Makes them.
    pub async fn make(log: Bus, jobs: Bus) -> Result<Self, Error> {
        for (stream, copy, subject) in COPIES {
            let mut config = info(&log, stream, json!({})).await?.config;
            config["name"] = json!(copy);
            config["subjects"] = json!([format!("{subject}.>")]);
            log.ask::<Value>(&format!("STREAM.CREATE.{copy}"), &config).await.map_err(Error::Bench)?;
        }
        let mut copies = Self { log: Log::new(log), jobs, frames: [0, 0] };
        copies.write(JobId::new(0, [0; 10]), (1, 0), (1, 0)).await?;
        for ((_, copy, _), frame) in COPIES.iter().zip(&mut copies.frames) {
            *frame = info(&copies.jobs, copy, json!({})).await?.state.bytes;
        }
        Ok(copies)
    }

    /// What a job makes kiln write, in kiln's order: so many facts, each upon the one before it, and so many entries, each
    /// in the place of the one before it, after the fact that it tells of and beside the next one. They weigh as much as
    /// kiln's, with headers such as kiln's.
    pub async fn write(&self, job: JobId, facts: (u64, u64), entries: (u64, u64)) -> Result<(), Error> {
        let [fact, entry] = [(facts.1, self.frames[0]), (entries.1, self.frames[1])]
            .map(|(bytes, frame)| Bytes::from(vec![b'x'; usize::try_from(bytes.saturating_sub(frame)).unwrap_or(0)]));
        let (facts, entries) = (facts.0, entries.0);
        let (written, mut known) = watch::channel(0);
        let facts_first = async {
            let mut version = 0;
            for n in 0..facts {
                version = self.append(job, n, version, &fact).await?;
                written.send_replace(n + 1);
            }
            Ok(())
        };
        let entries_behind = async {
            let mut revision = 0;
            for n in 0..entries {
                // The last entry tells of the last fact.
                let _ = known.wait_for(|written| written * entries >= (n + 1) * facts).await;
                revision = self.replace(job, revision, &entry).await?;
            }
            Ok(())
        };
        tokio::try_join!(facts_first, entries_behind).map(|_| ()).map_err(Error::Bench)
    }

    async fn append(&self, job: JobId, n: u64, version: u64, payload: &Bytes) -> Result<u64, Cause> {
        let [(_, _, subject), _] = COPIES;
        let to = format!("{subject}.{job}.{n}");
        let mut headers = self.log.headers(job, "bench", &to);
        expect(&mut headers, version, &format!("{subject}.{job}.>"));
        Ok(self.log.bus().put(to, headers, payload.clone()).await?.seq)
    }

    async fn replace(&self, job: JobId, revision: u64, payload: &Bytes) -> Result<u64, Cause> {
        let [_, (_, _, subject)] = COPIES;
        let put = self.jobs.put(format!("{subject}.{job}"), expecting(revision), payload.clone());
        Ok(put.await?.seq)
    }
}

async fn info(bus: &Bus, stream: &str, body: Value) -> Result<Info, Error> {
    let answer: Result<Info, Cause> = bus.ask(&format!("STREAM.INFO.{stream}"), &body).await;
    answer.map_err(Error::Bench)
}
