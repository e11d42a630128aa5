//! The crate's tests, in one binary.

mod capability;
mod exhaustive;
mod fixtures;
mod generated;
mod hostile;
#[path = "model/model.rs"]
mod model;
mod properties;
mod rules;
