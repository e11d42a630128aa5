//! A GPU provider on this machine: it speaks the contract of the Modal app and runs real `kiln render` processes, a few
//! at a time. Its calls are on disk; what it was running when it died is `failed` (`executor_restarted`) afterwards.
//!
//! | a call is | who moves it on, and if that one dies |
//! |---|---|
//! | `running`, queued or not | its task in [`Executor::run`]; the next process finds it on disk and says `failed` |
//! | `completed`, `failed`, `cancelled` | nobody: final |
//!
//! Beside the contract there are `GET /calls`, every call as on disk, and `GET` and `POST /faults`.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{any, get, post};
use events::Secret;
use futures_util::future::BoxFuture;
use reqwest::Client;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::client::http_client;
use calls::Calls;
use faults::Faults;

mod answer;
mod calls;
mod container;
mod faults;
mod through;

pub use calls::Record;
pub use faults::{BadFault, Chance, Fault};

/// How a stand-in is set up.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where its calls, their logs and their temporary files lie; made if it is not there.
    pub folder: PathBuf,
    /// This program.
    pub kiln: PathBuf,
    /// The encoder, where it is known.
    pub ffmpeg: Option<PathBuf>,
    /// How many containers may run at once.
    pub parallel: usize,
    /// What `Modal-Key` must be.
    pub key: String,
    /// What `Modal-Secret` must be.
    pub secret: Secret,
    /// What else every container has in its environment.
    pub variables: BTreeMap<String, String>,
    /// Its own base address, for callbacks that go through it.
    pub own_url: String,
    /// What it does wrong.
    pub faults: Vec<Chance>,
    /// From what the dice begin.
    pub seed: u64,
}

/// The stand-in. Clones are the same one.
#[derive(Clone)]
pub struct Executor(Arc<Inner>);

struct Inner {
    settings: Settings,
    calls: Mutex<Calls>,
    faults: Mutex<Faults>,
    slots: Semaphore,
    client: Client,
    stop: CancellationToken,
    queue: mpsc::UnboundedSender<BoxFuture<'static, ()>>,
    queued: tokio::sync::Mutex<mpsc::UnboundedReceiver<BoxFuture<'static, ()>>>,
}

impl Executor {
    /// Reads what is on disk. Nothing runs before [`Executor::run`] does.
    ///
    /// # Errors
    /// The folder cannot be made or read.
    pub fn open(settings: Settings) -> io::Result<Self> {
        let calls = Calls::open(&settings.folder.join("calls"))?;
        let temporary = settings.folder.join("tmp");
        if temporary.exists() {
            std::fs::remove_dir_all(&temporary)?;
        }
        for folder in [temporary, settings.folder.join("logs")] {
            std::fs::create_dir_all(folder)?;
        }
        let (queue, queued) = mpsc::unbounded_channel();
        Ok(Self(Arc::new(Inner {
            calls: Mutex::new(calls),
            faults: Mutex::new(Faults::new(&settings.faults, settings.seed)),
            slots: Semaphore::new(settings.parallel),
            client: http_client(Duration::from_secs(30)),
            stop: CancellationToken::new(),
            queue,
            queued: tokio::sync::Mutex::new(queued),
            settings,
        })))
    }

    /// The contract, to be put on a listener.
    pub fn router(&self) -> Router {
        let contract = Router::new()
            .route("/submit", post(answer::submit))
            .route("/status", post(answer::status))
            .route("/cancel", post(answer::cancel))
            .layer(from_fn_with_state(self.clone(), answer::admit));
        Router::new()
            .merge(contract)
            .route("/calls", get(answer::calls))
            .route("/faults", get(answer::faults).post(answer::change_faults))
            .route("/through/{call}/webhook", any(through::webhook))
            .route("/through/{call}/callback/{*path}", any(through::callback))
            .with_state(self.clone())
    }

    /// Runs what is submitted, until stopped and every container gone.
    pub async fn run(&self, stop: &CancellationToken) {
        let mut queued = self.0.queued.lock().await;
        let mut tasks = JoinSet::new();
        loop {
            tokio::select! {
                Some(task) = queued.recv() => { tasks.spawn(task); }
                Some(ended) = tasks.join_next(), if !tasks.is_empty() => report(ended),
                () = stop.cancelled() => break,
            }
        }
        self.0.stop.cancel();
        while let Some(ended) = tasks.join_next().await {
            report(ended);
        }
    }

    fn enqueue(&self, task: BoxFuture<'static, ()>) {
        // Nobody receives any more only when everything ends.
        let _ = self.0.queue.send(task);
    }

    fn calls(&self) -> MutexGuard<'_, Calls> {
        self.0.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn dice(&self) -> MutexGuard<'_, Faults> {
        self.0.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn strikes(&self, fault: Fault) -> bool {
        self.dice().strikes(fault)
    }

    fn temporary(&self) -> PathBuf {
        self.0.settings.folder.join("tmp")
    }

    fn log_of(&self, call: &str) -> PathBuf {
        self.0.settings.folder.join("logs").join(format!("{call}.log"))
    }

    fn chances(&self) -> BTreeMap<Fault, f64> {
        self.dice().chances().clone()
    }
}

fn report(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a call's task failed");
    }
}

/// A name as the provider gives them: `fc-…` for a call, `in-…` for its input, `ta-…` for a container.
fn new_name(prefix: &str) -> String {
    format!("{prefix}-{}", uuid::Uuid::now_v7().simple())
}
