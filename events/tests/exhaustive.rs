//! The model check, small enough for every `cargo test`. The large one is `cargo run --release -p events --example model`.

use std::collections::BTreeSet;

use crate::model::runs::{ablations, runs};
use crate::model::search::search;
use crate::model::story::story;
use crate::model::world::Bounds;

#[test]
fn every_promise_holds_in_every_world() {
    let mut met = BTreeSet::new();
    for (name, bounds) in runs(0) {
        let report = search(&bounds);
        if let Some((why, path)) = report.broken {
            panic!("{name}:\n{}", story(&bounds, &why, &path));
        }
        assert!(report.states > 200, "{name}: only {} states", report.states);
        met.extend(report.milestones.into_keys());
    }
    let expected = [
        // The histories that broke earlier designs.
        "a repeated submit is refused, though the first one was accepted",
        "a frozen worker wakes after another one took over, and writes",
        "of two calls for one attempt one claims, and the other one leaves",
        "a fact whose sender gave it up is stored late",
        // Every way to end.
        "end: cancelled",
        "end: complete 1",
        "end: complete 2",
        "end: failed deadline_exceeded",
        "end: failed dispatch_refused",
        "end: failed log_corrupt",
        "end: failed render_failed",
    ];
    for milestone in expected {
        assert!(met.contains(milestone), "no history has this in it: {milestone}; only {met:#?}");
    }
}

#[test]
fn without_any_one_rule_a_promise_is_broken() {
    for (rule, bounds, broken) in ablations() {
        let (why, path) = search(&bounds).broken.unwrap_or_else(|| panic!("nothing breaks without {rule:?}"));
        let story = story(&bounds, &why, &path);
        assert!(why == broken && story.ends_with(&format!("So {broken}.")), "{story}");
        let with = search(&Bounds { without: None, ..bounds.clone() });
        if let Some((why, path)) = with.broken {
            panic!(
                "with {rule:?} too:\n{}",
                crate::model::story::story(&Bounds { without: None, ..bounds }, &why, &path)
            );
        }
        assert!(with.is_whole, "{rule:?}: {} states are too few", with.states);
    }
}
