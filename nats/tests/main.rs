//! This crate against a real server: one per test, on free ports, all in parallel.

mod tool;
