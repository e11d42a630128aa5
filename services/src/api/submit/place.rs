//! Room in memory for JSON that is read whole.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::http::gate;
use crate::http::problem::Problem;

/// Largest JSON request; base64 of about 24 MiB of audio.
pub(super) const MAX_JSON: usize = 32 * 1024 * KIB;
/// Up to here JSON is not counted.
const SHORT: u64 = 512 * KIB as u64;
/// All long JSON that is in memory at once, in KiB. While it is parsed, each has its audio a second time.
pub(in crate::api) const LONG_BODIES_KIB: usize = 64 * 1024;
const KIB: usize = 1024;

/// As much room as a body has bytes.
pub(super) struct Place(Option<OwnedSemaphorePermit>);

impl Place {
    /// Waits a moment for the room that a body of this length needs. One that does not tell it may be the longest.
    pub(super) async fn of(room: &Arc<Semaphore>, length: Option<u64>) -> Result<Self, Problem> {
        let length = length.unwrap_or(MAX_JSON as u64);
        if length > MAX_JSON as u64 {
            return Err(too_long());
        }
        if !is_long(length) {
            return Ok(Self(None));
        }
        gate::enter(room, kib(length)).await.map(Some).map(Self)
    }

    /// Gives back what a body of this length does not need.
    pub(super) fn shrink(&mut self, length: usize) {
        let Some(place) = &mut self.0 else { return };
        let unused = place.num_permits().saturating_sub(length.div_ceil(KIB));
        drop(place.split(unused));
    }
}

/// Whether a body of this length needs room.
pub(super) fn is_long(length: u64) -> bool {
    length > SHORT
}

fn kib(length: u64) -> u32 {
    u32::try_from(length.div_ceil(KIB as u64)).unwrap_or(u32::MAX)
}

pub(super) fn too_long() -> Problem {
    Problem::too_large("the JSON is longer than 32 MiB, or broke off; use multipart/form-data")
}
