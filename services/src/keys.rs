//! Who calls, and what that one may do.

use std::sync::Arc;

/// What a key may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// Submit and retry jobs, and get places to upload to.
    Submit,
    /// Poll, follow, list and look back.
    Read,
    /// Cancel jobs.
    Cancel,
    /// Everything, and what only operators need.
    Admin,
}

impl Scope {
    /// As it is written in the key file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Submit => "submit",
            Self::Read => "read",
            Self::Cancel => "cancel",
            Self::Admin => "admin",
        }
    }
}

/// Who sent a request; every handler of the api may ask for it with `Extension<Caller>`.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Whose idempotency keys these are: the id of the API key.
    pub owner: Arc<str>,
}

impl Caller {
    /// Where no keys are asked for, all callers are this one.
    pub fn anonymous() -> Self {
        Self { owner: "anonymous".into() }
    }
}
