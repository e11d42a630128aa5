//! The folder that keeps a world: one world at a time, and what it keeps to itself.

use std::fs::{self, File, TryLockError};
use std::path::Path;

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};

use crate::{beacon, clock};

/// What a world keeps to itself, over restarts too: a container that outlives one may still report.
#[derive(Serialize, Deserialize)]
pub(super) struct Secrets {
    pub(super) webhook: String,
    pub(super) s3: String,
    pub(super) modal: String,
}

/// One world per folder.
pub(super) fn lock(data: &Path) -> anyhow::Result<File> {
    let path = data.join(beacon::LOCK);
    let file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            bail!("another kiln dev uses the folder {}; stop it, or choose another --data", data.display())
        }
        Err(TryLockError::Error(error)) => Err(error).context("the folder cannot be locked"),
    }
}

pub(super) fn secrets(data: &Path) -> anyhow::Result<Secrets> {
    let path = data.join("secrets.json");
    if let Ok(text) = fs::read(&path) {
        return serde_json::from_slice(&text).with_context(|| format!("{} is damaged; remove it", path.display()));
    }
    let secret = || format!("{}{}", clock::random_hex(), clock::random_hex());
    let secrets = Secrets { webhook: secret(), s3: secret(), modal: secret() };
    fs::write(&path, serde_json::to_vec(&secrets)?)?;
    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    Ok(secrets)
}
