//! A machine that was heard, and what is stored of it.

use crate::{
    agent::{Said, Token, Work},
    log,
};
use jiff::Timestamp;
use lab_kinds::metal::server::status::StageOutcome;
use lab_machine::client::Platform;
use lab_machine::timeline::{Event, Timeline};
use lab_wire::log::{Kind, Line};
use lab_wire::site::{Discovery, Progress};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::net::Ipv4Addr;

/// How many entries a machine's timeline keeps.
const ENTRIES: usize = 500;
/// How many lines are kept of one machine's log.
pub const LINES: usize = 2000;
/// How many bytes of text they may have together.
const BYTES: usize = 1 << 20;
/// How many records a machine's file may have.
const STORED: usize = 3 * (ENTRIES + LINES);

/// A machine that was heard.
#[derive(Debug, Clone)]
pub struct Machine {
    /// Its UUID, where its firmware said one.
    pub uuid: Option<String>,
    /// What its firmware is.
    pub platform: Option<Platform>,
    /// The architecture number in its request.
    pub architecture: Option<u16>,
    /// The address that it took last.
    pub address: Option<Ipv4Addr>,
    /// Whether it has that from its boot medium, and not from a DHCP server.
    pub(crate) fixed: bool,
    /// The Network object it booted on.
    pub network: Option<String>,
    /// The token of its newest boot, and the Server it was for, where there was one.
    pub token: Option<(String, Option<String>)>,
    /// Whether its newest script is an answer that is given once.
    pub(crate) once: bool,
    /// What happened to it.
    pub timeline: Timeline,
    /// What its own system said.
    pub(crate) own: Said,
    /// Until when all that was reported.
    pub(crate) reported: Option<Timestamp>,
    /// Its newest log lines.
    lines: VecDeque<Line>,
    /// How many bytes their texts have.
    bytes: usize,
    /// How many lines there were before the oldest that is kept.
    dropped: u64,
    /// The stage that is under way.
    stage: Option<String>,
    /// What is not stored yet.
    pub(crate) unsaved: Vec<Record>,
    /// How many records its file has.
    pub(crate) stored: usize,
}

/// A line of a machine's file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "record")]
pub(crate) enum Record {
    /// What its firmware says of itself, and where it is.
    Machine {
        uuid: Option<String>,
        platform: Option<Platform>,
        architecture: Option<u16>,
        address: Option<Ipv4Addr>,
        #[serde(default)]
        fixed: bool,
        network: Option<String>,
    },
    /// It was given a script with a token in it.
    Token { token: String, server: Option<String> },
    /// Something happened to it.
    Happened { at: Timestamp, what: Event },
    /// It said something.
    Line(Line),
    /// It said what it consists of.
    Discovered { at: Timestamp, found: Box<Discovery> },
    /// It was told to do something.
    Ordered { work: Work },
    /// A token was made for the agent of its installed system.
    Joins { token: Token },
    /// It said how far it has come with that.
    Progressed { at: Timestamp, progress: Progress },
    /// Everything up to then was reported.
    Reported { at: Timestamp },
}

impl Record {
    fn at(&self) -> Option<Timestamp> {
        match self {
            Self::Machine { .. } | Self::Token { .. } | Self::Ordered { .. } | Self::Joins { .. } => None,
            Self::Happened { at, .. } | Self::Reported { at } => Some(*at),
            Self::Discovered { at, .. } | Self::Progressed { at, .. } => Some(*at),
            Self::Line(line) => Some(line.at),
        }
    }
}

impl Default for Machine {
    fn default() -> Self {
        Self {
            uuid: None,
            platform: None,
            architecture: None,
            address: None,
            fixed: false,
            network: None,
            token: None,
            once: false,
            timeline: Timeline::new(ENTRIES),
            own: Said::default(),
            reported: None,
            lines: VecDeque::new(),
            bytes: 0,
            dropped: 0,
            stage: None,
            unsaved: Vec::new(),
            stored: 0,
        }
    }
}

impl Machine {
    pub(crate) fn record(&mut self, at: Timestamp, what: Event) {
        self.happened(at, what.clone());
        self.save(Record::Happened { at, what });
    }

    fn happened(&mut self, at: Timestamp, what: Event) {
        if let Event::Stage { name, outcome, .. } = &what {
            self.stage = outcome.is_none_or(|outcome| outcome == StageOutcome::Failed).then(|| name.clone());
        }
        self.timeline.record(at, what);
        // What happens again and again is said once.
        let newest = self.timeline.entries().next_back();
        if let Some(entry) = newest.filter(|entry| entry.count == 1) {
            let told = log::told(at, &entry.event, self.stage.clone());
            self.keep(told);
        }
    }

    /// Takes in what a request said of the machine.
    pub(crate) fn describe(&mut self, change: impl FnOnce(&mut Self)) {
        let before = self.description();
        change(self);
        let after = self.description();
        if after != before {
            self.unsaved.push(after);
        }
    }

