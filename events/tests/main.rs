//! The crate's tests, in one binary.

#[path = "model/model.rs"]
mod model;
mod checks;
