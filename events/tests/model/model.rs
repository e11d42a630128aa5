//! An exhaustive check of the rules: every order in which two workers, a webhook, the provider, its containers, a
//! person and a few faults can act, with the real `absorb`, `decide` and `next_step` in the middle.

pub(crate) mod action;
pub(crate) mod bounds;
pub(crate) mod container;
pub(crate) mod runs;
pub(crate) mod search;
pub(crate) mod story;
pub(crate) mod worker;
pub(crate) mod world;