    fn description(&self) -> Record {
        Record::Machine {
            uuid: self.uuid.clone(),
            platform: self.platform,
            architecture: self.architecture,
            address: self.address,
            fixed: self.fixed,
            network: self.network.clone(),
        }
    }

    /// Its next script has a token in it. The one before is worth nothing any more, and is told.
    pub(crate) fn give(&mut self, token: String, server: Option<String>) -> Option<String> {
        self.unsaved.push(Record::Token { token: token.clone(), server: server.clone() });
        self.own.boots();
        self.token.replace((token, server)).map(|(before, _)| before)
    }

    /// Notes a line, as one of the stage that is under way.
    pub(crate) fn log(&mut self, line: Line) {
        let line = Line { stage: self.stage.clone(), ..line };
        self.keep(line.clone());
        self.save(Record::Line(line));
    }

    /// Notes what is to be stored. More between two writes than is kept at all is a flood: then the file is written anew.
    fn save(&mut self, record: Record) {
        self.unsaved.push(record);
        if self.unsaved.len() > self.lines.len() + ENTRIES {
            self.unsaved = vec![self.description()];
            self.stored = STORED + 1;
        }
    }

    fn keep(&mut self, line: Line) {
        self.bytes += line.text.len();
        self.lines.push_back(line);
        while self.lines.len() > LINES || self.bytes > BYTES {
            let Some(oldest) = self.lines.pop_front() else { break };
            self.bytes -= oldest.text.len();
            self.dropped += 1;
        }
    }

    /// Everything up to now was reported.
    pub(crate) fn was_reported(&mut self, until: Option<Timestamp>) {
        if let Some(at) = until
            && self.reported < until
        {
            self.reported = until;
            self.unsaved.push(Record::Reported { at });
        }
    }

    /// The newest lines of its log, the oldest first.
    pub fn lines(&self) -> impl Iterator<Item = &Line> {
        self.lines.iter()
    }

    /// The lines from a number on, counted from the machine's first, and the number of the first of them.
    pub fn lines_from(&self, number: u64) -> (u64, impl Iterator<Item = &Line>) {
        let first = number.clamp(self.dropped, self.dropped + self.lines.len() as u64);
        let skip = usize::try_from(first - self.dropped).unwrap_or(usize::MAX);
        (first, self.lines.iter().skip(skip))
    }

    /// The number after that of the newest line.
    pub fn lines_end(&self) -> u64 {
        self.dropped + self.lines.len() as u64
    }

    /// When it was heard last, its log included.
    pub(crate) fn last_word(&self) -> Option<Timestamp> {
        self.last_heard().max(self.lines.back().map(|line| line.at))
    }

    /// The stage that is under way, or that failed.
    pub fn stage(&self) -> Option<&str> {
        self.stage.as_deref()
    }

    /// A machine as its file has it.
    pub(crate) fn stored(records: Vec<Record>) -> Self {
        let mut machine = Self { stored: records.len(), ..Self::default() };
        for record in records {
            match record {
                Record::Machine { uuid, platform, architecture, address, fixed, network } => {
                    machine.uuid = uuid;
                    machine.platform = platform;
                    machine.architecture = architecture;
                    machine.address = address;
                    machine.fixed = fixed;
                    machine.network = network;
                }
                Record::Token { token, server } => {
                    machine.token = Some((token, server));
                    machine.own.boots();
                }
                Record::Happened { at, what } => machine.happened(at, what),
                Record::Line(line) => machine.keep(line),
                Record::Reported { at } => machine.reported = Some(at),
                said @ (Record::Discovered { .. }
                | Record::Ordered { .. }
                | Record::Joins { .. }
                | Record::Progressed { .. }) => {
                    machine.own.restore(said);
                }
            }
        }
        machine
    }

    /// All that is kept of the machine, as few records as possible.
    pub(crate) fn records(&self) -> Vec<Record> {
        let mut records = vec![self.description()];
        records.extend(self.token.clone().map(|(token, server)| Record::Token { token, server }));
        records.extend(self.own.records());
        for entry in self.timeline.entries() {
            records.push(Record::Happened { at: entry.first, what: entry.event.clone() });
            if entry.count > 1 {
                records.push(Record::Happened { at: entry.last, what: entry.event.clone() });
            }
        }
        let said = self.lines.iter().filter(|line| line.kind == Kind::Log);
        records.extend(said.cloned().map(Record::Line));
        // What has no time comes first.
        records.sort_by_key(Record::at);
        records.extend(self.reported.map(|at| Record::Reported { at }));
        records
    }

    /// Whether its file has grown so much beyond what is kept that it is to be written anew.
    pub(crate) fn is_overgrown(&self) -> bool {
        self.stored > STORED
    }
}
