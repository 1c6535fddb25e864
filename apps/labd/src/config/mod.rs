//! What labd is told, from flags, a file and defaults, in this order of precedence.

mod file;

pub use file::{File, LogFormat};

use anyhow::Context;
use jiff::SignedDuration;
use serde::Deserialize;
use std::{
    env,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    str::FromStr,
};

/// Kubernetes' own port for its API.
const PORT: u16 = 6443;
/// The port that firmware and iPXE take where a URL names none.
const HTTP_PORT: u16 = 80;
/// How long an event is kept after it was last seen: Kubernetes' own default.
const EVENTS: SignedDuration = SignedDuration::from_hours(1);
/// How long the audit trail is kept.
const AUDIT: SignedDuration = SignedDuration::from_hours(365 * 24);
/// How long certificates of bastions and agents hold.
const MACHINES: SignedDuration = SignedDuration::from_hours(30 * 24);

/// Flags that set what the file may set as well; they win.
#[derive(Debug, Default, clap::Args)]
pub struct Flags {
    /// Where everything is kept [default: /var/lib/lab for root, else ~/.local/state/lab]
    #[arg(long, value_name = "DIR", global = true)]
    pub data_dir: Option<PathBuf>,
    /// Directory with the keys by which secrets are encrypted at rest [default: keys in the data directory]
    #[arg(long, value_name = "DIR", global = true)]
    pub keys: Option<PathBuf>,
    /// Address and port of the API [default: 0.0.0.0:6443]
    #[arg(long, value_name = "ADDR:PORT")]
    pub listen: Option<SocketAddr>,
    /// A further name or address by which this server is called, for its certificate (repeatable)
    #[arg(long = "name", value_name = "NAME")]
    pub names: Vec<String>,
    /// No boot server in this process, whatever Network objects say
    #[arg(long)]
    pub no_bastion: bool,
    /// The configuration file (TOML); flags win over it
    #[arg(long, value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,
    /// What is logged: error, warn, info, debug, trace or off, or per module as in `info,lab_store=debug`
    /// [default: info]
    #[arg(long, value_name = "LEVEL", global = true)]
    pub log: Option<Level>,
    /// How a log line looks [default: text]
    #[arg(long, value_name = "FORMAT", global = true)]
    pub log_format: Option<LogFormat>,
}

/// What labd was told, with nothing left open.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Where everything is kept.
    pub data_dir: PathBuf,
    /// Directory with the keys by which secrets are encrypted at rest.
    pub keys: PathBuf,
    /// Address and port of the API.
    pub listen: SocketAddr,
    /// Further names and addresses by which this server is called.
    pub names: Vec<String>,
    /// From which level on something is logged.
    pub log_level: Level,
    /// How a log line looks.
    pub log_format: LogFormat,
    /// How long an event is kept after it was last seen.
    pub keep_events: SignedDuration,
    /// How long certificates of bastions and agents hold.
    pub machine_certificates: SignedDuration,
    /// How much of the audit trail is kept.
    pub audit: Audit,
    /// The boot server in this process, where there is to be one.
    pub bastion: Option<Bastion>,
}

/// How much of the audit trail is kept.
#[derive(Debug, Clone, PartialEq)]
pub struct Audit {
    /// Bytes after which the next segment is begun.
    pub segment_bytes: u64,
    /// How long segments are kept after they were last written to; `None` for ever.
    pub keep: Option<SignedDuration>,
    /// How many bytes all segments may have.
    pub keep_bytes: u64,
}

impl Audit {
    fn resolve(file: file::Audit) -> Self {
        Self {
            segment_bytes: file.segment_size.map_or(32 << 20, |size| size.bytes),
            keep: file.keep.map_or(Some(AUDIT), |keep| keep.0),
            keep_bytes: file.keep_size.map_or(8 << 30, |size| size.bytes),
        }
    }
}

/// What the boot server was told. It serves nothing before a Network object says so.
#[derive(Debug, Clone, PartialEq)]
pub struct Bastion {
    /// The name of its Bastion object; this machine's host name without one.
    pub name: Option<String>,
    /// The port of its HTTP server.
    pub http_port: u16,
    /// The folder with the files it serves; one in the data directory without it.
    pub files: Option<PathBuf>,
}

impl Bastion {
    fn resolve(flag: bool, file: file::Bastion) -> Option<Self> {
        let wanted = !flag && file.serve.unwrap_or(true);
        wanted.then(|| Self {
            name: file.name,
            http_port: file.http_port.unwrap_or(HTTP_PORT),
            files: file.files,
        })
    }
}

impl Settings {
    /// Reads the file, if one is named, and puts the flags over it.
    pub fn load(flags: Flags) -> anyhow::Result<Self> {
        let file = match &flags.config {
            Some(path) => read(path)?,
            None => File::default(),
        };
        Self::resolve(flags, file, is_root())
    }

    fn resolve(flags: Flags, file: File, root: bool) -> anyhow::Result<Self> {
        let data_dir = match flags.data_dir.or(file.data_dir) {
            Some(directory) => directory,
            None => default_data_dir(root)?,
        };
        let names = if flags.names.is_empty() { file.names } else { flags.names };
        let absolute = |path: &Path, what| {
            std::path::absolute(path).with_context(|| format!("{what} {:?}", path.display()))
        };
        let data_dir = absolute(&data_dir, "data directory")?;
        let keys = match flags.keys.or(file.keys) {
            Some(keys) => absolute(&keys, "directory of keys")?,
            None => data_dir.join("keys"),
        };
        Ok(Self {
            data_dir,
            keys,
            listen: flags.listen.or(file.listen).unwrap_or((Ipv4Addr::UNSPECIFIED, PORT).into()),
            names,
            log_level: flags.log.or(file.log.level).unwrap_or_default(),
            log_format: flags.log_format.or(file.log.format).unwrap_or_default(),
            keep_events: file.events.keep.map_or(EVENTS, |span| span.0),
            machine_certificates: file.identity.machine_certificates.map_or(MACHINES, |span| span.0),
            audit: Audit::resolve(file.audit),
            bastion: Bastion::resolve(flags.no_bastion, file.bastion),
        })
    }
}

