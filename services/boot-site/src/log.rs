//! Log lines: mapped to machines by their senders' addresses, the newest kept.

use crate::Site;
use jiff::Timestamp;
use lab_kinds::metal::server::status::StageOutcome;
use lab_machine::timeline::Event;
use lab_netboot::syslog::{Message, Sink};
use lab_wire::log::{Kind, Line};
use std::net::IpAddr;

/// What a machine said.
pub(crate) fn said(at: Timestamp, message: Message) -> Line {
    let Message { severity, program, text, .. } = message;
    Line { at, kind: Kind::Log, stage: None, severity, program, text }
}

/// What happened to a machine, as a line of its log.
pub(crate) fn told(at: Timestamp, event: &Event, stage: Option<String>) -> Line {
    let kind = if matches!(event, Event::Stage { .. }) { Kind::Stage } else { Kind::Boot };
    let failed = matches!(event, Event::Stage { outcome: Some(StageOutcome::Failed), .. });
    let severity = if failed { ERROR } else { INFORMATIONAL };
    Line { at, kind, stage, severity, program: None, text: event.to_string() }
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
        self.look_for_failure(mac, message.program.as_deref(), &message.text);
        let line = said(self.surroundings.now(), message);
        self.figures.lines();
        self.with(|known| {
            if let Some(machine) = known.heard(mac) {
                machine.log(line);
            }
        });
    }
}
