//! The program `kiln`: its roles, and what they share.

pub mod bucket;
pub mod client;
pub mod clock;
pub mod config;
#[cfg(feature = "dev")]
pub mod dev;
pub mod film;
pub mod guard;
pub mod render;
