//! The calls, in memory and on disk: one JSON file each, replaced in one step, without any secret.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use events::wire::dispatch::{CallState, CallStatus, RenderResult};
use events::{Attempt, Code, JobId};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// What is known of a call.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Record {
    /// The call's name.
    pub call_id: String,
    /// Its input's name, kept over a preemption.
    pub input_id: String,
    /// The job.
    pub job_id: JobId,
    /// The attempt.
    pub attempt: Attempt,
    /// The key under which it was submitted.
    pub idempotency_key: String,
    /// How many containers were started for it.
    pub containers: u32,
    /// How many of them got past their claim.
    pub claims: u32,
    /// Where it stands.
    pub state: CallState,
}

/// A call that this process owns.
#[derive(Clone, Debug)]
pub(super) struct Live {
    /// Asks for its end.
    pub(super) cancel: CancellationToken,
    /// Told at its first report of rendering.
    pub(super) is_rendering: watch::Sender<bool>,
    /// Told when its container is gone.
    pub(super) has_ended: watch::Sender<bool>,
    /// Where its callbacks really go: claim and progress, and the end.
    pub(super) callback_url: String,
    pub(super) webhook_url: String,
}

pub(super) struct Calls {
    folder: PathBuf,
    records: BTreeMap<String, Record>,
    live: BTreeMap<String, Live>,
}

impl Calls {
    /// Reads what a former process left. What it was still running is lost with it.
    pub(super) fn open(folder: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let mut calls = Self { folder: folder.to_owned(), records: BTreeMap::new(), live: BTreeMap::new() };
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "json") {
                let record: Record = serde_json::from_slice(&std::fs::read(&path)?)?;
                calls.records.insert(record.call_id.clone(), record);
            }
        }
        let lost: Vec<String> =
            calls.records.values().filter(|call| is_running(call)).map(|call| call.call_id.clone()).collect();
        for call in lost {
            calls.change(&call, |record| record.state = failed(Code::ExecutorRestarted))?;
        }
        Ok(calls)
    }

    pub(super) fn by_key(&self, key: &str) -> Option<&Record> {
        self.records.values().find(|record| record.idempotency_key == key)
    }

    pub(super) fn of_attempt(&self, job: JobId, attempt: Attempt) -> impl Iterator<Item = &Record> {
        self.records.values().filter(move |record| record.job_id == job && record.attempt == attempt)
    }

    pub(super) fn all(&self) -> Vec<Record> {
        self.records.values().cloned().collect()
    }

    pub(super) fn state(&self, call: &str) -> CallState {
        let unknown = CallState { status: CallStatus::Unknown, result: None, error: None };
        self.records.get(call).map_or(unknown, |record| record.state.clone())
    }

    pub(super) fn live(&self, call: &str) -> Option<&Live> {
        self.live.get(call)
    }

    pub(super) fn begin(&mut self, record: Record, live: Live) -> io::Result<()> {
        self.write(&record)?;
        self.live.insert(record.call_id.clone(), live);
        self.records.insert(record.call_id.clone(), record);
        Ok(())
    }

    /// On disk first. A call that is not there stays so.
    pub(super) fn change(&mut self, call: &str, change: impl FnOnce(&mut Record)) -> io::Result<()> {
        let Some(record) = self.records.get(call) else { return Ok(()) };
        let mut record = record.clone();
        change(&mut record);
        self.write(&record)?;
        self.records.insert(call.to_owned(), record);
        Ok(())
    }

    /// Its container is gone.
    pub(super) fn end(&mut self, call: &str, state: CallState) -> io::Result<()> {
        let written = self.change(call, |record| record.state = state);
        if let Some(live) = self.live.remove(call) {
            live.has_ended.send_replace(true);
        }
        written
    }

    fn write(&self, record: &Record) -> io::Result<()> {
        let file = tempfile::NamedTempFile::new_in(&self.folder)?;
        serde_json::to_writer(&file, record)?;
        file.persist(self.folder.join(format!("{}.json", record.call_id))).map_err(|error| error.error)?;
        Ok(())
    }
}

fn is_running(record: &Record) -> bool {
    record.state.status == CallStatus::Running
}

/// The state of a call that ended without a result of its own.
pub(super) fn failed(code: Code) -> CallState {
    let result = RenderResult {
        ok: false,
        output: None,
        code: Some(code.to_string()),
        error: Some(code.sentence().to_owned()),
        retryable: Some(code.is_retryable()),
    };
    CallState { status: CallStatus::Failed, result: Some(result), error: Some(code.sentence().to_owned()) }
}
