//! Where a running `kiln dev` tells its user's other programs that it is there.
//!
//! One file per world, with the path of its folder. It proves nothing: whether the world still runs is told by the lock
//! in that folder, and where it listens by `dev.json` there.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use events::hex;
use sha2::{Digest, Sha256};

/// The name of the file in a world's folder that tells where everything is.
pub const ADDRESSES: &str = "dev.json";
/// The name of the file in a world's folder that is locked while it runs.
pub const LOCK: &str = "lock";

/// A world that was announced; dropped, it is not any more.
#[derive(Debug)]
pub struct Announced(PathBuf);

impl Drop for Announced {
    fn drop(&mut self) {
        // Whoever finds it later will see that nothing runs there.
        let _ = fs::remove_file(&self.0);
    }
}

/// Announces the world in this folder.
pub fn announce(data: &Path) -> io::Result<Announced> {
    let data = fs::canonicalize(data)?;
    let folder = folder().ok_or_else(|| io::Error::other("there is neither XDG_RUNTIME_DIR nor HOME"))?;
    fs::create_dir_all(&folder)?;
    let text = data.to_string_lossy();
    let file = folder.join(&hex(&Sha256::digest(text.as_bytes()))[..16]);
    fs::write(&file, text.as_bytes())?;
    Ok(Announced(file))
}

/// The api's addresses of the worlds that run: that of the current folder alone if there is one, else all of this user's.
pub fn running() -> Vec<String> {
    if let Some(url) = address(Path::new(".kiln")) {
        return vec![url];
    }
    let files = folder().and_then(|folder| fs::read_dir(folder).ok()).into_iter().flatten().flatten();
    let data = files.filter_map(|file| fs::read_to_string(file.path()).ok());
    let mut found: Vec<_> = data.filter_map(|data| address(Path::new(&data))).collect();
    found.sort();
    found
}

/// Where the api of the world in this folder listens, if it runs.
fn address(data: &Path) -> Option<String> {
    let lock = File::open(data.join(LOCK)).ok()?;
    if !matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock)) {
        return None;
    }
    let told: serde_json::Value = serde_json::from_slice(&fs::read(data.join(ADDRESSES)).ok()?).ok()?;
    told["api"].as_str().map(str::to_owned)
}

/// Where the announcements lie.
fn folder() -> Option<PathBuf> {
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").filter(|folder| !folder.is_empty());
    let runtime = runtime.map(|folder| PathBuf::from(folder).join("kiln"));
    runtime.or_else(nats::tool::cache_folder).map(|folder| folder.join("dev"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_world_is_found_while_its_lock_is_held() {
        let folder = tempfile::tempdir().expect("a folder");
        let data = folder.path();
        assert_eq!(address(data), None, "there is nothing");
        fs::write(data.join(ADDRESSES), r#"{"api": "http://127.0.0.1:7700", "pid": 1}"#).expect("written");
        let lock = File::create(data.join(LOCK)).expect("a lock");
        assert_eq!(address(data), None, "it was killed");
        lock.try_lock().expect("nobody has it");
        assert_eq!(address(data).as_deref(), Some("http://127.0.0.1:7700"));
    }
}
