//! The exhaustive check at its full size, and the rules one by one switched off.
//!
//! ```text
//! cargo run --release -p events --example model                       every run, some minutes
//! cargo run --release -p events --example model -- without ClaimFence  one ablation, with its story
//! ```

#![expect(clippy::print_stdout, reason = "a program for people")]

#[path = "../tests/model/model.rs"]
mod model;

use model::runs::{ablations, runs};
use model::search::search;
use model::story::story;
use model::world::Bounds;

fn main() -> std::process::ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let is_sound = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => runs(1).iter().all(|(name, bounds)| explore(name, bounds)),
        ["without", wanted] => ablations()
            .iter()
            .filter(|(rule, ..)| format!("{rule:?}") == wanted)
            .all(|(_, bounds, _)| !explore(&format!("without {wanted}"), bounds)),
        _ => false,
    };
    if is_sound { std::process::ExitCode::SUCCESS } else { std::process::ExitCode::FAILURE }
}

fn explore(name: &str, bounds: &Bounds) -> bool {
    let report = search(bounds);
    let extent = if report.is_whole { "all" } else { "the first" };
    println!(
        "{name}: {extent} {} states, {} transitions, up to {} actions deep",
        report.states, report.transitions, report.depth
    );
    for (milestone, times) in &report.milestones {
        println!("  {times:>9} × {milestone}");
    }
    if let Some((why, path)) = &report.broken {
        println!("{}", story(bounds, why, path));
    }
    report.broken.is_none()
}
