//! kiln whole: real processes on free ports, all tests in parallel.

mod gpu;
mod guard;
mod render;
mod s3;
mod stage;
mod support;
