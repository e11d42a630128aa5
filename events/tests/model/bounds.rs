//! How far a run of the checker goes, what may go wrong in it, and by which rules.

/// A rule of the design that can be switched off, to see what it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Rule {
    /// The server refuses a second message on a subject. Without it, the last message stays, as in a stream by default.
    WriteOnce,
    /// A container renders only when its claim is the attempt's first.
    ClaimFence,
    /// A silent render is investigated. Without it, silence is death.
    Reconciliation,
    /// The provider answers a repeated key with the same call.
    IdempotentSubmit,
    /// An append names the sequence that its decision was made at.
    ExpectedSequence,
}

/// What can go wrong; each costs one of the faults that a run allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Fault {
    Crash,
    Takeover,
    AnswerLost,
    RequestLost,
    Late,
    SpawnerDies,
    Busy,
    Refused,
    Misconfigured,
    NoAnswer,
    RenderFails,
    Dies,
    Lies,
    Preempt,
    CallbackLost,
    Forgotten,
    Cancel,
    Garbage,
    Republish,
    /// Time passes while somebody could act: a frozen worker, a slow webhook, a long way.
    Slow,
}

impl Fault {
    pub(crate) const ALL: [Self; 20] = [
        Self::Crash,
        Self::Takeover,
        Self::AnswerLost,
        Self::RequestLost,
        Self::Late,
        Self::SpawnerDies,
        Self::Busy,
        Self::Refused,
        Self::Misconfigured,
        Self::NoAnswer,
        Self::RenderFails,
        Self::Dies,
        Self::Lies,
        Self::Preempt,
        Self::CallbackLost,
        Self::Forgotten,
        Self::Cancel,
        Self::Garbage,
        Self::Republish,
        Self::Slow,
    ];
}

/// One run of the checker: how far it goes, and by which rules.
#[derive(Clone, Debug)]
pub(crate) struct Bounds {
    /// The last tick that is explored.
    pub(crate) ticks: u8,
    /// How many faults one history may have.
    pub(crate) faults: u8,
    /// Which ones.
    pub(crate) menu: Vec<Fault>,
    /// The rule that is switched off.
    pub(crate) without: Option<Rule>,
    /// Whether the request ends by itself after two ticks without dispatch.
    pub(crate) expires: bool,
    /// No more states than this.
    pub(crate) states: usize,
}

impl Bounds {
    pub(crate) fn has(&self, rule: Rule) -> bool {
        self.without != Some(rule)
    }
}
