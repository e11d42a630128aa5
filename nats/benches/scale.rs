//! What a long log costs: `cargo bench -p nats --bench scale`, or with `-- --jobs 1000000`.
//!
//! Load, append, poll and list at 10 000 jobs and at more; then a rebuild beside a bare pipelined put of the same entries.
//! While the log is filled the server does not sync, and there alone.

#![expect(clippy::print_stdout, reason = "a bench's output is for people")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use events::event::{Dispatched, Requested};
use events::{Attempt, Entry, Event, JobId, Recorded, Spec, Timestamp};
use futures_util::{StreamExt, stream};
use nats::server::{Options, Server};
use nats::topology::{Tunables, provision};
use nats::{Append, Bus, Jobs, Log, Settings, Watch};
use serde_json::json;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

/// Where the comparison begins.
const FEW: u64 = 10_000;
/// Messages in flight while the log is filled, and entries while they are put.
const IN_FLIGHT: usize = 256;
const PUTS: usize = 64;
/// Of each kind of request, one after another.
const SAMPLES: u64 = 2_000;
/// How long one sample may be heard of.
const LIMIT: Duration = Duration::from_mins(10);

#[tokio::main]
async fn main() {
    let arguments: Vec<_> = std::env::args().collect();
    let wanted = arguments.iter().position(|argument| argument == "--jobs").and_then(|at| arguments.get(at + 1));
    let jobs = wanted.map_or(30_000, |jobs| jobs.parse().expect("`--jobs` takes a number"));
    let mut scale = Scale::start().await;
    scale.fill(1, FEW).await;
    let few = scale.measure(FEW).await;
    scale.fill(FEW + 1, jobs).await;
    let many = scale.measure(jobs).await;
    println!("{:<8} {:>12} {:>12} {:>6}", "median", format!("{FEW} jobs"), format!("{jobs} jobs"), "ratio");
    for ((name, few), (_, many)) in few.into_iter().zip(many) {
        println!("{name:<8} {few:>12.1?} {many:>12.1?} {:>6.2}", many.as_secs_f64() / few.as_secs_f64());
    }
    scale.rebuild(jobs).await;
}

/// A private server and what speaks to it.
struct Scale {
    server: Server,
    options: Options,
    bus: Bus,
    _folder: TempDir,
}

