//! Who calls, and what that one may do: API keys, of which only the hashes are kept.
//!
//! One trust domain: a key says what its holder may do, and never which jobs that one sees.

pub mod file;
mod rate;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, RwLock};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;

use file::{Error, Record};
use rate::Allowance;

/// How often the file is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// What a key may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Submit and retry jobs, and get places to upload to.
    Submit,
    /// Poll, follow, list and look back.
    Read,
    /// Cancel jobs.
    Cancel,
    /// All of these, the metrics, and having dead letters read again.
    Admin,
}

impl Scope {
    /// As it is written in the file of keys.
    pub fn name(self) -> &'static str {
        match self {
            Self::Submit => "submit",
            Self::Read => "read",
            Self::Cancel => "cancel",
            Self::Admin => "admin",
        }
    }
}

/// Who sent a request; every handler of the api may ask for it with `Extension<Caller>`.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Whose idempotency keys these are: the id of the API key.
    pub owner: Arc<str>,
}

/// Why a request may not be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There is no key, or none that is valid.
    Unknown,
    /// The key has not this scope.
    Scope(Scope),
    /// The key was used too often; so long it must rest.
    Rate(Duration),
}

/// The keys that are valid now. Clones share them.
#[derive(Clone)]
pub struct Keys {
    /// `None`: everybody may do everything.
    path: Option<Arc<PathBuf>>,
    records: Arc<RwLock<HashMap<String, Arc<Record>>>>,
    allowances: Arc<Mutex<HashMap<String, Allowance>>>,
}

impl Keys {
    /// No keys: every caller is `anonymous` and may do everything.
    pub fn none() -> Self {
        Self { path: None, records: Arc::default(), allowances: Arc::default() }
    }

    /// The keys in this file.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let keys = Self { path: Some(Arc::new(path.to_owned())), ..Self::none() };
        keys.take(file::read(path)?.keys);
        Ok(keys)
    }

    /// Whether anybody may do anything.
    pub fn is_open(&self) -> bool {
        self.path.is_none()
    }

    /// Looks at the file every few seconds until the stop. One that cannot be read changes nothing.
    pub async fn watch(&self, stop: CancellationToken) {
        let Some(path) = &self.path else { return };
        let looking = async {
            let mut ticks = tokio::time::interval(LOOK_EVERY);
            let mut is_good = true;
            loop {
                ticks.tick().await;
                match file::read(path) {
                    Ok(found) => self.take(found.keys),
                    Err(error) if is_good => {
                        let error = crate::chain(&error);
                        tracing::error!(error, "the file of keys cannot be used; the keys from before stay valid");
                        is_good = false;
                        continue;
                    }
                    Err(_) => continue,
                }
                is_good = true;
            }
        };
        stop.run_until_cancelled(looking).await;
    }

    /// Who shows this `Authorization` header, if that one may do what needs this scope, once more.
    pub fn admit(&self, authorization: Option<&str>, scope: Scope) -> Result<Caller, Refusal> {
        if self.is_open() {
            return Ok(Caller { owner: "anonymous".into() });
        }
        let record = authorization.and_then(bearer).and_then(|secret| self.find(secret)).ok_or(Refusal::Unknown)?;
        if !record.scopes.iter().any(|has| *has == scope || *has == Scope::Admin) {
            return Err(Refusal::Scope(scope));
        }
        if let Some(per_minute) = record.rate_per_minute {
            let mut all = self.allowances.lock().expect("nothing panics under this lock");
            let allowance = all.entry(record.id.clone()).or_insert_with(|| Allowance::new(per_minute, Instant::now()));
            allowance.take(per_minute, Instant::now()).map_err(Refusal::Rate)?;
        }
        Ok(Caller { owner: record.id.as_str().into() })
    }

    /// By its hash, so how long this takes says nothing about the secrets that are known.
    fn find(&self, secret: &str) -> Option<Arc<Record>> {
        self.records.read().expect("nothing panics under this lock").get(&hash(secret)).cloned()
    }

    fn take(&self, records: Vec<Record>) {
        let valid = records.into_iter().filter(|record| record.revoked_at.is_none());
        let valid = valid.map(|record| (record.sha256.clone(), Arc::new(record))).collect();
        *self.records.write().expect("nothing panics under this lock") = valid;
    }
}

/// The scheme's name is not case-sensitive.
fn bearer(authorization: &str) -> Option<&str> {
    let (scheme, secret) = authorization.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| secret.trim())
}

/// What is kept of a secret.
fn hash(secret: &str) -> String {
    events::hex(&Sha256::digest(secret))
}
