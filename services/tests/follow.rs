//! Following a job: polls, long polls, streams and lists, over several apis, while the log and the bucket are mistreated.

pub(crate) mod desk;
mod list;
mod poll;
mod stream;
