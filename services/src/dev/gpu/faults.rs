//! What the stand-in does wrong on purpose, and how often.

use std::collections::BTreeMap;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Something that a real provider does at the worst moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// The container's word about its end never arrives, though it believes so.
    DropCallback,
    /// It arrives three times.
    RepeatCallback,
    /// It arrives after [`Fault::LATE`].
    LateCallback,
    /// A submit is taken, and its answer breaks off.
    LoseAnswer,
    /// 429 with `Retry-After: 1`.
    #[serde(rename = "refuse-429")]
    Refuse429,
    /// 401.
    #[serde(rename = "refuse-401")]
    Refuse401,
    /// A submit is refused with 200 and `{"error"}`.
    OkWithError,
    /// 303, as after 150 s of silence.
    #[serde(rename = "redirect-303")]
    Redirect303,
    /// 200 and a page for people.
    Html,
    /// No answer for 150 s.
    Hang,
    /// A container is stopped while it renders, and its input started again.
    Preempt,
    /// A container dies while it renders.
    Crash,
    /// A call that ended is not known any more.
    ForgetResults,
    /// A call is taken and never started.
    Stuck,
}

impl Fault {
    /// How late a late callback is.
    pub const LATE: std::time::Duration = std::time::Duration::from_secs(5);
}

/// A text that names no fault, or no probability from 0 to 1.
#[derive(Debug, thiserror::Error)]
#[error(
    "a fault is `NAME` or `NAME=PROBABILITY`, the probability from 0 to 1, and the name one of `drop-callback`, \
    `repeat-callback`, `late-callback`, `lose-answer`, `refuse-429`, `refuse-401`, `ok-with-error`, `redirect-303`, \
    `html`, `hang`, `preempt`, `crash`, `forget-results`, `stuck`"
)]
pub struct BadFault;

/// A fault and how often it strikes: `crash`, or `crash=0.5`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Chance(pub Fault, pub f64);

impl FromStr for Chance {
    type Err = BadFault;
    fn from_str(text: &str) -> Result<Self, BadFault> {
        let (name, probability) = text.split_once('=').unwrap_or((text, "1"));
        let fault = serde_json::from_value(name.into()).map_err(|_| BadFault)?;
        let probability = probability.parse().map_err(|_| BadFault)?;
        if is_probability(probability) { Ok(Self(fault, probability)) } else { Err(BadFault) }
    }
}

fn is_probability(number: f64) -> bool {
    (0.0..=1.0).contains(&number)
}

/// The faults that are switched on, and the dice.
#[derive(Debug, Default)]
pub(super) struct Faults {
    chances: BTreeMap<Fault, f64>,
    dice: fastrand::Rng,
}

impl Faults {
    pub(super) fn new(chances: &[Chance], seed: u64) -> Self {
        let chances = chances.iter().map(|Chance(fault, probability)| (*fault, *probability)).collect();
        Self { chances, dice: fastrand::Rng::with_seed(seed) }
    }

    /// Whether this fault is to happen now.
    pub(super) fn strikes(&mut self, fault: Fault) -> bool {
        let probability = self.chances.get(&fault).copied().unwrap_or(0.0);
        probability > 0.0 && self.dice.f64() < probability
    }

    /// Changes some chances, all or none; a chance of 0 switches a fault off.
    pub(super) fn change(&mut self, chances: &BTreeMap<Fault, f64>) -> Result<(), BadFault> {
        if !chances.values().copied().all(is_probability) {
            return Err(BadFault);
        }
        self.chances.extend(chances);
        Ok(())
    }

    pub(super) fn chances(&self) -> &BTreeMap<Fault, f64> {
        &self.chances
    }
}
