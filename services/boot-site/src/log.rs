//! Log lines: mapped to machines by their senders' addresses, the newest kept.

use crate::{Knowledge, Site};
use lab_netboot::syslog::{Message, Sink};
use lab_object::mac::MacAddress;
use std::collections::VecDeque;
use std::net::IpAddr;

/// How many lines are kept of one machine.
const LINES: usize = 2000;

/// A line of a machine's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// When it came in.
    pub at: jiff::Timestamp,
    /// What it says.
    pub message: Message,
}

impl Sink for Site {
    fn log(&self, sender: IpAddr, message: Message) {
        let Some(mac) = self.machine_at(sender) else {
            tracing::debug!(%sender, "a log line of no known machine");
            return;
        };
        let line = Line { at: self.surroundings.now(), message };
        self.with(|known| known.log(mac, line));
    }
}

impl Knowledge {
    fn log(&mut self, mac: MacAddress, line: Line) {
        let Some(machine) = self.heard(mac) else { return };
        if machine.lines.len() >= LINES {
            machine.lines.pop_front();
        }
        machine.lines.push_back(line);
    }

    /// The newest lines of a machine's log, the oldest first.
    pub fn lines(&self, mac: MacAddress) -> Vec<Line> {
        let lines: Option<&VecDeque<Line>> = self.machine(mac).map(|machine| &machine.lines);
        lines.into_iter().flatten().cloned().collect()
    }
}
