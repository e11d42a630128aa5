//! The crate's tests, in one binary.

mod checks;
#[path = "model/model.rs"]
mod model;
