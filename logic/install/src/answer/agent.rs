//! The agent of the new system: its executable comes from the boot server and is checked, then it gets its service and what it joins with.

use super::shell::{self, Statement, Word, variable};
use super::system::{Target, written};
use super::{Given, stages};
use crate::agent::{PROGRAM, SERVICE, files};
use crate::answer::shell::words;

/// The agent of an installed system.
#[derive(Debug, Clone, Copy)]
pub struct Agent<'a> {
    /// Where the boot server has its executable, such as `systems/agent/amd64/lab-agent`.
    pub path: &'a str,
    /// The executable's SHA-256 in hexadecimal digits.
    pub sha256: &'a str,
    /// labd's URL.
    pub server: &'a str,
    /// The SHA-256 of the key of labd's authority, as labd prints it.
    pub ca_hash: &'a str,
    /// The token that it joins with, once.
    pub token: &'a str,
}

/// The stage in which it is installed. Where there is none to be had, the stage is skipped and says why.
pub fn stage(given: &Given, target: Target) -> Vec<Statement> {
    let Agent { path, sha256, server, ca_hash, token } = match given.agent {
        Ok(agent) => agent,
        Err(why) => {
            let why = format!("no agent is installed: {why}");
            return vec![
                Statement::Begin(stages::AGENT),
                Statement::Call(words!["lab_done", why, "skipped"]),
            ];
        }
    };
    let inside = |path: &str| if target.inside.is_empty() { target.path(path) } else { Word::from(path) };
    let trial = target.run(words![inside(PROGRAM), "--version"]);
    let fetch = words!["lab_fetch_agent", path, sha256, target.path(PROGRAM)];
    let mut rest: Vec<_> =
        files(server, ca_hash, token).iter().flat_map(|file| written(target, file)).collect();
    rest.push(Statement::Try(target.run(words!["systemctl", "enable", SERVICE])));
    rest.push(Statement::Done(stages::AGENT));
    vec![
        Statement::Library(shell::AGENT),
        Statement::Begin(stages::AGENT),
        Statement::Call([fetch, trial].concat()),
        Statement::If(words!["test", "-n", variable("lab_agent")], rest),
    ]
}
