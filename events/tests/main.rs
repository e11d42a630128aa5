//! The crate's tests, in one binary.

mod exhaustive;
#[path = "model/model.rs"]
mod model;
