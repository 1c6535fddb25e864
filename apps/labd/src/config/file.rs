//! The configuration file: its fields, and errors that say where.

use super::Level;
use lab_kinds::metal::size::Size;
use serde::Deserialize;
use std::{fmt, net::SocketAddr, path::PathBuf};

/// What the file may say. Everything is optional; `labd.toml` beside this crate shows all with their defaults.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct File {
    /// Where everything is kept.
    pub data_dir: Option<PathBuf>,
    /// Directory with the keys by which secrets are encrypted at rest.
    pub keys: Option<PathBuf>,
    /// Address and port of the API.
    pub listen: Option<SocketAddr>,
    /// Further names and addresses by which this server is called.
    pub names: Vec<String>,
    /// What is logged.
    pub log: Log,
    /// How long events are kept.
    pub events: Events,
    /// What certificates hold.
    pub identity: Identity,
    /// How much of the audit trail is kept.
    pub audit: Audit,
    /// The boot server in this process.
    pub bastion: Bastion,
}

/// The table `[identity]`.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Identity {
    /// How long certificates of bastions and agents hold, such as `30d`.
    pub machine_certificates: Option<super::Span>,
}

/// The table `[audit]`.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Audit {
    /// Bytes after which the next segment is begun, such as `32Mi`.
    pub segment_size: Option<Size>,
    /// How long segments are kept after they were last written to, such as `365d`; or `for-ever`.
    pub keep: Option<super::Keep>,
    /// How many bytes all segments may have, such as `8Gi`.
    pub keep_size: Option<Size>,
}

/// The table `[bastion]`.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Bastion {
    /// Whether there is one.
    pub serve: Option<bool>,
    /// The name of its Bastion object.
    pub name: Option<String>,
    /// The port of its HTTP server.
    pub http_port: Option<u16>,
    /// The folder with the files it serves.
    pub files: Option<PathBuf>,
}

/// The table `[log]`.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Log {
    /// From which level on.
    pub level: Option<Level>,
    /// How a line looks.
    pub format: Option<LogFormat>,
}

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// The table `[events]`.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Events {
    /// How long an event is kept after it was last seen, such as `1h` or `2d`.
    pub keep: Option<super::Span>,
}

/// What is wrong with a configuration file, and where.
#[derive(Debug, PartialEq, Eq)]
pub struct Fault {
    /// Line, from 1.
    pub line: usize,
    /// Column, from 1.
    pub column: usize,
    /// Path of the field, such as `log.level`; empty where the text is no TOML.
    pub field: String,
    /// What is wrong.
    pub what: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}: ", self.line, self.column)?;
        if !self.field.is_empty() {
            write!(f, "{}: ", self.field)?;
        }
        f.write_str(&self.what)
    }
}

impl std::error::Error for Fault {}

impl File {
    /// Reads a configuration.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        toml::from_str(text).map_err(|error| Fault::new(text, error))
    }
}

impl Fault {
    fn new(text: &str, mut error: toml::de::Error) -> Self {
        let start = error.span().map_or(0, |span| span.start.min(text.len()));
        let before = &text[..start];
        let line = before.matches('\n').count() + 1;
        let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
        let message = error.message().trim_end().to_owned();
        // Without its input the error says which field it is about, on a line of its own.
        error.set_input(None);
        let shown = error.to_string();
        let field = shown.trim_end().rsplit_once("\nin `").and_then(|(_, field)| field.strip_suffix('`'));
        let field = field.unwrap_or_default().to_owned();
        match Unknown::parse(&message) {
            Some(unknown) => Self { line, column, field: unknown.place(&field), what: unknown.to_string() },
            None => Self { line, column, field, what: message },
        }
    }
}

/// A field that does not exist, and those that do.
struct Unknown<'a> {
    name: &'a str,
    known: Vec<&'a str>,
}

impl<'a> Unknown<'a> {
    /// Reads serde's message for an unknown field.
    fn parse(message: &'a str) -> Option<Self> {
        let mut quoted = message.strip_prefix("unknown field ")?.split('`').skip(1).step_by(2);
        let name = quoted.next()?;
        Some(Self { name, known: quoted.collect() })
    }

    /// The field's path: `parent` may already end in it.
    fn place(&self, parent: &str) -> String {
        if parent.is_empty() || parent == self.name || parent.ends_with(&format!(".{}", self.name)) {
            return if parent.is_empty() { self.name.to_owned() } else { parent.to_owned() };
        }
        format!("{parent}.{}", self.name)
    }
}

impl fmt::Display for Unknown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("there is no such field")?;
        let near = self.known.iter().map(|k| (strsim::damerau_levenshtein(k, self.name), k)).min();
        match near {
            Some((distance, known)) if distance <= 2 => write!(f, "; did you mean `{known}`?"),
            _ => write!(f, "; there are: {}", self.known.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_name_line_column_field_and_the_nearest_name() {
        let check = |text: &str, expected: &str| {
            assert_eq!(File::parse(text).unwrap_err().to_string(), expected, "{text}");
        };
        check(
            "\nlsten = \"0.0.0.0:1\"",
            "line 2, column 1: lsten: there is no such field; did you mean `listen`?",
        );
        check(
            "[log]\nlevel = \"info\"\n  frmat = \"json\"\n",
            "line 3, column 3: log.frmat: there is no such field; did you mean `format`?",
        );
        check(
            "banana = 1",
            "line 1, column 1: banana: there is no such field; there are: data-dir, keys, listen, names, log, events, identity, audit, bastion",
        );
        check("listen = 5", "line 1, column 10: listen: invalid type: integer `5`, expected socket address");
        check("listen = \"x\"", "line 1, column 10: listen: invalid socket address syntax");
        check(
            "[log]\nformat = \"xml\"",
            "line 2, column 10: log.format: unknown variant `xml`, expected `text` or `json`",
        );
        check(
            "[log]\nlevel = \"lab=loud\"",
            "line 2, column 9: log.level: `lab=loud` is no log level; write error, warn, info, debug, trace or off, \
             alone or per module as in `info,lab_store=debug`",
        );
        check(
            "[events]\nkeep = \"soon\"",
            "line 2, column 8: events.keep: `soon` is no length of time; write it as in `90m`, `1h` or `2d`",
        );
        check("events.keep = \"-1h\"", "line 1, column 15: events.keep: `-1h` is not above zero");
        check(
            "audit.keep = \"always\"",
            "line 1, column 14: audit.keep: `always` is no length of time; write it as in `90m`, `1h` or `2d`, or write `for-ever`",
        );
        check(
            "audit.keep-size = \"8 GB\"",
            "line 1, column 19: audit.keep-size: \"8 GB\" is not a size: a whole number followed by Ki, Mi, Gi or Ti \
             (or k, M, G, T), such as \"33Gi\"",
        );
        check("listen = ", "line 1, column 10: string values must be quoted, expected literal string");
    }

    #[test]
    fn the_example_shows_the_defaults() {
        let example = File::parse(include_str!("../../labd.toml")).unwrap();
        assert_eq!(example, File::default(), "in the example, every field is a comment");
        let shown: String = include_str!("../../labd.toml")
            .lines()
            .map(|line| line.strip_prefix('#').filter(|rest| !rest.starts_with(' ')).unwrap_or(line))
            .map(|line| format!("{line}\n"))
            .collect();
        let shown = super::super::Settings::resolve(Default::default(), File::parse(&shown).unwrap(), true);
        let default = super::super::Settings::resolve(Default::default(), File::default(), true);
        assert_eq!(shown.unwrap(), default.unwrap());
    }
}
