//! Log lines: mapped to machines by their senders' addresses, the newest kept.

use crate::Site;
use jiff::Timestamp;
use lab_kinds::metal::server::status::StageOutcome;
use lab_machine::timeline::Event;
use lab_netboot::syslog::{Message, Sink};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// A line of a machine's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// When it came in.
    pub at: Timestamp,
    /// Who says it.
    #[serde(default)]
    pub kind: Kind,
    /// The stage that was under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<String>,
    /// What it says.
    #[serde(flatten)]
    pub message: Message,
}

/// Who says a line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// The machine, in its log.
    #[default]
    Log,
    /// The machine: a stage began or ended.
    Stage,
    /// The boot server: what the machine asked for and was given.
    Boot,
}

impl Line {
    /// What a machine said.
    pub fn said(at: Timestamp, message: Message) -> Self {
        Self { at, kind: Kind::Log, stage: None, message }
    }

    /// What happened to a machine, as a line of its log.
    pub fn of(at: Timestamp, event: &Event, stage: Option<String>) -> Self {
        let kind = if matches!(event, Event::Stage { .. }) { Kind::Stage } else { Kind::Boot };
        let failed = matches!(event, Event::Stage { outcome: Some(StageOutcome::Failed), .. });
        let severity = if failed { ERROR } else { INFORMATIONAL };
        Self { at, kind, stage, message: Message { severity, text: event.to_string(), ..Message::default() } }
    }
}

/// Severities of RFC 5424.
const ERROR: u8 = 3;
const INFORMATIONAL: u8 = 6;

impl Sink for Site {
    fn log(&self, sender: IpAddr, message: Message) {
        let Some(mac) = self.machine_at(sender) else {
            tracing::debug!(%sender, "a log line of no known machine");
            return;
        };
        let line = Line::said(self.surroundings.now(), message);
        self.figures.lines();
        self.with(|known| {
            if let Some(machine) = known.heard(mac) {
                machine.log(line);
            }
        });
    }
}
