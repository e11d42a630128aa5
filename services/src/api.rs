//! The role `api`: submit, poll, cancel, look back. What clients of any language speak to.

mod asked;
mod cancel;
mod docs;
mod follow;
mod health;
mod history;
mod letters;
mod list;
mod openapi;
mod poll;
mod query;
mod retry;
mod stream;
mod submit;
mod table;
mod uploads;
mod version;
mod view;
mod written;

use std::ops::Deref;
use std::sync::Arc;

use axum::Router;
use events::{Command, Job, JobId, Timestamp};
use nats::{Jobs, Letters, Log, Record, Watch};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::bucket::Bucket;
use crate::clock;
use crate::fetch;
use crate::http::code::Code;
use crate::http::gate::Gate;
use crate::http::problem::Problem;
use crate::http::route;
use crate::page;
pub use openapi::document;
use view::Views;
use written::Written;

/// The role. Clones share what it holds, and cost next to nothing: every request makes some.
#[derive(Clone)]
pub struct Api(Arc<Shared>);

/// What the role holds.
#[derive(Clone)]
pub struct Shared {
    log: Log,
    jobs: Jobs,
    bucket: Bucket,
    written: Arc<Written>,
    watch: Watch,
    views: Arc<Views>,
    stop: CancellationToken,
    now: fn() -> Timestamp,
    space: Arc<submit::Space>,
    /// A place for each KiB of long bodies that are read whole, so that they never fill the memory.
    long_bodies: Arc<Semaphore>,
    /// Places for reading dead letters, which may be long too.
    letter_reads: Arc<Semaphore>,
    letters: Letters,
    store_seen: Arc<health::StoreSeen>,
    /// What audio may be fetched by its address; none without these.
    audio_urls: Option<fetch::Rules>,
}

impl Deref for Api {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl Api {
    /// The role, ready to serve until `stop`: then it takes no new work.
    pub fn new(log: Log, jobs: Jobs, bucket: Bucket, stop: CancellationToken) -> Self {
        Self(Arc::new(Shared {
            letters: Letters::new(log.bus().clone()),
            log,
            jobs,
            bucket,
            written: Arc::default(),
            watch: Watch::default(),
            views: Arc::default(),
            stop,
            now: clock::now,
            space: Arc::default(),
            long_bodies: Arc::new(Semaphore::new(submit::LONG_BODIES_KIB)),
            letter_reads: Arc::new(Semaphore::new(letters::AT_ONCE)),
            store_seen: Arc::default(),
            audio_urls: None,
        }))
    }

    /// With another clock, for those who look at what changes with the day.
    #[must_use]
    pub fn with_clock(mut self, now: fn() -> Timestamp) -> Self {
        Arc::make_mut(&mut self.0).now = now;
        self
    }

    /// The role, with audio by URL where there are rules for it.
    #[must_use]
    pub fn with_audio_urls(mut self, audio_urls: Option<fetch::Rules>) -> Self {
        Arc::make_mut(&mut self.0).audio_urls = audio_urls;
        self
    }

    /// Hears of every change until the stop. Without it, answers are right, but nobody is told of news.
    pub async fn listen(&self) {
        Box::pin(self.watch.run(self.log.bus(), self.stop.clone())).await;
    }

    /// What it has heard of the jobs.
    pub fn watch(&self) -> &Watch {
        &self.watch
    }

    /// Its routes, behind this gate, and the page, which is open.
    pub fn router(self, gate: &Gate) -> Router {
        let page = page::router(self.bucket.origin());
        route::router(table::routes(), gate).merge(page).with_state(self)
    }

    /// Whether work may begin, asked before a body is read.
    fn takes_work(&self) -> Result<(), Problem> {
        if self.stop.is_cancelled() {
            return Err(Problem::new(Code::Stopping, "this server is about to stop; try again at another"));
        }
        if !self.log.bus().is_connected() {
            return Err(Problem::new(Code::LogUnavailable, "kiln's log cannot be reached; try again"));
        }
        Ok(())
    }

    /// Makes a client's wish a fact, or says why not; whoever polls here afterwards sees it. The job that is known may be
    /// old: then it is loaded.
    async fn record(&self, id: JobId, known: Job, command: Command) -> Result<Record, nats::Error> {
        let record = self.log.record_upon(id, known, command, (self.now)()).await?;
        self.written.note(id, record.job.seq);
        Ok(record)
    }
}

fn parse_id(text: &str) -> Result<JobId, Problem> {
    JobId::parse(text).map_err(|_| Problem::not_found("there is no such job: its id is no UUID in lower case"))
}

/// Something that we need did not answer; the client may ask again.
fn unavailable(error: &(dyn std::error::Error + 'static)) -> Problem {
    tracing::warn!(error = crate::chain(error), "a request could not be served");
    Problem::new(Code::Unavailable, "kiln cannot do this now; try again")
}
