//! What labd asks an agent for over its tunnel, and what the agent reports.
//!
//! An agent opens one connection: `POST servers/<uid>/tunnel` with its certificate and `Upgrade:` [`TUNNEL`]. Then the roles turn
//! around: on this connection labd is the client of HTTP/2 and the agent the server, and everything is a request of labd's to one
//! of the paths below.

use crate::site::Discovery;
use jiff::Timestamp;
use lab_object::Time;
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt, net::IpAddr};

/// The name of the tunnel's form: what is asked for in the header `Upgrade`.
pub const TUNNEL: &str = "lab-tunnel.v1";
/// `GET`: [`Report`]s, a line of JSON each, for as long as the connection lasts.
pub const REPORTS: &str = "/reports";
/// `POST` with a query ([`Exec`]): runs a command. Both bodies are frames of [`crate::stream`].
pub const EXEC: &str = "/exec";
/// `POST` with a query ([`Forward`]): connects to a port of the machine. Both bodies are frames of [`crate::stream`].
pub const FORWARD: &str = "/portforward";
/// `GET` with a query ([`Journal`]): the machine's journal as text.
pub const JOURNAL: &str = "/journal";

/// `PUT` with [`SshSetup`] as JSON: what the machine's sshd is to know. Answered with 204 when it is in place, else with 400 and
/// why it is not.
pub const SSH: &str = "/ssh";

/// `POST` with a query ([`Upgrade`]) and an executable as body. Answered with 202 once it is found to be what the query says and is
/// tried, else with 400 and why it is not.
pub const UPGRADE: &str = "/upgrade";

/// Most bytes of a report's line.
pub const MAX_REPORT: usize = 1 << 20;

/// How a machine is: the first one when the tunnel is opened, then one with every heartbeat.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Report {
    /// What seldom changes.
    pub system: System,
    /// What always does.
    pub load: Load,
    /// What the machine consists of: in the first report, and whenever it changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inventory: Option<Box<Discovery>>,
}

/// What seldom changes about a running machine.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct System {
    /// Version of the agent.
    pub agent: String,
    /// The name that the machine gives itself.
    pub hostname: String,
    /// Release of the kernel.
    pub kernel: String,
    /// The operating system, as it names itself.
    pub operating_system: String,
    /// When the machine was started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub booted: Option<Time>,
    /// The machine's addresses, without those that reach no other machine.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<IpAddr>,
    /// The Ed25519 host key of its sshd, as a line such as `ssh-ed25519 AAAA…`; empty where it has none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub ssh_host_key: String,
    /// The hash of the agent's executable: `sha256:` and 64 hexadecimal digits.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub executable: String,
    /// The executable that it tried last and went back from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<Refused>,
}

/// An executable that an agent went back from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Refused {
    /// Its hash, like that of the one that runs.
    pub executable: String,
    /// What was wrong with it, as a clause.
    pub why: String,
}

/// What a machine's sshd is to know: who logs in by certificate, and as whom it is known itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SshSetup {
    /// The public key of the authority whose certificates are taken, as a line such as `ssh-ed25519 AAAA…`.
    pub authority: String,
    /// The accounts that are logged in to by certificate, each with the principal that a certificate has to name.
    pub accounts: BTreeMap<String, String>,
    /// The certificate of its Ed25519 host key.
    pub host_certificate: String,
}

/// How busy and how full a machine is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Load {
    /// For how many seconds it has been running.
    pub uptime_seconds: u64,
    /// Processes that ran or wanted to, on average over 1, 5 and 15 minutes.
    pub average: [f64; 3],
    /// Part of the time since the report before in which its processors were busy, in percent of all of them.
    pub cpu_percent: f64,
    /// Its memory, in bytes.
    pub memory_bytes: u64,
    /// Memory that could be had without swapping, in bytes.
    pub memory_available_bytes: u64,
    /// Its file systems on disks.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub file_systems: Vec<FileSystem>,
}

/// How full a file system is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct FileSystem {
    /// Where it is mounted.
    pub mounted_at: String,
    /// Its size in bytes.
    pub size_bytes: u64,
    /// What is left for everybody, in bytes.
    pub available_bytes: u64,
}

/// How an agent stands, as `servers/<name>/agent` answers: from memory, as new as its last heartbeat.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Presence {
    /// Whether it is connected.
    pub online: bool,
    /// Since when it has been connected, if it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connected: Option<Timestamp>,
    /// Where its connection comes from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
    /// When its last report came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub heard: Option<Timestamp>,
    /// What it reported last. Its inventory is in the Server's status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub report: Option<Report>,
}

/// A command to be run, as a query such as `command=ls&command=-l&tty=true`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Exec {
    /// The program and its arguments. No shell reads them.
    pub command: Vec<String>,
    /// It gets a terminal of its own: then its errors come with its output.
    pub tty: bool,
    /// It is given input. Without, it reads the end of a file at once.
    pub stdin: bool,
    /// What its terminal is, for the variable `TERM`.
    pub term: String,
    /// The width of its terminal, in characters; 0 where it is not known.
    pub columns: u16,
    /// The height of its terminal, in characters; 0 where it is not known.
    pub rows: u16,
}

