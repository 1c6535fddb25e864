//! What the bastion is told, from flags, a file and defaults, in this order of precedence.

use anyhow::{Context, bail};
use serde::Deserialize;
use std::{
    env,
    net::SocketAddr,
    path::{Path, PathBuf},
};

/// Flags that set what the file may set as well; they win.
#[derive(Debug, Default, Clone, clap::Args)]
pub struct Flags {
    /// The name of its Bastion object [default: this machine's host name]
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// The labd to join, as a URL; needs --ca-hash, and a join token the first time
    #[arg(long, value_name = "URL", requires = "ca_hash", conflicts_with = "kubeconfig")]
    pub server: Option<String>,
    /// The hash of that labd's authority, as labd prints it
    #[arg(long, value_name = "HASH", requires = "server")]
    pub ca_hash: Option<String>,
    /// The file with the join token, or - for standard input [default: what LAB_JOIN_TOKEN says]
    #[arg(long, value_name = "FILE", requires = "server")]
    pub join_token_file: Option<PathBuf>,
    /// How labd is reached without joining it [default: the file that KUBECONFIG names, or ~/.kube/config]
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Where leases, logs and the last known objects are kept [default: /var/lib/lab-bastion for root]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// The folder with the files it serves [default: files in the data directory]
    #[arg(long, value_name = "DIR")]
    pub files: Option<PathBuf>,
    /// The port of its HTTP server [default: 80]
    #[arg(long, value_name = "PORT")]
    pub http_port: Option<u16>,
    /// Where /healthz, /readyz and /metrics are answered [default: 127.0.0.1:9067]
    #[arg(long, value_name = "ADDR:PORT")]
    pub status_listen: Option<SocketAddr>,
    /// The configuration file (TOML); flags win over it
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// What is logged: error, warn, info, debug, trace or off, or per module as in `info,lab_boot_site=debug`
    /// [default: info]
    #[arg(long, value_name = "LEVEL")]
    pub log: Option<String>,
    /// How a log line looks [default: text]
    #[arg(long, value_name = "FORMAT")]
    pub log_format: Option<LogFormat>,
}

/// What the file may say. Everything is optional; `bastion.toml` beside this crate shows all with their defaults.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct File {
    name: Option<String>,
    server: Option<String>,
    ca_hash: Option<String>,
    join_token_file: Option<PathBuf>,
    kubeconfig: Option<PathBuf>,
    data_dir: Option<PathBuf>,
    files: Option<PathBuf>,
    http_port: Option<u16>,
    status_listen: Option<SocketAddr>,
    log: Log,
}

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct Log {
    level: Option<String>,
    format: Option<LogFormat>,
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

/// What the bastion was told, with nothing left open.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// The name of its Bastion object.
    pub name: String,
    /// How labd is reached.
    pub labd: Labd,
    /// Where everything is kept.
    pub data_dir: PathBuf,
    /// The folder with the files it serves.
    pub files: PathBuf,
    /// The port of its HTTP server.
    pub http_port: u16,
    /// Where its own state is told.
    pub status_listen: SocketAddr,
    /// From which level on something is logged.
    pub log_level: String,
    /// How a log line looks.
    pub log_format: LogFormat,
}

/// How labd is reached.
#[derive(Debug, Clone, PartialEq)]
pub enum Labd {
    /// By an identity of the bastion's own, which a join token gives it once.
    Joined {
        /// The server's URL.
        server: String,
        /// The hash of its authority's key.
        ca_hash: String,
        /// The file with the token, `-` for standard input.
        token_file: Option<PathBuf>,
    },
    /// By a kubeconfig; where it is not named, by the identity of before, or else where kubectl looks.
    Kubeconfig(Option<PathBuf>),
}

impl Labd {
    fn resolve(flags: &Flags, file: &File) -> anyhow::Result<Self> {
        if let Some(kubeconfig) = &flags.kubeconfig {
            return Ok(Self::Kubeconfig(Some(kubeconfig.clone())));
        }
        let server = flags.server.clone().or(file.server.clone());
        let Some(server) = server else { return Ok(Self::Kubeconfig(file.kubeconfig.clone())) };
        if file.kubeconfig.is_some() && flags.server.is_none() {
            bail!("server and kubeconfig are both configured; take one of them out");
        }
        let ca_hash = flags.ca_hash.clone().or(file.ca_hash.clone());
        let ca_hash =
            ca_hash.context("ca-hash is not configured, by which the labd at server is recognised")?;
        let token_file = flags.join_token_file.clone().or(file.join_token_file.clone());
        Ok(Self::Joined { server, ca_hash, token_file })
    }
}

impl Settings {
    /// Reads the file, if one is named, and puts the flags over it.
    pub fn load(flags: Flags) -> anyhow::Result<Self> {
        let file = match &flags.config {
            Some(path) => read(path)?,
            None => File::default(),
        };
        Self::resolve(flags, file)
    }

