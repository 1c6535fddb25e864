//! What a machine's own system said of it, as it is kept.

use super::Token;
use crate::machine::{Machine, Record};
use jiff::Timestamp;
use lab_kinds::metal::server::Disk;
use lab_kinds::metal::server::status::{InstallStatus, StageOutcome};
use lab_machine::sighting;
use lab_object::Time;
use lab_wire::site::{Discovery, Progress, WIPE};
use serde::{Deserialize, Serialize};

/// What a machine was told to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Work {
    /// To install this; it has an end where that is done.
    Install(InstallStatus),
    /// To wipe its disks.
    Wipe {
        /// When that was done.
        finished: Option<Time>,
    },
}

impl Work {
    /// What its progress names as its plan.
    pub fn plan(&self) -> &str {
        match self {
            Self::Install(install) => &install.plan,
            Self::Wipe { .. } => WIPE,
        }
    }

    fn finished(&mut self) -> &mut Option<Time> {
        match self {
            Self::Install(install) => &mut install.finished,
            Self::Wipe { finished } => finished,
        }
    }
}

/// What a machine's own system said.
#[derive(Debug, Clone, Default)]
pub(crate) struct Said {
    /// What the machine consists of, and when it said so.
    found: Option<(Timestamp, Box<Discovery>)>,
    /// Whether it said so in its newest boot.
    in_this_boot: bool,
    /// What it was told to do last.
    ordered: Option<Work>,
    /// How far it has come with that, and when it said so.
    progress: Option<(Timestamp, Progress)>,
    /// How often an installation failed in its newest boot.
    failures: u32,
    /// What the agent of its installed system joins with.
    token: Option<Token>,
}

/// What is new in a word about progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct News {
    /// A stage began or ended.
    pub stage: bool,
    /// It has come further, as far as people can tell.
    pub percent: bool,
}

impl Said {
    /// The disks that the machine reported in its newest boot.
    pub fn disks(&self) -> Option<&[Disk]> {
        self.found.as_ref().filter(|_| self.in_this_boot).map(|(_, found)| &found.disks[..])
    }

    /// Whether its disks were wiped in its newest boot.
    pub fn wiped(&self) -> bool {
        self.in_this_boot && matches!(self.ordered, Some(Work::Wipe { finished: Some(_) }))
    }

    /// How often an installation failed in the newest boot.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// What the machine was told to do last.
    pub fn ordered(&self) -> Option<&Work> {
        self.ordered.as_ref()
    }

    /// What the agent of the machine's installed system joins with.
    pub fn token(&self) -> Option<&Token> {
        self.token.as_ref()
    }

    /// What the machine has installed, as it said itself.
    pub fn installed(&self) -> Option<&InstallStatus> {
        match &self.ordered {
            Some(Work::Install(install)) if install.finished.is_some() => Some(install),
            _ => None,
        }
    }

    /// What is new in this. Machines repeat themselves when they were not answered.
    pub fn is_news(&self, progress: &Progress) -> News {
        let Some((_, before)) = &self.progress else { return News { stage: true, percent: true } };
        let stage = |progress: &Progress| (progress.stage.name.clone(), progress.stage.outcome);
        let same = before.plan == progress.plan && stage(before) == stage(progress);
        News { stage: !same, percent: before.percent != progress.percent }
    }

    /// A new boot has begun.
    pub fn boots(&mut self) {
        (self.in_this_boot, self.failures) = (false, 0);
        // What is said again in it is news.
        if self.installed().is_none() {
            self.progress = None;
        }
    }

    /// When anything was said last.
    fn last(&self) -> Option<Timestamp> {
        let found = self.found.as_ref().map(|(at, _)| *at);
        found.max(self.progress.as_ref().map(|(at, _)| *at))
    }

    fn take_discovery(&mut self, at: Timestamp, found: Box<Discovery>) {
        (self.found, self.in_this_boot) = (Some((at, found)), true);
    }

    fn take_progress(&mut self, at: Timestamp, progress: Progress, news: News) {
        if news.stage && progress.stage.outcome == Some(StageOutcome::Failed) {
            self.failures += 1;
        }
        if let Some(work) = self.ordered.as_mut().filter(|work| work.plan() == progress.plan)
            && progress.finished
        {
            work.finished().get_or_insert(Time::cut(at));
        }
        self.progress = Some((at, progress));
    }

    /// Takes a record back in that was kept.
    pub fn restore(&mut self, record: Record) {
        match record {
            Record::Discovered { at, found } => self.take_discovery(at, found),
            Record::Ordered { work } => self.ordered = Some(work),
            Record::Joins { token } => self.token = Some(token),
            Record::Progressed { at, progress } => {
                let news = self.is_news(&progress);
                self.take_progress(at, progress, news);
            }
            _ => {}
        }
    }

    /// All of it, as records.
    pub fn records(&self) -> Vec<Record> {
        let found = self.found.clone().map(|(at, found)| Record::Discovered { at, found });
        let ordered = self.ordered.clone().map(|work| Record::Ordered { work });
        let progress = self.progress.clone().map(|(at, progress)| Record::Progressed { at, progress });
        let token = self.token.clone().map(|token| Record::Joins { token });
        [found, ordered, token, progress].into_iter().flatten().collect()
    }
}

