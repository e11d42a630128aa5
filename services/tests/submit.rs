//! Submitting: every request is refused by name or accepted once, whatever breaks on the way.

mod desk;
mod fields;
mod full;
mod keys;
mod killed;
mod long;
mod repeated;
mod store;
mod sweep;
mod trace;
mod upload;
mod wire;
