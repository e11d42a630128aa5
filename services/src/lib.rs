//! The program `kiln`: its roles, and what they share.

pub mod client;
#[cfg(feature = "dev")]
pub mod dev;
pub mod film;
pub mod guard;
pub mod render;
