//! What goes on around a job that has not ended: who else is at work, and what is not well.

use ::events::WaitingFor;
use ::events::wire::client::Poll;
use ::events::wire::operator::{Condition, Health, Part};

/// Sentences to go on with, each with a space before it.
pub(super) fn told(poll: &Poll, health: Option<&Health>) -> String {
    let Some(health) = health else { return String::new() };
    let beside = match (poll.waiting_for, health.queue.in_flight) {
        (Some(WaitingFor::Slot), 0) => " No render runs now.".to_owned(),
        (Some(WaitingFor::Slot), 1) => " One render runs now.".into(),
        (Some(WaitingFor::Slot), n) => format!(" {n} renders run now."),
        _ => String::new(),
    };
    let ill: Vec<_> = health.parts.iter().filter(|part| is_ill(part)).map(trouble).collect();
    if ill.is_empty() { beside } else { format!("{beside} Kiln is not well, which may be why: {}.", ill.join("; ")) }
}

fn is_ill(part: &Part) -> bool {
    match part.status {
        Condition::Down | Condition::Degraded => true,
        Condition::Ok | Condition::Unknown => false,
    }
}

fn trouble(part: &Part) -> String {
    ::events::clean(part.detail.trim_end_matches('.'), 300)
}
