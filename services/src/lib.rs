//! The program `kiln`: its roles, and what they share.
//!
//! Roles (`api`, `worker`, `webhook`, `projector`) never import each other; `roles` starts them. Nothing here spells a
//! subject, acknowledges a message or decides about a job: that is done in `nats` and `events`.

pub mod api;
pub mod audio;
mod bar;
pub mod beacon;
pub mod bucket;
pub mod cli;
pub mod client;
pub mod clock;
pub mod config;
#[cfg(feature = "dev")]
pub mod dev;
pub mod doctor;
pub mod fence;
pub mod fetch;
pub mod film;
pub mod guard;
pub mod http;
pub mod keys;
pub mod metrics;
pub mod modal;
pub mod news;
pub mod output;
mod page;
mod people;
pub mod probe;
pub mod program;
pub mod projector;
pub mod rebuild;
pub mod render;
pub mod roles;
pub mod stdout;
pub mod sweeper;
pub mod trace;
pub mod webhook;
pub mod worker;

/// A fifth of what kiln computes went into the system's allocator: answers are built on one thread and let go on another.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// An error and everything below it, on one line.
pub fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut below = error.source();
    while let Some(error) = below {
        text.push_str(": ");
        text.push_str(&error.to_string());
        below = error.source();
    }
    events::clean(&text, 1000)
}
