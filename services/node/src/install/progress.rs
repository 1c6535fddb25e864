//! How far an installation has come, and when it will end.

use super::Site;
use jiff::Timestamp;
use lab_install::steps::{Action, Step, steps};
use lab_kinds::metal::server::status::{Stage, StageOutcome};
use lab_object::Time;
use lab_wire::site::{Installation, Progress};
use std::cell::RefCell;

/// Tells a site how far its installation has come: at the beginning and end of each stage, and in between once a second.
pub struct Teller<'a> {
    /// Who is told.
    pub site: &'a dyn Site,
    plan: String,
    /// Each step and what it weighs.
    weights: Vec<(String, u64)>,
    began: Timestamp,
    now: RefCell<Now>,
}

/// The stage that is under way.
#[derive(Default)]
struct Now {
    stage: Stage,
    /// What all stages weigh that have ended.
    passed: u64,
    told: Option<Timestamp>,
}

impl<'a> Teller<'a> {
    /// Nothing has begun yet.
    pub fn new(given: &Installation, site: &'a dyn Site) -> Self {
        let weights =
            steps(&given.plan).iter().map(|step: &Step| (step.id.clone(), weight(&step.action))).collect();
        let plan = given.plan.hash.clone().unwrap_or_default();
        Self { site, plan, weights, began: site.now(), now: RefCell::default() }
    }

    /// A stage begins, which will read so many bytes; 0 where that is not known.
    pub fn begin(&self, name: &str, total_bytes: i64) {
        let started = self.site.now();
        let total_bytes = Some(total_bytes).filter(|bytes| *bytes > 0);
        self.now.borrow_mut().stage =
            Stage { name: name.into(), started: Some(Time::cut(started)), total_bytes, ..Stage::default() };
        self.tell(false);
    }

    /// The stage has read so many bytes.
    pub fn bytes(&self, _: &str, bytes: u64) {
        let now = self.site.now();
        {
            let mut state = self.now.borrow_mut();
            state.stage.done_bytes = i64::try_from(bytes).ok();
            let recent = state.told.is_some_and(|told| now.as_second() <= told.as_second());
            if recent {
                return;
            }
        }
        self.tell(false);
    }

    /// The stage ended.
    pub fn end(&self, name: &str, outcome: StageOutcome) {
        {
            let mut state = self.now.borrow_mut();
            state.stage.ended = Some(Time::cut(self.site.now()));
            state.stage.outcome = Some(outcome);
            state.passed += self.weight_of(name);
        }
        self.tell(false);
    }

    /// The stage failed, and the installation with it.
    pub fn failed(&self, why: &str) {
        {
            let mut state = self.now.borrow_mut();
            state.stage.ended = Some(Time::cut(self.site.now()));
            state.stage.outcome = Some(StageOutcome::Failed);
            state.stage.message = Some(why.into());
        }
        self.tell(false);
    }

    /// Every step is done.
    pub fn finished(&self) {
        self.tell(true);
    }

    fn weight_of(&self, name: &str) -> u64 {
        self.weights.iter().find(|(id, _)| id == name).map(|(_, weight)| *weight).unwrap_or_default()
    }

    fn tell(&self, finished: bool) {
        let now = self.site.now();
        let progress = {
            let mut state = self.now.borrow_mut();
            state.told = Some(now);
            let all: u64 = self.weights.iter().map(|(_, weight)| weight).sum();
            let parts = state.passed * 1000 + self.part(&state.stage);
            Progress {
                plan: self.plan.clone(),
                stage: state.stage.clone(),
                percent: i32::try_from((parts / 10).checked_div(all).unwrap_or_default())
                    .unwrap_or_default()
                    .min(100),
                expected_end: expected_end(self.began, now, parts, all * 1000),
                finished,
                clock: Some(Time::cut(now)),
            }
        };
        self.site.tell(&progress);
    }

    /// What of the running stage is done, in thousandths of its weight.
    fn part(&self, stage: &Stage) -> u64 {
        let count = |bytes: Option<i64>| bytes.and_then(|bytes| u64::try_from(bytes).ok());
        match (stage.outcome, count(stage.done_bytes), count(stage.total_bytes)) {
            (None, Some(done), Some(total)) if total > 0 => {
                self.weight_of(&stage.name) * (done.min(total).saturating_mul(1000) / total)
            }
            _ => 0,
        }
    }
}

/// How long a step takes beside the others, from measurement; only estimates hang on it.
fn weight(action: &Action) -> u64 {
    match action {
        Action::UnpackImage { .. } => 600,
        Action::BootLoader { .. } => 150,
        Action::FileSystem { .. } => 15,
        Action::WipeSignatures { .. } | Action::PartitionTable { .. } | Action::LogicalVolume { .. } => 10,
        Action::Identity { .. } | Action::Unmount => 20,
        _ => 3,
    }
}

/// When the whole ends, if it goes on as fast as so far. Nothing is said of the first twentieth.
fn expected_end(began: Timestamp, now: Timestamp, done: u64, all: u64) -> Option<Time> {
    if done * 20 < all || done == 0 {
        return None;
    }
    let elapsed = u64::try_from(now.as_millisecond() - began.as_millisecond()).ok()?;
    let rest = elapsed.saturating_mul(all.saturating_sub(done)) / done;
    let end = now.as_millisecond().checked_add(i64::try_from(rest).ok()?)?;
    Timestamp::from_millisecond(end).ok().map(Time::cut)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends() {
        let at = |second| Timestamp::from_second(second).expect("it is a time");
        let check = |seconds: i64, done, expected: Option<i64>| {
            let end = expected_end(at(1000), at(1000 + seconds), done, 100);
            assert_eq!(end.map(|time| time.0.as_second()), expected);
        };
        check(10, 0, None);
        check(10, 4, None);
        check(10, 50, Some(1020));
        check(90, 90, Some(1100));
        check(90, 100, Some(1090));
        check(-5, 50, None);
    }
}