/// A port of the machine itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forward {
    /// The TCP port, at the machine's own loopback address.
    pub port: u16,
}

/// Another executable for an agent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Upgrade {
    /// The version, as the Server names it.
    pub version: String,
    /// Its hash: `sha256:` and 64 hexadecimal digits.
    pub executable: String,
    /// Its length in bytes.
    pub size: u64,
    /// The authority's signature of the [`Upgrade::statement`], in base64url.
    pub signature: String,
}

/// Which part of the journal.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Journal {
    /// Goes on as lines come.
    pub follow: bool,
    /// Only of these units of systemd.
    pub units: Vec<String>,
    /// Only from this moment on.
    pub since: Option<Timestamp>,
    /// Only so many lines, the newest.
    pub lines: Option<u32>,
}

/// A query that says something which cannot be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadQuery {
    /// The option.
    pub option: String,
    /// What is wrong with it, completing "option …".
    pub why: &'static str,
}

impl fmt::Display for BadQuery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.option, self.why)
    }
}

impl std::error::Error for BadQuery {}

/// Most bytes of a command with its arguments: a request's head has room for it, written as a query.
pub const MAX_COMMAND: usize = 16 * 1024;

impl Exec {
    /// As a query.
    pub fn to_query(&self) -> String {
        let mut query = Query::default();
        self.command.iter().for_each(|word| query.add("command", word));
        query.add_if("tty", self.tty, "true");
        query.add_if("stdin", self.stdin, "true");
        query.add_if("term", !self.term.is_empty(), &self.term);
        query.add_if("columns", self.columns > 0, &self.columns.to_string());
        query.add_if("rows", self.rows > 0, &self.rows.to_string());
        query.0
    }

    /// Reads a query. Options that are not known are passed over.
    ///
    /// # Errors
    /// An option cannot be, or there is no command.
    pub fn from_query(query: &str) -> Result<Self, BadQuery> {
        let mut exec = Self::default();
        for (name, value) in pairs(query)? {
            match name.as_str() {
                "command" => exec.command.push(value),
                "tty" => exec.tty = boolean(name, &value)?,
                "stdin" => exec.stdin = boolean(name, &value)?,
                "term" => exec.term = value,
                "columns" => exec.columns = number(name, &value)?,
                "rows" => exec.rows = number(name, &value)?,
                _ => {}
            }
        }
        let bad = |why| Err(BadQuery { option: "command".into(), why });
        if exec.command.first().is_none_or(String::is_empty) {
            return bad("is missing");
        }
        if exec.command.iter().any(|word| word.contains('\0')) {
            return bad("no argument of a program holds a zero byte");
        }
        if exec.command.iter().map(String::len).sum::<usize>() > MAX_COMMAND {
            return bad("is longer than 16 KiB; pass what is long as input");
        }
        if !exec.term.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.+".contains(&b))
            || exec.term.len() > 64
        {
            return Err(BadQuery { option: "term".into(), why: "is no name of a terminal" });
        }
        Ok(exec)
    }
}

impl Forward {
    /// As a query.
    pub fn to_query(&self) -> String {
        format!("port={}", self.port)
    }

    /// Reads a query.
    ///
    /// # Errors
    /// There is no port in it.
    pub fn from_query(query: &str) -> Result<Self, BadQuery> {
        let missing = BadQuery { option: "port".into(), why: "is missing" };
        let found = pairs(query)?.into_iter().find(|(name, _)| name == "port");
        let (name, value) = found.ok_or(missing)?;
        match number(name.clone(), &value)? {
            0 => Err(BadQuery { option: name, why: "must be a number from 1 to 65535" }),
            port => Ok(Self { port }),
        }
    }
}

impl Upgrade {
    /// What the authority signs.
    pub fn statement(&self) -> String {
        let Self { version, executable, size, .. } = self;
        format!("lab-agent.v1\nversion {version}\nexecutable {executable}\nsize {size}\n")
    }

    /// As a query.
    pub fn to_query(&self) -> String {
        let mut query = Query::default();
        query.add("version", &self.version);
        query.add("executable", &self.executable);
        query.add("size", &self.size.to_string());
        query.add("signature", &self.signature);
        query.0
    }

    /// Reads a query. Options that are not known are passed over.
    ///
    /// # Errors
    /// The size is no number. Whether the rest is true is for the signature to show.
    pub fn from_query(query: &str) -> Result<Self, BadQuery> {
        let mut upgrade = Self::default();
        for (name, value) in pairs(query)? {
            match name.as_str() {
                "version" => upgrade.version = value,
                "executable" => upgrade.executable = value,
                "size" => upgrade.size = number(name, &value)?,
                "signature" => upgrade.signature = value,
                _ => {}
            }
        }
        Ok(upgrade)
    }
}

impl Journal {
    /// As a query.
    pub fn to_query(&self) -> String {
        let mut query = Query::default();
        query.add_if("follow", self.follow, "true");
        self.units.iter().for_each(|unit| query.add("unit", unit));
        self.since.iter().for_each(|since| query.add("since", &since.to_string()));
        self.lines.iter().for_each(|lines| query.add("tailLines", &lines.to_string()));
        query.0
    }

