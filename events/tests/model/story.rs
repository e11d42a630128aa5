//! A broken promise, told so that a person can follow it.

use crate::model::action::{Action, Move, Outcome, successors};
use crate::model::world::{Bounds, Fault, Late, Phase, Plan, World};

/// The way to a broken promise, one line for each thing that happened.
pub(crate) fn story(bounds: &Bounds, why: &str, path: &[Action]) -> String {
    let mut world = World::new(bounds);
    // The end of the way may lie beyond the last tick that was explored.
    let bounds = &Bounds { ticks: u8::MAX, menu: Fault::ALL.to_vec(), ..bounds.clone() };
    world.faults_left = u8::MAX;
    let mut lines = vec![format!("0 s   A publisher asks for a render (at most 2 attempts).")];
    for action in path {
        let next = successors(&world, bounds).into_iter().find(|(candidate, _)| candidate == action);
        let Some((_, next)) = next else { break };
        if *action != Action::Tick {
            lines.push(format!("{} s   {}", world.now, sentence(&world, *action, next.as_ref().ok())));
        }
        let Ok(next) = next else { break };
        world = next;
    }
    lines.push(format!("So {why}."));
    lines.join("\n")
}

fn sentence(before: &World, action: Action, after: Option<&World>) -> String {
    match action {
        Action::Tick => "Time passes.".into(),
        Action::Deliver(w) if before.workers[1 - w].is_some() => {
            format!("{} is slow; the log hands the job to {} as well.", name(1 - w), name(w))
        }
        Action::Deliver(w) => format!("The log hands the job to {}.", name(w)),
        Action::Decide(w) => {
            let plan = after.and_then(|after| after.workers[w].as_ref()).and_then(|worker| worker.plan.as_ref());
            format!("{} loads the job and decides: {}.", name(w), plan.map_or("wrong".into(), intention))
        }
        Action::Perform(w, outcome) => {
            let plan = before.workers[w].as_ref().and_then(|worker| worker.plan.as_ref());
            let stored = after.is_some_and(|after| after.log != before.log);
            format!("{}: {}{}.", name(w), plan.map_or("nothing".into(), deed), result(plan, outcome, stored))
        }
        Action::Crash(w) => format!("{} dies, and with it all that it had seen.", name(w)),
        Action::Call(c, what) => {
            format!("Call fc-{c} (attempt {}): {}.", before.calls[c].attempt, moved(before, c, what, after))
        }
        Action::Cancel => "A person cancels; the api decides that this may be.".into(),
        Action::CancelArrives => "The api appends `cancelled`.".into(),
        Action::Arrive => match before.late.as_deref() {
            Some(Late::Submit(n)) => format!("The submit of attempt {n} that was given up arrives at the provider."),
            Some(Late::Append(append)) => {
                format!("The `{}` that was given up arrives at the log.", kind(&append.event))
            }
            None => String::new(),
        },
        Action::Garbage(kind) => format!("A stranger writes garbage on `{kind}`."),
        Action::Republish => "The publisher asks once more, for 60 frames per second.".into(),
    }
}

fn name(w: usize) -> &'static str {
    ["Worker A", "Worker B"][w]
}

fn kind(event: &events::Event) -> String {
    event.kind().map_or("unknown".into(), |kind| kind.to_string())
}

fn intention(plan: &Plan) -> String {
    match plan {
        Plan::Dispatch(n) => format!("submit attempt {n}"),
        Plan::Append(append) => format!("append `{}` at sequence {}", kind(&append.event), append.expected),
        Plan::Ask(_, call) => format!("ask about {call}"),
        Plan::Look(n) => format!("look for the video of attempt {n}"),
        Plan::Stop(n, _) => format!("stop attempt {n}"),
        Plan::LetGo => "let go of the job".into(),
    }
}

fn deed(plan: &Plan) -> String {
    match plan {
        Plan::Dispatch(n) => format!("submits attempt {n}"),
        Plan::Append(append) => format!("appends `{}`", kind(&append.event)),
        Plan::Ask(_, call) => format!("asks about {call}"),
        Plan::Look(n) => format!("looks for the video of attempt {n}"),
        Plan::Stop(n, _) => format!("stops attempt {n}"),
        Plan::LetGo => "lets go of the job".into(),
    }
}

fn result(plan: Option<&Plan>, outcome: Outcome, is_stored: bool) -> &'static str {
    match outcome {
        Outcome::Well if matches!(plan, Some(Plan::Append(_))) && !is_stored => "; the log refuses it",
        Outcome::Well => "",
        Outcome::But(Fault::AnswerLost) => "; it is accepted, but the answer is lost",
        Outcome::But(Fault::RequestLost) => "; the request is lost on its way, and the worker cannot know",
        Outcome::But(Fault::Late) => "; no answer comes, and the request still travels",
        Outcome::But(Fault::SpawnerDies) => {
            "; a call is made, but the spawner dies before it notes the key, and answers nothing"
        }
        Outcome::But(Fault::Busy) => "; it is told to come back later",
        Outcome::But(Fault::Refused) => "; it is refused for good",
        Outcome::But(Fault::Misconfigured) => "; our own key is refused",
        Outcome::But(_) => "; no answer comes",
    }
}

fn moved(before: &World, c: usize, what: Move, after: Option<&World>) -> String {
    let call = &before.calls[c];
    let phase = after.map(|after| after.calls[c].phase);
    match what {
        Move::Start => "its container starts".into(),
        Move::Load if phase == Some(Phase::Rendering) => "its claim is granted; it renders".into(),
        Move::Load => match after.and_then(|after| after.calls[c].request.as_deref()) {
            Some(append) => format!("it reports; the webhook decides to append `{}`", kind(&append.event)),
            None => "it reports, and learns that it has nothing more to do".into(),
        },
        Move::Finish | Move::FinishUnheard => {
            let wish = call.request.as_deref().map_or(String::new(), |append| kind(&append.event));
            let heard = if what == Move::FinishUnheard { ", but the answer is lost" } else { "" };
            match phase {
                Some(Phase::Rendering) => format!("the webhook appends `{wish}`; the container renders"),
                _ if after.is_some_and(|after| after.log == before.log) => format!("the log refuses `{wish}`{heard}"),
                _ => format!("the webhook appends `{wish}`{heard}"),
            }
        }
        Move::Report => "it reports progress".into(),
        Move::Render => "it stores its video".into(),
        Move::Wrong(Fault::Preempt) => "it is preempted and starts anew".into(),
        Move::Wrong(Fault::CallbackLost) => "it ends, and its callback is lost for ever".into(),
        Move::Wrong(Fault::Forgotten) => "the provider forgets it".into(),
        Move::Wrong(Fault::Lies) => "it returns without a video, and says that there is one".into(),
        Move::Wrong(_) => "it dies".into(),
    }
}
