//! The recipes as they are typed, with the real `nats`: the one that `KILN_NATS_CLI` or `PATH` names.

#![expect(clippy::print_stdout, reason = "a test's output is for people")]

mod recipes;
#[path = "recipes/commands.rs"]
mod way;
mod world;
