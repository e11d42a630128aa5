//! kiln from outside: the real binary, a real nats-server, a real S3 server, a real render.

mod bad_input;
mod callbacks;
mod demo;
mod life;
mod world;