    /// Reads a query. Options that are not known are passed over.
    ///
    /// # Errors
    /// An option cannot be.
    pub fn from_query(query: &str) -> Result<Self, BadQuery> {
        let mut journal = Self::default();
        for (name, value) in pairs(query)? {
            match name.as_str() {
                "follow" => journal.follow = boolean(name, &value)?,
                "unit" if is_unit(&value) => journal.units.push(value),
                "unit" => return Err(BadQuery { option: name, why: "is no name of a unit of systemd" }),
                "since" => {
                    let why = "is no time; write it like 2026-11-21T12:00:00Z (RFC 3339)";
                    journal.since = Some(value.parse().map_err(|_| BadQuery { option: name, why })?);
                }
                "tailLines" => journal.lines = Some(number(name, &value)?),
                _ => {}
            }
        }
        Ok(journal)
    }
}

/// Whether a text is a unit's name, or a pattern of some: what systemd.unit(5) allows, and nothing that is an option.
fn is_unit(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b":-_.\\@*?[]".contains(&b);
    (1..=255).contains(&text.len()) && !text.starts_with('-') && text.bytes().all(plain)
}

#[derive(Default)]
struct Query(String);

impl Query {
    fn add(&mut self, name: &str, value: &str) {
        let separator = if self.0.is_empty() { "" } else { "&" };
        let value = utf8_percent_encode(value, NON_ALPHANUMERIC);
        self.0 += &format!("{separator}{name}={value}");
    }

    fn add_if(&mut self, name: &str, wanted: bool, value: &str) {
        if wanted {
            self.add(name, value);
        }
    }
}

fn pairs(query: &str) -> Result<Vec<(String, String)>, BadQuery> {
    let decoded = |raw: &str, of: &str| {
        let spaced = raw.replace('+', " ");
        let text = percent_decode_str(&spaced).decode_utf8().map(|text| text.into_owned());
        text.map_err(|_| BadQuery { option: of.into(), why: "is not UTF-8" })
    };
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((decoded(name, name)?, decoded(value, name)?))
        })
        .collect()
}

fn boolean(option: String, value: &str) -> Result<bool, BadQuery> {
    match value {
        "" | "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err(BadQuery { option, why: "must be true or false" }),
    }
}

fn number<N: std::str::FromStr>(option: String, value: &str) -> Result<N, BadQuery> {
    value.parse().map_err(|_| BadQuery { option, why: "is no number, or too large a one" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn commands_come_over_whole(command in prop::collection::vec("[^\0]{1,20}", 1..6), tty: bool, stdin: bool, columns: u16) {
            let exec = Exec { command, tty, stdin, term: "xterm-256color".into(), columns, rows: 24 };
            prop_assert_eq!(Exec::from_query(&exec.to_query()), Ok(exec));
        }
    }

    #[test]
    fn queries() {
        let check = |query: &str, expected: Result<Vec<&str>, &str>| {
            let found = Exec::from_query(query);
            let found = found.as_ref().map(|exec| exec.command.iter().map(String::as_str).collect());
            assert_eq!(found.map_err(|bad| bad.option.as_str()), expected, "{query}");
        };
        check("command=ls&command=-l+a&later=1", Ok(vec!["ls", "-l a"]));
        check("", Err("command"));
        check("command=", Err("command"));
        check("command=a%00b", Err("command"));
        check("command=%ff", Err("command"));
        check("command=a&tty=perhaps", Err("tty"));
        check("command=a&columns=70000", Err("columns"));
        check("command=a&term=x%0a", Err("term"));
        check(&format!("command={}", "a".repeat(MAX_COMMAND + 1)), Err("command"));
    }

    #[test]
    fn ports_and_journals() {
        assert_eq!(Forward::from_query(&Forward { port: 22 }.to_query()), Ok(Forward { port: 22 }));
        let upgrade = Upgrade {
            version: "1.0+a".into(),
            executable: "sha256:0".into(),
            size: 7,
            signature: "a-_=".into(),
        };
        assert_eq!(Upgrade::from_query(&upgrade.to_query()), Ok(upgrade));
        assert!(Upgrade::from_query("size=-1").is_err());
        for bad in ["", "port=0", "port=65536", "port=ssh"] {
            assert!(Forward::from_query(bad).is_err(), "{bad}");
        }
        let journal = Journal {
            follow: true,
            units: vec!["ssh.service".into(), "getty@*".into()],
            since: Some("2026-11-21T12:00:00Z".parse().unwrap()),
            lines: Some(7),
        };
        assert_eq!(Journal::from_query(&journal.to_query()), Ok(journal));
        for bad in ["unit=--flush", "unit=a%20b", "unit=", "since=yesterday", "tailLines=-1"] {
            assert!(Journal::from_query(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_report_of_another_version_is_understood() {
        let found: Report = serde_json::from_str(r#"{"system": {"agent": "9"}, "later": 1}"#).unwrap();
        assert_eq!(found.system.agent, "9");
        assert_eq!(serde_json::from_str::<Report>(&serde_json::to_string(&found).unwrap()).unwrap(), found);
    }
}