impl Scale {
    async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let program = nats::tool::NATS_SERVER.find(&|line| println!("{line}")).expect("it is found or fetched");
        let options = Options::new(program, folder.path());
        let server = Server::start(options.clone()).await.expect("it starts");
        let bus = connect(&server).await;
        provision(&bus, &Tunables::default()).await.expect("provisioned");
        Self { server, options, bus, _folder: folder }
    }

    /// Another server on the same folder.
    async fn restart(&mut self, sync_always: bool) {
        self.server.stop();
        self.server = Server::start(Options { sync_always, ..self.options.clone() }).await.expect("it starts");
        self.bus = connect(&self.server).await;
    }

    /// Two facts of each job, and its entry.
    async fn fill(&mut self, from: u64, to: u64) {
        self.restart(false).await;
        let started = Instant::now();
        let log = Log::new(self.bus.clone());
        let writing = stream::iter(from..=to).map(|n| {
            let log = log.clone();
            async move {
                let Append::Stored(seq) = log.append(id(n), 0, &requested()).await.expect("stored") else {
                    panic!("job {n} is there already")
                };
                log.append(id(n), seq, &dispatched()).await.expect("stored");
            }
        });
        writing.buffer_unordered(IN_FLIGHT).collect::<()>().await;
        nats::rebuild(&self.bus, &|_, _| ()).await.expect("rebuilt");
        self.restart(true).await;
        println!("{} jobs written in {:.0?}", to + 1 - from, started.elapsed());
    }

    /// The median time of each kind of request.
    async fn measure(&self, jobs: u64) -> [(&'static str, Duration); 4] {
        let (log, entries) = (Log::new(self.bus.clone()), Jobs::new(self.bus.clone()));
        let (watch, stop) = (Watch::default(), CancellationToken::new());
        let following = tokio::spawn({
            let (watch, bus, stop) = (watch.clone(), self.bus.clone(), stop.clone());
            async move { watch.run(&bus, stop).await }
        });
        let started = Instant::now();
        tokio::time::timeout(LIMIT, watch.caught_up()).await.expect("the watch catches up");
        println!("{jobs} jobs: a watch is caught up after {:.1?}; the server has {}", started.elapsed(), self.memory());
        let some = |n: u64| id(1 + n * 7919 % jobs);
        let load = median(|n| {
            let log = &log;
            async move { drop(log.load(some(n)).await.expect("loaded")) }
        })
        .await;
        let append = median(|n| {
            let (log, new) = (&log, JobId::new(jobs + n, [1; 10]));
            async move { assert!(matches!(log.append(new, 0, &requested()).await, Ok(Append::Stored(_)))) }
        })
        .await;
        let poll = median(|n| {
            let (watch, entries) = (&watch, &entries);
            async move {
                let row = watch.row(some(n)).expect("a row");
                drop(entries.get_at(some(n), row.revision).await.expect("readable").expect("an entry"));
            }
        })
        .await;
        let list = median(|n| {
            let (watch, entries) = (&watch, &entries);
            async move {
                let page = watch.list(None, Some(1 + n * 7919 % jobs * 2), 50);
                let ids: Vec<_> = page.into_iter().map(|(_, id)| id).collect();
                drop(entries.get_many(&ids).await.expect("readable"));
            }
        })
        .await;
        stop.cancel();
        following.await.expect("no panic");
        [("load", load), ("append", append), ("poll", poll), ("list", list)]
    }

    /// A rebuild into an empty bucket, and the same entries put by hand.
    async fn rebuild(&self, jobs: u64) {
        self.purge().await;
        let bare = self.puts(jobs).await;
        self.purge().await;
        let started = Instant::now();
        let rebuilt = nats::rebuild(&self.bus, &|_, _| ()).await.expect("rebuilt");
        let rate = per_second(rebuilt.written, started.elapsed());
        println!("bare puts {bare:.0}/s, rebuild {rate:.0}/s: {:.2}; the server has {}", rate / bare, self.memory());
    }

    async fn puts(&self, jobs: u64) -> f64 {
        let mut job = events::Job::default();
        let time = Timestamp::from_unix_ms(1_795_348_800_000);
        job.absorb(&Recorded { seq: 1, time, event: requested() });
        job.absorb(&Recorded { seq: 2, time, event: dispatched() });
        let entry: Arc<[u8]> = serde_json::to_vec(&Entry::from(job)).expect("an entry is plain data").into();
        let count = jobs.min(100_000);
        let started = Instant::now();
        let putting = stream::iter(1..=count).map(|n| {
            let (client, payload) = (self.bus.client().clone(), entry.to_vec());
            async move { drop(client.request(format!("$KV.JOBS.{}", id(n)), payload.into()).await.expect("stored")) }
        });
        putting.buffer_unordered(PUTS).collect::<()>().await;
        per_second(count, started.elapsed())
    }

    async fn purge(&self) {
        self.bus.client().request("$JS.API.STREAM.PURGE.KV_JOBS", "{}".into()).await.expect("purged");
    }

    /// Resident memory, as the system tells.
    fn memory(&self) -> String {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.server.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        line.map_or("memory that this system does not tell".into(), |line| line.trim().to_owned())
    }
}

async fn connect(server: &Server) -> Bus {
    Bus::connect(&Settings::new(server.url(), "bench")).await.expect("connected")
}

async fn median<F: Future<Output = ()>>(one: impl Fn(u64) -> F) -> Duration {
    let mut times = Vec::new();
    for n in 0..SAMPLES {
        let started = Instant::now();
        one(n).await;
        times.push(started.elapsed());
    }
    times.sort_unstable();
    times[times.len() / 2]
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
fn per_second(count: u64, took: Duration) -> f64 {
    count as f64 / took.as_secs_f64()
}

fn id(n: u64) -> JobId {
    JobId::new(n, [0; 10])
}

fn requested() -> Event {
    let spec = json!({"audio": {"url": "https://example.com/song.flac"}});
    let spec: Spec = serde_json::from_value(spec).expect("it is a request");
    Event::Requested(Requested { spec })
}

fn dispatched() -> Event {
    Event::Dispatched(Attempt::FIRST, Dispatched { call_id: "fc-1".into(), gpu: true })
}
