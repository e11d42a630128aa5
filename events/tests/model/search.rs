//! Breadth first through every world, up to the bounds; and from each world on, whether an end is reached.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::model::action::{Action, Move, Outcome, successors};
use crate::model::world::{Bounds, Fault, Late, Phase, Verdict, World};

/// What a search found.
pub(crate) struct Report {
    /// How many different worlds.
    pub(crate) states: usize,
    /// How many ways from one to another.
    pub(crate) transitions: usize,
    /// How many actions the longest of the shortest ways has.
    pub(crate) depth: u32,
    /// Whether every world within the bounds was seen.
    pub(crate) is_whole: bool,
    /// How often each noteworthy thing happened.
    pub(crate) milestones: BTreeMap<String, usize>,
    /// The first promise that was broken, with the shortest way there.
    pub(crate) broken: Option<(String, Vec<Action>)>,
}

/// Where a world was found: from which one, and how. The worlds themselves are not kept, only 64 bits of each; that two
/// of ten million share them has a chance of about one in 400 000.
struct Found {
    from: u32,
    action: Action,
    depth: u32,
}

pub(crate) fn search(bounds: &Bounds) -> Report {
    let first = World::new(bounds);
    let mut known = HashMap::from([(digest(&first), 0_u32)]);
    let mut found = vec![Found { from: 0, action: Action::Tick, depth: 0 }];
    let mut queue = VecDeque::from([(0_u32, first)]);
    let mut ends = Ends::default();
    let mut report =
        Report { states: 1, transitions: 0, depth: 0, is_whole: true, milestones: BTreeMap::new(), broken: None };
    while let Some((index, world)) = queue.pop_front() {
        if let Err((why, rest)) = ends.check(&world, bounds) {
            report.broken = Some((why, [way(&found, index), rest].concat()));
            break;
        }
        for (action, next) in successors(&world, bounds) {
            report.transitions += 1;
            let next = next.and_then(|next| next.check(&world).map(|()| next));
            let next = match next {
                Ok(next) => next,
                Err(why) => {
                    let mut path = way(&found, index);
                    path.push(action);
                    report.broken = Some((why, path));
                    report.states = found.len();
                    return report;
                }
            };
            for milestone in milestones(&world, action, &next) {
                *report.milestones.entry(milestone).or_default() += 1;
            }
            let depth = found[index as usize].depth + 1;
            if let Entry::Vacant(slot) = known.entry(digest(&next)) {
                if found.len() >= bounds.states {
                    report.is_whole = false;
                    continue;
                }
                let number = u32::try_from(found.len()).expect("fewer than four thousand million states");
                slot.insert(number);
                report.depth = report.depth.max(depth);
                found.push(Found { from: index, action, depth });
                queue.push_back((number, next));
            }
        }
    }
    report.states = found.len();
    report
}

fn digest(world: &World) -> u64 {
    let mut hasher = DefaultHasher::new();
    world.hash(&mut hasher);
    hasher.finish()
}

fn way(found: &[Found], mut index: u32) -> Vec<Action> {
    let mut path = Vec::new();
    while index != 0 {
        path.push(found[index as usize].action);
        index = found[index as usize].from;
    }
    path.reverse();
    path
}

/// The worlds that are known to end, if nothing goes wrong any more, once with renders that finish and once with
/// renders that never do anything again.
#[derive(Default)]
struct Ends {
    known: [HashSet<u64>; 2],
}

impl Ends {
    fn check(&mut self, world: &World, bounds: &Bounds) -> Result<(), (String, Vec<Action>)> {
        [false, true].into_iter().try_for_each(|is_stuck| {
            let mut path = Vec::new();
            self.follow(is_stuck, world, bounds, &mut path).map_err(|why| (why, path))
        })
    }

    fn follow(&mut self, is_stuck: bool, world: &World, bounds: &Bounds, path: &mut Vec<Action>) -> Result<(), String> {
        let calm = Bounds { ticks: u8::MAX, menu: Vec::new(), ..bounds.clone() };
        let mut world = World { faults_left: 0, ..world.clone() };
        for _ in 0..400 {
            if world.is_quiet() || !self.known[usize::from(is_stuck)].insert(digest(&world)) {
                return Ok(());
            }
            let all = successors(&world, &calm);
            let soonest = all.into_iter().min_by_key(|(action, _)| haste(*action, is_stuck));
            let (action, next) = soonest.expect("time can always pass");
            path.push(action);
            let next = next?;
            next.check(&world)?;
            world = next;
        }
        Err("the job never ends, though nothing goes wrong any more".into())
    }
}

/// What happens first when all goes well: what is under way arrives, containers work, workers work, time passes.
fn haste(action: Action, is_stuck: bool) -> u8 {
    match action {
        Action::Arrive | Action::CancelArrives | Action::Call(_, Move::Finish) => 0,
        Action::Call(_, Move::Start | Move::Load | Move::Render) if !is_stuck => 1,
        Action::Perform(_, Outcome::Well) => 2,
        Action::Decide(_) => 3,
        Action::Deliver(_) => 4,
        Action::Tick => 5,
        _ => 9,
    }
}

/// The histories that broke earlier designs, and the ends, so that a test can ask whether they were met.
fn milestones(before: &World, action: Action, after: &World) -> Vec<String> {
    let mut met = Vec::new();
    let job = before.job();
    if let Action::Perform(w, Outcome::But(Fault::Refused | Fault::Busy)) = action
        && let Some(worker) = &before.workers[w]
        && let Some(crate::model::world::Plan::Dispatch(n)) = worker.plan
        && job.facts(n).is_none()
        && before.calls.iter().any(|call| call.attempt == n)
    {
        met.push("a repeated submit is refused, though the first one was accepted".into());
    }
    if let Action::Perform(0, _) = action
        && before.workers[1].is_some()
        && after.log != before.log
    {
        met.push("a frozen worker wakes after another one took over, and writes".into());
    }
    if let Action::Call(c, Move::Load | Move::Finish) = action
        && after.calls[c].phase == Phase::Returned(Verdict::Superseded)
        && job.facts(after.calls[c].attempt).and_then(|facts| facts.started.as_ref()).is_some()
        && after.calls.iter().any(|call| call.is_granted && call.attempt == after.calls[c].attempt)
        && !after.calls[c].is_granted
    {
        met.push("of two calls for one attempt one claims, and the other one leaves".into());
    }
    if action == Action::Arrive && matches!(before.late.as_deref(), Some(Late::Append(_))) && before.log != after.log {
        met.push("a fact whose sender gave it up is stored late".into());
    }
    if after.is_quiet() && !before.is_quiet() {
        let job = after.job();
        let why = job.failure().map_or_else(
            || job.completed().map_or(String::new(), |done| done.attempt.to_string()),
            |f| f.code.to_string(),
        );
        met.push(format!("end: {} {why}", job.status()).trim_end().to_owned());
    }
    met
}
