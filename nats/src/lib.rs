//! kiln's log, its projection and its consumers on NATS `JetStream`.
//!
//! This crate must not know HTTP, S3 or Modal: it moves facts, and `events` says what they mean.

mod bus;
mod error;
pub mod server;
pub mod tool;
pub mod topology;

pub use bus::{Bus, Login, Settings};
pub use error::{Cause, Error};
