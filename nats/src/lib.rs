//! kiln's log, its projection and its consumers on NATS `JetStream`.
//!
//! This crate must not know HTTP, S3 or Modal: it moves facts, and `events` says what they mean.

pub mod bench;
mod bus;
mod consumer;
mod counts;
pub mod dead;
mod ears;
mod error;
mod gate;
mod head;
pub mod inspect;
mod jobs;
mod leaderless;
mod letters;
mod log;
mod login;
mod projection;
mod pull;
mod reader;
mod rebuild;
mod record;
mod replay;
mod room;
pub mod server;
mod stored;
mod timeline;
pub mod tool;
pub mod topology;
mod unreadable;
mod watch;

pub use bus::Bus;
pub use consumer::{Consumer, Verdict};
pub use counts::Counts;
pub use error::{Cause, Error};
pub use head::Head;
pub use jobs::Jobs;
pub use letters::{Letter, Letters, Place, Redriven};
pub use log::{Append, Log, Outcome};
pub use login::{Login, Settings};
pub use projection::project;
pub use pull::Delivery;
pub use reader::Reader;
pub use rebuild::{Difference, Rebuilt, Verified, rebuild, verify};
pub use record::Record;
pub use room::Room;
pub use timeline::Line;
pub use watch::{Row, Watch};