fn read(path: &Path) -> anyhow::Result<File> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    File::parse(&text).with_context(|| format!("{} is not a configuration of labd", path.display()))
}

/// The state directory of the XDG base directory specification, or the system's for root.
fn default_data_dir(root: bool) -> anyhow::Result<PathBuf> {
    if root {
        return Ok("/var/lib/lab".into());
    }
    let absolute = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    absolute("XDG_STATE_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".local/state")))
        .map(|state| state.join("lab"))
        .context("no data directory: HOME is not set; name one with --data-dir DIR")
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// From which level on something is logged, as `tracing`'s filters write it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Level(String);

impl Default for Level {
    fn default() -> Self {
        Self("info".into())
    }
}

impl Level {
    /// The filter.
    pub fn filter(&self) -> tracing_subscriber::EnvFilter {
        tracing_subscriber::EnvFilter::new(&self.0)
    }
}

impl FromStr for Level {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let ok = !text.is_empty() && tracing_subscriber::EnvFilter::try_new(text).is_ok();
        // A lone word that is no level would be taken for a module, and all else be silent.
        let word = text.split(',').filter(|part| !part.contains('=')).all(|part| {
            ["error", "warn", "info", "debug", "trace", "off"].contains(&part.to_ascii_lowercase().as_str())
        });
        if ok && word {
            return Ok(Self(text.into()));
        }
        Err(format!(
            "`{text}` is no log level; write error, warn, info, debug, trace or off, alone or per module as in \
             `info,lab_store=debug`"
        ))
    }
}

impl TryFrom<String> for Level {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

/// A length of time above zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Span(SignedDuration);

impl TryFrom<String> for Span {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        // A day here is 24 hours: nothing that is configured follows a calendar.
        let day = jiff::SpanRelativeTo::days_are_24_hours();
        let duration = text.parse::<jiff::Span>().and_then(|span| span.to_duration(day));
        match duration {
            Ok(duration) if duration > SignedDuration::ZERO => Ok(Self(duration)),
            Ok(_) => Err(format!("`{text}` is not above zero")),
            Err(_) => Err(format!("`{text}` is no length of time; write it as in `90m`, `1h` or `2d`")),
        }
    }
}

/// How long something is kept: a length of time, or `for-ever`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Keep(Option<SignedDuration>);

impl TryFrom<String> for Keep {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text == "for-ever" {
            return Ok(Self(None));
        }
        let span = Span::try_from(text).map_err(|why| format!("{why}, or write `for-ever`"))?;
        Ok(Self(Some(span.0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_win_over_the_file_and_the_file_over_defaults() {
        let file = || {
            File::parse(
                "data-dir = \"/a\"\nlisten = \"127.0.0.1:1\"\nnames = [\"x\"]\n[log]\nlevel = \"warn\"\n\
                 [bastion]\nname = \"home-1\"\nhttp-port = 8080\n[identity]\nmachine-certificates = \"2d\"\n\
                 [audit]\nkeep = \"for-ever\"\nkeep-size = \"1Gi\"\n",
            )
            .unwrap()
        };
        let from_file = Settings::resolve(Flags::default(), file(), true).unwrap();
        assert_eq!(
            from_file,
            Settings {
                data_dir: "/a".into(),
                keys: "/a/keys".into(),
                listen: "127.0.0.1:1".parse().unwrap(),
                names: vec!["x".into()],
                log_level: Level("warn".into()),
                log_format: LogFormat::Text,
                keep_events: EVENTS,
                machine_certificates: SignedDuration::from_hours(48),
                audit: Audit { segment_bytes: 32 << 20, keep: None, keep_bytes: 1 << 30 },
                bastion: Some(Bastion { name: Some("home-1".into()), http_port: 8080, files: None }),
            }
        );
        let flags = Flags {
            data_dir: Some("/b".into()),
            keys: Some("/k".into()),
            listen: Some("127.0.0.1:2".parse().unwrap()),
            names: vec!["y".into()],
            log: Some(Level("debug".into())),
            log_format: Some(LogFormat::Json),
            no_bastion: true,
            config: None,
        };
        let from_flags = Settings::resolve(flags, file(), true).unwrap();
        assert_eq!(
            from_flags,
            Settings {
                data_dir: "/b".into(),
                keys: "/k".into(),
                listen: "127.0.0.1:2".parse().unwrap(),
                names: vec!["y".into()],
                log_level: Level("debug".into()),
                log_format: LogFormat::Json,
                keep_events: EVENTS,
                machine_certificates: SignedDuration::from_hours(48),
                audit: Audit { segment_bytes: 32 << 20, keep: None, keep_bytes: 1 << 30 },
                bastion: None,
            }
        );
    }

    #[test]
    fn levels_are_levels() {
        let check = |text: &str, ok: bool| assert_eq!(text.parse::<Level>().is_ok(), ok, "{text}");
        for text in ["info", "off", "DEBUG", "info,lab_store=trace", "lab_store=trace"] {
            check(text, true);
        }
        for text in ["", "loud", "info,loud", "lab=loud", "lab_store"] {
            check(text, false);
        }
    }
}
