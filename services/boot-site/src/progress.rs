//! What machines say by HTTP: stages and log lines, one or many.
//!
//! `POST /log` takes lines of text from whoever has the machine's address, as syslog does. `POST /stage/<token>` and
//! `POST /log/<token>` take them from whoever has the token of the machine's newest boot.

use crate::{Site, log::said};
use jiff::Timestamp;
use lab_kinds::metal::server::status::{self, StageOutcome};
use lab_machine::timeline::Event;
use lab_netboot::files::{Asked, Taken};
use lab_netboot::syslog::{LONGEST, Message};
use lab_object::mac::MacAddress;
use serde::Deserialize;

/// How many lines or stages are taken at once.
const AT_ONCE: usize = 10_000;
/// How long a stage's name may be.
const NAME: usize = 63;

/// A stage that began or ended.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stage {
    /// Its name.
    stage: String,
    /// How it ended; nothing when it begins.
    outcome: Option<StageOutcome>,
    /// What it is doing, or why it failed.
    #[serde(default)]
    message: String,
}

impl Site {
    /// Takes what a machine says.
    pub(crate) fn hear(&self, asked: &Asked, content: &[u8]) -> Taken {
        match asked.path.split('/').collect::<Vec<_>>()[..] {
            ["log"] => match self.machine_at(asked.peer.ip()) {
                Some(mac) => self.hear_lines(mac, content),
                None => Taken::Refused,
            },
            ["log", token] => match self.redeem(token) {
                Some((mac, _)) => self.hear_lines(mac, content),
                None => Taken::Refused,
            },
            ["stage", token] => match self.redeem(token) {
                Some((mac, _)) => self.hear_stages(mac, content),
                None => Taken::Refused,
            },
            ["webhook", token] => match self.redeem(token) {
                Some((mac, _)) => self.hear_webhook(mac, content),
                None => Taken::Refused,
            },
            _ => self.hear_agent(&asked.path, content).unwrap_or(Taken::NotFound),
        }
    }

    /// The machine whose newest boot has this token, and the Server that the token is for. With the next boot it is worth nothing.
    pub fn redeem(&self, token: &str) -> Option<(MacAddress, Option<String>)> {
        self.with(|known| {
            let mac = *known.tokens.get(token)?;
            let (_, server) = known.machine(mac)?.token.clone().filter(|(newest, _)| newest == token)?;
            Some((mac, server))
        })
    }

    fn hear_lines(&self, mac: MacAddress, content: &[u8]) -> Taken {
        let now = self.surroundings.now();
        let lines = content.split(|&byte| byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
        self.with(|known| {
            for line in lines.take(AT_ONCE) {
                let message = Message::parse(&line[..line.len().min(LONGEST)]);
                self.figures.lines();
                if let Some(machine) = known.heard(mac) {
                    machine.log(said(now, message));
                }
            }
        });
        Taken::Done
    }

    fn hear_stages(&self, mac: MacAddress, content: &[u8]) -> Taken {
        let Some(stages) = stages(content) else { return Taken::Malformed };
        let now = self.surroundings.now();
        for Stage { stage, outcome, message } in stages {
            self.hear_stage(mac, now, stage, outcome, message);
        }
        Taken::Done
    }

    /// A stage began or ended.
    pub(crate) fn hear_stage(
        &self,
        mac: MacAddress,
        now: Timestamp,
        name: String,
        outcome: Option<StageOutcome>,
        message: String,
    ) {
        let stage = status::Stage {
            name: name.clone(),
            outcome,
            message: Some(message.clone()).filter(|message| !message.is_empty()),
            ..status::Stage::default()
        };
        self.with(|known| {
            known.record(mac, now, Event::Stage { name, outcome, message });
        });
        self.progress_by_stage(mac, now, stage);
    }
}

/// Stages: an object, an array of objects, or an object on each line. Nothing where one is not understood: then none counts.
fn stages(content: &[u8]) -> Option<Vec<Stage>> {
    let stages: Vec<Stage> = match serde_json::from_slice::<Vec<Stage>>(content) {
        Ok(stages) => stages,
        Err(_) => serde_json::Deserializer::from_slice(content).into_iter().collect::<Result<_, _>>().ok()?,
    };
    let sound = |stage: &Stage| is_sound(&stage.stage);
    (!stages.is_empty() && stages.len() <= AT_ONCE && stages.iter().all(sound)).then_some(stages)
}

/// Whether a stage can have this name.
pub(crate) fn is_sound(name: &str) -> bool {
    !name.is_empty() && name.len() <= NAME && !name.chars().any(|c| c.is_control() || c.is_whitespace())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_or_many() {
        let check = |text: &str, expected: Option<&[&str]>| {
            let found = stages(text.as_bytes());
            let names =
                found.as_ref().map(|stages| stages.iter().map(|s| s.stage.as_str()).collect::<Vec<_>>());
            assert_eq!(names.as_deref(), expected, "{text}");
        };
        check(r#"{"stage": "partition"}"#, Some(&["partition"]));
        check(r#"[{"stage": "a"}, {"stage": "b", "outcome": "done", "message": "x"}]"#, Some(&["a", "b"]));
        check("{\"stage\": \"a\", \"outcome\": \"failed\"}\n{\"stage\": \"b\"}\n", Some(&["a", "b"]));
        for bad in [
            "",
            "[]",
            "partition",
            r#"{"stage": ""}"#,
            r#"{"stage": "a b"}"#,
            r#"{"stage": "a", "outcome": "maybe"}"#,
        ] {
            check(bad, None);
        }
        check("{\"stage\": \"a\"}\n{\"stage\"", None);
        check(&format!(r#"{{"stage": "{}"}}"#, "x".repeat(64)), None);
    }
}
