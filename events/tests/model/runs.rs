//! Which worlds are explored, and which rules are switched off to see what they are for.

use crate::model::world::{Bounds, Fault, Rule};

/// The runs that together make the check. `size` 0 takes seconds in a debug build, 1 minutes in a release build.
pub(crate) fn runs(size: usize) -> Vec<(&'static str, Bounds)> {
    use Fault::{
        AnswerLost, Busy, CallbackLost, Cancel, Crash, Dies, Forgotten, Garbage, Late, Lies, NoAnswer, Preempt,
        Refused, RenderFails, RequestLost, Slow, SpawnerDies, Takeover,
    };
    let states = [25_000, 3_000_000][size];
    let run = |name, menu: &[Fault], faults: [u8; 2], ticks: [u8; 2]| {
        let bounds = Bounds {
            ticks: ticks[size],
            faults: faults[size],
            menu: menu.to_vec(),
            without: None,
            expires: name == "a request that expires",
            states,
        };
        (name, bounds)
    };
    vec![
        run("nothing goes wrong", &[], [0, 0], [8, 11]),
        run("one of everything", &Fault::ALL, [1, 1], [3, 6]),
        run("some of everything", &Fault::ALL, [2, 2], [2, 6]),
        run("submits that are lost and refused", &[AnswerLost, RequestLost, Refused, Busy], [2, 3], [3, 6]),
        run("a submit that is refused after it was accepted", &[AnswerLost, Refused], [2, 2], [3, 9]),
        run("spawners and workers that die", &[SpawnerDies, Crash, Takeover, Refused], [2, 3], [2, 4]),
        run("workers that are late", &[Takeover, Late, Slow, Cancel], [2, 3], [2, 4]),
        run("renders that end badly", &[RenderFails, Dies, Lies, Preempt, CallbackLost], [2, 3], [4, 8]),
        run("a render that fails twice", &[RenderFails], [2, 2], [3, 9]),
        run("a provider that forgets", &[Forgotten, NoAnswer, CallbackLost], [1, 3], [8, 9]),
        run("a provider that forgets twice", &[Forgotten], [2, 2], [4, 9]),
        run("garbage in the log", &[Garbage, Crash, SpawnerDies], [1, 3], [2, 5]),
        run("a request that expires", &[AnswerLost, Refused, Busy, Crash], [1, 3], [4, 7]),
    ]
}

/// The smallest worlds in which each rule is missed, and the promise that is broken there.
pub(crate) fn ablations() -> Vec<(Rule, Bounds, &'static str)> {
    let run = |rule, menu: &[Fault], faults, ticks, broken| {
        let bounds =
            Bounds { ticks, faults, menu: menu.to_vec(), without: Some(rule), expires: false, states: 1_000_000 };
        (rule, bounds, broken)
    };
    let runs_on = "a render goes on, though the job has ended and nobody watches it";
    vec![
        run(Rule::WriteOnce, &[Fault::Republish], 1, 3, "the request under way was replaced by another one"),
        run(Rule::ClaimFence, &[Fault::SpawnerDies], 1, 3, "two renders of attempt 1 got past the claim"),
        run(Rule::Reconciliation, &[], 0, 5, runs_on),
        run(
            Rule::IdempotentSubmit,
            &[Fault::AnswerLost],
            1,
            3,
            "attempt 1 was paid for twice, and no spawner had died",
        ),
        run(Rule::ExpectedSequence, &[Fault::SpawnerDies, Fault::Cancel], 2, 3, runs_on),
        run(Rule::ExpectedSequence, &[Fault::SpawnerDies, Fault::Dies], 2, 4, runs_on),
    ]
}
