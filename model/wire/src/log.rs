//! Machines' logs: how a bastion hands lines on to labd, and how labd shows them.
//!
//! A bastion posts [`Feed`]s to `bastions/<name>/logs` and is told which line labd wants next; so it can stand behind address
//! translation. Whoever reads `servers/<name>/log` gets server-sent events, each with a [`Line`].

use jiff::Timestamp;
use lab_object::mac::MacAddress;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A line of a machine's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Line {
    /// When it came in at the bastion.
    pub at: Timestamp,
    /// Who says it.
    #[serde(default)]
    pub kind: Kind,
    /// The stage that was under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<String>,
    /// How grave it is, from 0 (emergency) to 7 (debug), as syslog counts.
    #[serde(default = "informational")]
    pub severity: u8,
    /// The program that says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<String>,
    /// What it says.
    pub text: String,
}

fn informational() -> u8 {
    6
}

/// Who says a line. It is also the name of the server-sent event.
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

impl Kind {
    /// The kind as one word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Log => "log",
            Self::Stage => "stage",
            Self::Boot => "boot",
        }
    }
}

/// Lines that a bastion hands on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Feed {
    /// A word for the bastion's run. In another run it counts its lines anew.
    pub run: String,
    /// The machines that said something.
    pub machines: Vec<Machine>,
}

/// Lines of one machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// The NIC that it boots from, by which the bastion tells machines apart.
    pub mac: MacAddress,
    /// Name of its Server.
    pub server: String,
    /// The number of the first of the lines, counted from the machine's first in this run.
    pub first: u64,
    /// The lines, the oldest first.
    pub lines: Vec<Line>,
}

/// What labd says to a feed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fed {
    /// A word for labd's run. Another one has none of the lines that were handed on before.
    pub run: String,
    /// For each machine whose lines were taken, the number of the line that is wanted next.
    pub next: BTreeMap<MacAddress, u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_json() {
        let text = r#"{"run":"a","machines":[{"mac":"52:54:00:00:00:01","server":"s","first":7,"lines":[
            {"at":"2026-11-21T12:00:00Z","text":"hello"},
            {"at":"2026-11-21T12:00:01Z","kind":"stage","stage":"partition","severity":3,"program":"d-i","text":"x"}]}]}"#;
        let feed: Feed = serde_json::from_str(text).expect("it is understood");
        let [first, second] = &feed.machines[0].lines[..] else { panic!("{feed:?}") };
        assert_eq!((first.kind, first.severity, first.text.as_str()), (Kind::Log, 6, "hello"));
        assert_eq!((second.kind, second.kind.word(), second.severity), (Kind::Stage, "stage", 3));
        let again = serde_json::to_string(&feed).and_then(|text| serde_json::from_str(&text));
        assert_eq!(again.ok(), Some(feed));
    }
}
