//! The embedded world of `kiln dev`, `kiln demo` and the tests: an S3 server and a GPU stand-in.

pub mod gpu;
pub mod s3;
