//! The role `webhook` with a real log and a real store, and nobody else who would move a job.

mod bodies;
mod canary;
mod door;
mod permutations;
mod processes;
mod refused;
mod repeated;

pub(crate) use canary::{messages, scan, secrets};
pub(crate) use door::mint;
