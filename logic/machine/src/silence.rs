//! Why a machine went quiet: rules over its timeline that name the likely cause and what to do.
//!
//! A rule looks at how far the newest boot came (`attempt`). The rules stand in the order of a boot's steps, and
//! the last step reached decides.

mod attempt;
mod rules;

pub use attempt::Attempt;

use crate::timeline::Timeline;
use jiff::Timestamp;

/// The likely cause of a silence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// The rule's name, such as `offer-not-taken`.
    pub rule: &'static str,
    /// What is seen, and what it means, as a sentence.
    pub cause: String,
    /// What to do, as a sentence.
    pub advice: &'static str,
}

/// Says why a machine has gone quiet. Nothing where it has not, or where being quiet is what it was told to do.
pub fn explain(timeline: &Timeline, now: Timestamp) -> Option<Explanation> {
    let attempt = Attempt::of(timeline)?;
    let quiet = now.as_second() - timeline.last()?.as_second();
    let rule = rules::RULES.iter().find(|rule| (rule.applies)(&attempt))?;
    let cause = (quiet >= rule.patience_seconds).then(|| (rule.cause)(&attempt))?;
    Some(Explanation { rule: rule.name, cause, advice: rule.advice })
}

#[cfg(test)]
mod tests;