impl Machine {
    /// When it was heard last.
    pub(crate) fn last_heard(&self) -> Option<Timestamp> {
        self.timeline.last().max(self.own.last())
    }

    /// What its own system said that was not reported yet.
    pub(crate) fn said(&self) -> sighting::Said<'_> {
        let fresh = |at: &Timestamp| Some(*at) > self.reported;
        let discovery = self.own.found.as_ref().filter(|(at, _)| fresh(at)).map(|(_, found)| &**found);
        let progress = self.own.progress.as_ref().filter(|(at, _)| fresh(at));
        let progress = progress.and_then(|(_, progress)| {
            let work = match self.own.ordered.as_ref().filter(|work| work.plan() == progress.plan)? {
                Work::Install(install) => sighting::Work::Install(install),
                Work::Wipe { .. } => sighting::Work::Wipe,
            };
            Some((progress, work))
        });
        sighting::Said { discovery, progress }
    }

    /// It said what it consists of.
    pub(crate) fn discovered(&mut self, at: Timestamp, found: Discovery) {
        let found = Box::new(found);
        self.unsaved.push(Record::Discovered { at, found: found.clone() });
        self.own.take_discovery(at, found);
    }

    /// It was told to do something. Told so again, it goes on with it.
    pub(crate) fn told_to(&mut self, work: Work) {
        if self.own.ordered.as_ref() != Some(&work) {
            self.unsaved.push(Record::Ordered { work: work.clone() });
            self.own.ordered = Some(work);
        }
    }

    /// Keeps what the agent of its installed system joins with.
    pub(crate) fn keep_token(&mut self, token: Token) {
        if self.own.token.as_ref() != Some(&token) {
            self.unsaved.push(Record::Joins { token: token.clone() });
            self.own.token = Some(token);
        }
    }

    /// It said how far it has come. Only what a restart must not lose is kept.
    pub(crate) fn progressed(&mut self, at: Timestamp, progress: Progress, news: News) {
        if news.stage || progress.finished {
            self.unsaved.push(Record::Progressed { at, progress: progress.clone() });
        }
        self.own.take_progress(at, progress, news);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lab_kinds::metal::server::Stage;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("it is a time")
    }

    fn progress(stage: &str, outcome: Option<StageOutcome>, percent: i32, finished: bool) -> Progress {
        let stage = Stage { name: stage.into(), outcome, ..Stage::default() };
        Progress { plan: "p".into(), stage, percent, finished, ..Progress::default() }
    }

    fn install() -> InstallStatus {
        InstallStatus { plan: "p".into(), ..InstallStatus::default() }
    }

    /// Has a machine say all this, a second apart; then it is written down as few records and read again.
    fn machine(said: &[Progress]) -> [Machine; 2] {
        let mut machine = Machine::default();
        machine.discovered(at(1), Discovery::default());
        machine.told_to(Work::Install(install()));
        for (second, progress) in (2..).zip(said) {
            let news = machine.own.is_news(progress);
            machine.progressed(at(second), progress.clone(), news);
        }
        let again = Machine::stored(machine.records());
        [machine, again]
    }

    #[test]
    fn what_is_news() {
        let [machine, _] = machine(&[progress("a", None, 3, false)]);
        let check = |said: Progress, stage, percent| {
            assert_eq!(machine.own.is_news(&said), News { stage, percent }, "{said:?}");
        };
        check(progress("a", None, 3, false), false, false);
        check(progress("a", None, 4, false), false, true);
        check(progress("a", Some(StageOutcome::Done), 3, false), true, false);
        check(progress("b", None, 3, false), true, false);
    }

    #[test]
    fn what_a_restart_of_the_site_does_not_lose() {
        let failed = || progress("b", Some(StageOutcome::Failed), 5, false);
        for mut machine in machine(&[progress("a", None, 1, false), failed(), failed()]) {
            assert_eq!(
                (machine.own.failures(), machine.own.disks().is_some()),
                (1, true),
                "told twice, it failed once"
            );
            assert_eq!(machine.own.installed(), None);
            machine.own.boots();
            assert_eq!((machine.own.failures(), machine.own.disks().is_some()), (0, false));
        }
        for machine in machine(&[progress("a", Some(StageOutcome::Done), 100, true)]) {
            let expected = InstallStatus { finished: Some(Time(at(2))), ..install() };
            assert_eq!(machine.own.installed(), Some(&expected));
        }
    }

    #[test]
    fn what_was_reported_is_not_reported_again() {
        let [mut machine, _] = machine(&[progress("a", None, 1, false)]);
        assert!(machine.said().discovery.is_some() && machine.said().progress.is_some());
        assert_eq!(machine.last_heard(), Some(at(2)));
        machine.was_reported(Some(at(1)));
        assert!(machine.said().discovery.is_none() && machine.said().progress.is_some());
        machine.was_reported(machine.last_heard());
        assert!(machine.said().progress.is_none());
    }
}
