//! What a kiln job is: its events, its state, its decisions, and what crosses each wire.
//!
//! This crate must not do I/O, read a clock or the environment, be async, or log. Facts come in, facts and decisions
//! go out; whoever calls brings the time. That is what lets one function serve the worker, the webhook, the projector,
//! a rebuild and the command line, and lets a model checker drive the real code.
//!
//! - [`Job::absorb`] joins recorded events into a job: any order, any repetition, the same job.
//! - [`decide`] turns a [`Command`] into the [`Event`] to append, or a [`Rejection`].
//! - [`next_step`] tells a worker what to do now.

#![warn(missing_docs)]

pub mod capability;
mod decide;
pub mod event;
mod failure;
mod id;
pub mod job;
pub mod key;
mod policy;
mod secret;
pub mod seen;
pub mod spec;
mod status;
mod step;
pub mod subject;
mod timestamp;
pub mod wire;

pub use decide::{Command, Rejection, decide};
pub use event::{Event, Recorded, WaitingFor};
pub use failure::{Code, Failure, clean};
pub use id::{Attempt, BadAttempt, BadJobId, JobId};
pub use job::Job;
pub use key::AudioKey;
pub use policy::Policy;
pub use secret::Secret;
pub use seen::Seen;
pub use spec::{Mode, OutputFormat, RenderConfig, Spec};
pub use status::{Entry, Status, stage};
pub use step::{Step, next_step};
pub use subject::Kind;
pub use timestamp::Timestamp;
