//! kiln from outside: the real binary, a real nats-server, a real S3 server, a real render; on free ports, in parallel.

mod bad_input;
mod contract;
mod demo;
mod faults;
mod fence;
mod follow;
mod gpu;
mod guard;
mod invariants;
mod keys;
mod life;
mod limits;
mod modal;
mod openapi;
mod python;
mod render;
mod replay;
mod roles;
mod s3;
mod stage;
mod support;
mod webhook;
mod world;
