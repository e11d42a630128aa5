//! What a kiln job is: its events, its state, its decisions, and what crosses each wire.
//!
//! This crate must not do I/O, read a clock or the environment, be async, or log. Facts come in, facts and decisions
//! go out; whoever calls brings the time. That is what lets one function serve the worker, the webhook, the projector,
//! a rebuild and the command line, and lets a model checker drive the real code.
//!
//! - [`Job::absorb`] joins recorded events into a job: any order, any repetition, the same job.
//! - [`decide`] turns a [`Command`] into the [`Event`] to append, or a [`Rejection`].
//! - [`next_step`] tells a worker what to do now.
//!
//! ```
//! use events::{Attempt, AudioKey, Command, Job, JobId, Policy, Recorded, Rejection, Seen, Spec, Status, Step, Timestamp};
//! use events::{decide, next_step, spec::Audio};
//!
//! let id = JobId::parse("0193a5c0-7c1e-7b3a-9d52-1f0c8a7be001")?;
//! let key = AudioKey::of_job(id, "flac")?;
//! let spec = Spec::new(Audio::Stored { key, sha256: None, size_bytes: None });
//! let now = Timestamp::parse("2026-11-21T12:00:00.000Z")?;
//!
//! let mut job = Job::default();
//! let event = decide(&job, Command::Request(spec.clone()))?;
//! let recorded = Recorded { seq: 1, time: now, event };
//! job.absorb(&recorded);
//! job.absorb(&recorded); // a redelivery changes nothing
//! assert_eq!(job.status(), Status::Pending);
//!
//! // A second request of the same job is no second fact; a worker that just took the job dispatches it.
//! assert_eq!(decide(&job, Command::Request(spec)), Err(Rejection::AlreadyKnown));
//! let step = next_step(&job, &Seen::new(id, true), now, &Policy::default());
//! assert_eq!(step, Step::Dispatch(Attempt::FIRST));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The rules as tables are in `transitions.md`; `schemas/` holds the contract for other languages. Both are generated:
//! `cargo regen` accepts a change.
//!
//! # How it is checked
//!
//! `tests/rules.rs` names every pair of state and event, and of state and command. `tests/properties.rs` says what holds
//! for every history (`PROPTEST_CASES=10000` for the full number). `tests/exhaustive.rs` explores, breadth first, every
//! order in which two workers, a webhook, the provider, its calls and containers, a person and a few faults can act on
//! one job, with the real [`Job::absorb`], [`decide`] and [`next_step`] in the middle. In each world it holds that
//!
//! - at most one call of an attempt gets past its claim, and two attempts never render at once (a call that the provider
//!   itself has forgotten is excepted: nobody can stop it; it stops at its next report);
//! - an attempt has one call, and one more for each spawner that died before it noted its key;
//! - a final status, a recorded fact and the request never change, and no status goes back;
//! - a job is let go only after its end, and then nothing of it renders but the attempt that delivered;
//! - no worker does one thing twice without news and without time between, or waits for a moment that is past;
//! - an end is reached if nothing goes wrong any more, also if every call hangs for ever.
//!
//! ```text
//! cargo run --release -p events --example model                          # all runs: 21 million states, some minutes
//! cargo run --release -p events --example model -- without ClaimFence    # without one rule, and what happens then
//! ```
//!
//! # Why an append names a sequence
//!
//! Without the expected sequence, write-once subjects and "the first end counts" do not suffice. A decision may rest on
//! what is *not* in the log, on another subject, and write-once does not protect an absence. The checker's history: a
//! spawner dies after it made a call; the call's container claims, and the webhook, seeing a live job, decides on
//! `started.1`; a person cancels; the worker stops attempt 1 (it knows no call to name) and lets go of the job; now
//! `started.1` is appended, on a subject that is free, and the container renders for nobody. `attempt_failed.1` against
//! `started.1` is the same race: attempt 2 is submitted while attempt 1 renders. So every append that follows from a
//! decision names the sequence that it was decided at. (Without any one of write-once subjects, the claim, reconciliation and idempotent submits a promise
//! breaks too; `without_any_one_rule_a_promise_is_broken` tells how. Without idempotent submits it is the money: the
//! claim still keeps the second call from rendering.)
//!
//! # How fast it is
//!
//! `cargo bench -p events`, medians on two shared cores: [`Job::absorb`] 3 ns for a repeated fact and 36 ns for a new one,
//! 190 ns for a history of five; [`next_step`] 60 ns; [`Event::read`] 0.2 µs for a dispatch and 0.7 µs for a request;
//! writing a request 1.3 µs; writing and reading an [`Entry`] 4.2 µs.
//!
//! # Mutants
//!
//! `cargo mutants -p events -- --test main -- --skip exhaustive` (the model check kills more, and takes 10 s for each).
//! One survivor is known, and means nothing: the guard in `dispatch` (`decide.rs`) made `true`. Facts of an attempt are never
//! empty, and one that only failed is refused before. Only a fifth of the mutants have been run so far.

#![warn(missing_docs)]

pub mod capability;
mod decide;
pub mod event;
mod failure;
mod hex;
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
pub use hex::hex;
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