    fn resolve(flags: Flags, file: File) -> anyhow::Result<Self> {
        let labd = Labd::resolve(&flags, &file)?;
        let data_dir = match flags.data_dir.or(file.data_dir) {
            Some(directory) => directory,
            None => default_data_dir(rustix::process::geteuid().is_root())?,
        };
        let data_dir = std::path::absolute(&data_dir)
            .with_context(|| format!("data directory {:?}", data_dir.display()))?;
        let name = flags.name.or(file.name).unwrap_or_else(host_name);
        if let Some(why) = lab_object::name::check_subdomain(&name).first() {
            bail!("{name:?} is no name for a Bastion object: {why}; name another one with --name NAME");
        }
        let log_level = flags.log.or(file.log.level).unwrap_or_else(|| "info".into());
        if tracing_subscriber::EnvFilter::try_new(&log_level).is_err() {
            bail!("{log_level:?} is no log level; write error, warn, info, debug, trace or off");
        }
        Ok(Self {
            name,
            labd,
            files: flags.files.or(file.files).unwrap_or_else(|| data_dir.join("files")),
            data_dir,
            http_port: flags.http_port.or(file.http_port).unwrap_or(80),
            status_listen: flags
                .status_listen
                .or(file.status_listen)
                .unwrap_or(([127, 0, 0, 1], 9067).into()),
            log_level,
            log_format: flags.log_format.or(file.log.format).unwrap_or_default(),
        })
    }
}

fn read(path: &Path) -> anyhow::Result<File> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    // The parser's own words name line and column, and show the line.
    toml::from_str(&text).with_context(|| format!("{} is not a configuration of bastion", path.display()))
}

/// The state directory of the XDG base directory specification, or the system's for root.
fn default_data_dir(root: bool) -> anyhow::Result<PathBuf> {
    if root {
        return Ok("/var/lib/lab-bastion".into());
    }
    let absolute = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    absolute("XDG_STATE_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".local/state")))
        .map(|state| state.join("lab-bastion"))
        .context("no data directory: HOME is not set; name one with --data-dir DIR")
}

fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_win_over_the_file_and_the_file_over_defaults() {
        let file: File = toml::from_str(
            "name = \"a\"\ndata-dir = \"/a\"\nhttp-port = 8080\nstatus-listen = \"127.0.0.1:1\"\n[log]\nformat = \"json\"\n",
        )
        .unwrap();
        let flags = Flags { name: Some("b".into()), files: Some("/srv".into()), ..Flags::default() };
        let expected = Settings {
            name: "b".into(),
            labd: Labd::Kubeconfig(None),
            data_dir: "/a".into(),
            files: "/srv".into(),
            http_port: 8080,
            status_listen: "127.0.0.1:1".parse().unwrap(),
            log_level: "info".into(),
            log_format: LogFormat::Json,
        };
        assert_eq!(Settings::resolve(flags, file).unwrap(), expected);
    }

    #[test]
    fn the_example_shows_every_field() {
        let example = include_str!("../bastion.toml");
        assert_eq!(toml::from_str::<File>(example).unwrap(), File::default(), "every field is a comment");
        let shown: String = example
            .lines()
            .map(|line| line.strip_prefix('#').filter(|rest| !rest.starts_with(' ')).unwrap_or(line))
            .map(|line| format!("{line}\n"))
            .collect();
        let shown: File = toml::from_str(&shown).unwrap();
        assert_eq!((shown.http_port, shown.log.level.as_deref()), (Some(80), Some("info")));
        assert_eq!(shown.status_listen, Some("127.0.0.1:9067".parse().unwrap()));
    }

    #[test]
    fn what_cannot_be_is_refused_by_name() {
        let check = |flags: Flags, expected: &str| {
            let file = File { data_dir: Some("/a".into()), ..File::default() };
            let error = Settings::resolve(flags, file).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        };
        check(
            Flags { name: Some("A B".into()), ..Flags::default() },
            "\"A B\" is no name for a Bastion object",
        );
        check(Flags { log: Some("lab=loud".into()), ..Flags::default() }, "\"lab=loud\" is no log level");
    }

    #[test]
    fn labd_is_reached_in_one_way() {
        let check = |flags: &[&str], file: &str, expected: Result<Labd, &str>| {
            use clap::{Args, FromArgMatches};
            let command = Flags::augment_args(clap::Command::new("bastion").no_binary_name(true));
            let flags = Flags::from_arg_matches(&command.get_matches_from(flags)).unwrap();
            let found = Labd::resolve(&flags, &toml::from_str(file).unwrap());
            assert_eq!(found.map_err(|error| error.to_string()), expected.map_err(Into::into), "{file}");
        };
        let joined = |server: &str, token_file: Option<&str>| {
            let token_file = token_file.map(Into::into);
            Ok(Labd::Joined { server: server.into(), ca_hash: "sha256:0".into(), token_file })
        };
        let whole = "server = \"https://a\"\nca-hash = \"sha256:0\"\njoin-token-file = \"/t\"\n";
        check(&[], "", Ok(Labd::Kubeconfig(None)));
        check(&[], "kubeconfig = \"/k\"", Ok(Labd::Kubeconfig(Some("/k".into()))));
        check(&[], whole, joined("https://a", Some("/t")));
        check(&["--kubeconfig", "/k"], whole, Ok(Labd::Kubeconfig(Some("/k".into()))));
        check(
            &["--server", "https://b", "--ca-hash", "sha256:0"],
            "kubeconfig = \"/k\"",
            joined("https://b", None),
        );
        check(
            &[],
            "server = \"https://a\"",
            Err("ca-hash is not configured, by which the labd at server is recognised"),
        );
        let both = format!("{whole}kubeconfig = \"/k\"");
        check(&[], &both, Err("server and kubeconfig are both configured; take one of them out"));
    }
}
