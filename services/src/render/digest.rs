//! Length and SHA-256 of a file.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use events::hex;
use sha2::{Digest, Sha256};

/// Length in bytes and SHA-256 in hexadecimal.
pub(super) async fn of_file(path: &Path) -> io::Result<(u64, String)> {
    let path = path.to_owned();
    tokio::task::spawn_blocking(move || digest(&path)).await.map_err(io::Error::other)?
}

fn digest(path: &Path) -> io::Result<(u64, String)> {
    let mut file = File::open(path)?;
    let (mut hash, mut total, mut buffer) = (Sha256::new(), 0, vec![0; 64 * 1024]);
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok((total, hex(&hash.finalize()))),
            length => {
                hash.update(&buffer[..length]);
                total += length as u64;
            }
        }
    }
}
