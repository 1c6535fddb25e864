//! From flags and the environment to settings: which server, as whom, in which namespace.

use crate::failure::{Failure, Outcome};
use lab_client::{
    ConfigError, Connection, Kubeconfig,
    config::{Material, Overrides, Source, Sourced},
};
use std::{path::PathBuf, time::Duration};

/// The variables of the environment that labctl reads, as `--help` documents them.
pub const VARIABLES: &str = "\
Environment (a flag wins over its variable, and a variable over the kubeconfig):
  LAB_KUBECONFIG              the kubeconfig; else KUBECONFIG, a list merged as kubectl does; else ~/.kube/config
  LAB_CONTEXT                 the context
  LAB_SERVER                  the server's URL
  LAB_CERTIFICATE_AUTHORITY   the file with the server's CA
  LAB_TLS_SERVER_NAME         the name its certificate must be for
  LAB_TOKEN                   a bearer token
  LAB_NAMESPACE               the namespace
  LAB_REQUEST_TIMEOUT         how long an answer may take to begin, such as 10s
  LAB_EDITOR, VISUAL, EDITOR  the editor of `labctl edit`; else vi
  NO_COLOR                    no colour";

/// Flags that every command takes.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Connection")]
pub struct Globals {
    /// The kubeconfig file
    #[arg(long, global = true, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub kubeconfig: Option<PathBuf>,
    /// The context of the kubeconfig
    #[arg(long, global = true, value_name = "NAME", add = crate::complete::contexts())]
    pub context: Option<String>,
    /// The server's URL
    #[arg(long, short = 's', global = true, value_name = "URL")]
    pub server: Option<String>,
    /// The file with the server's CA
    #[arg(long, global = true, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub certificate_authority: Option<PathBuf>,
    /// The name that the server's certificate must be for
    #[arg(long, global = true, value_name = "NAME")]
    pub tls_server_name: Option<String>,
    /// The file with a bearer token, such as /dev/stdin; as an argument, others on this machine could see it
    #[arg(long, global = true, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub token_file: Option<PathBuf>,
    /// The namespace
    #[arg(long, short, global = true, value_name = "NAME", add = crate::complete::namespaces())]
    pub namespace: Option<String>,
    /// How long an answer may take to begin, such as 10s; 0 waits for ever
    #[arg(long, global = true, value_name = "DURATION")]
    pub request_timeout: Option<String>,
    /// When to use colour
    #[arg(long = "color", global = true, value_name = "WHEN", value_enum, default_value = "auto")]
    pub colour: Colour,
}

/// When to use colour.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Colour {
    /// On a terminal, unless NO_COLOR is set
    #[default]
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

impl Globals {
    /// The flags that say which server is asked and as whom, for another run of this program. A token is not among them: it goes
    /// by its variable.
    pub fn passed_on(&self) -> Vec<String> {
        let path = |path: &Option<PathBuf>| path.as_ref().map(|path| path.to_string_lossy().into_owned());
        let flags = [
            ("--kubeconfig", path(&self.kubeconfig)),
            ("--context", self.context.clone()),
            ("--server", self.server.clone()),
            ("--certificate-authority", path(&self.certificate_authority)),
            ("--tls-server-name", self.tls_server_name.clone()),
        ];
        let set = flags.into_iter().filter_map(|(flag, value)| Some([flag.into(), value?]));
        set.flatten().collect()
    }
}

/// How long an answer may take to begin where nobody says.
const PATIENCE: Duration = Duration::from_secs(30);

/// A variable of the environment that is set to something.
fn variable(name: &'static str) -> Option<Sourced<String>> {
    let value = std::env::var(name).ok().filter(|value| !value.is_empty())?;
    Some(Sourced::new(value, Source::Variable(name)))
}

fn choose(flag: Option<&String>, name: &'static str, other: &'static str) -> Option<Sourced<String>> {
    flag.map(|value| Sourced::new(value.clone(), Source::Flag(name))).or_else(|| variable(other))
}

/// The bearer token: the one in a file, or that of the environment.
pub fn token(globals: &Globals) -> Option<Sourced<Material>> {
    let from_file = |path: &PathBuf| Sourced::new(Material::File(path.clone()), Source::Flag("--token-file"));
    let inline = |v: Sourced<String>| Sourced::new(Material::Inline(v.value.into_bytes()), v.source);
    globals.token_file.as_ref().map(from_file).or_else(|| variable("LAB_TOKEN").map(inline))
}

fn choose_path(flag: Option<&PathBuf>, name: &'static str, other: &'static str) -> Option<Sourced<PathBuf>> {
    let from_variable = || variable(other).map(|v| Sourced::new(PathBuf::from(v.value), v.source));
    flag.map(|value| Sourced::new(value.clone(), Source::Flag(name))).or_else(from_variable)
}

/// The kubeconfig files that count, the first of which is written; and what named them, if it is not the usual one.
pub fn kubeconfig_paths(globals: &Globals) -> (Vec<PathBuf>, Option<Source>) {
    if let Some(path) = choose_path(globals.kubeconfig.as_ref(), "--kubeconfig", "LAB_KUBECONFIG") {
        return (vec![path.value], Some(path.source));
    }
    if let Some(list) = std::env::var_os(SHARED).filter(|list| !list.is_empty()) {
        let paths = std::env::split_paths(&list).filter(|p| !p.as_os_str().is_empty()).collect();
        return (paths, Some(Source::Variable(SHARED)));
    }
    let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    (vec![home.join(".kube/config")], None)
}

/// The variable that kubectl reads, too: a list of which not every file has to exist.
const SHARED: &str = "KUBECONFIG";

/// Reads the kubeconfig files.
pub fn kubeconfig(globals: &Globals) -> Outcome<Kubeconfig> {
    let (paths, source) = kubeconfig_paths(globals);
    let read = match (&source, paths.as_slice()) {
        (Some(source), [path]) if *source != Source::Variable(SHARED) => Kubeconfig::read(path),
        _ => Kubeconfig::load(&paths),
    };
    read.map_err(|error| match source {
        None => error.into(),
        Some(source) => Failure::from(name_source(error, source)),
    })
}

/// An error about a file, with what named the file.
fn name_source(error: ConfigError, from: Source) -> ConfigError {
    let why = match &error {
        ConfigError::Read { path, source } => {
            format!("names {}, which cannot be read: {source}", path.display())
        }
        ConfigError::Syntax { path, why } => {
            format!("names {}, which is not a kubeconfig: {why}", path.display())
        }
        ConfigError::Refused { .. } | ConfigError::NoServer { .. } => return error,
    };
    ConfigError::Refused { from, why }
}

/// Works out whom to ask and as whom.
pub fn connection(globals: &Globals) -> Outcome<Connection> {
    let timeout = match choose(globals.request_timeout.as_ref(), "--request-timeout", "LAB_REQUEST_TIMEOUT") {
        None => Some(PATIENCE),
        Some(text) => {
            let duration = parse_duration(&text.value);
            let why = "is not a duration such as 10s, 5m or 0";
            let duration = duration.ok_or_else(|| Failure::usage(text.refuse(why)))?;
            Some(duration).filter(|d| !d.is_zero())
        }
    };
    let overrides = Overrides {
        context: choose(globals.context.as_ref(), "--context", "LAB_CONTEXT"),
        server: choose(globals.server.as_ref(), "--server", "LAB_SERVER"),
        certificate_authority: choose_path(
            globals.certificate_authority.as_ref(),
            "--certificate-authority",
            "LAB_CERTIFICATE_AUTHORITY",
        ),
        tls_server_name: choose(globals.tls_server_name.as_ref(), "--tls-server-name", "LAB_TLS_SERVER_NAME"),
        token: token(globals),
        namespace: choose(globals.namespace.as_ref(), "--namespace", "LAB_NAMESPACE"),
        timeout,
    };
    Ok(kubeconfig(globals)?.connection(&overrides)?)
}

/// Reads `90`, `90s`, `5m`, `2h`, `1d`, `500ms`, and sums such as `1h30m`. A bare number is seconds.
pub fn parse_duration(text: &str) -> Option<Duration> {
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let mut total = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: u64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let end = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let millis = match &rest[..end] {
            "ms" => 1,
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return None,
        };
        total = total.checked_add(Duration::from_millis(number.checked_mul(millis)?))?;
        rest = &rest[end..];
    }
    (!text.is_empty()).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        let check = |text: &str, seconds: Option<f64>| {
            assert_eq!(parse_duration(text).map(|d| d.as_secs_f64()), seconds, "{text}");
        };
        check("0", Some(0.0));
        check("90", Some(90.0));
        check("10s", Some(10.0));
        check("1h30m", Some(5400.0));
        check("250ms", Some(0.25));
        check("2d", Some(172_800.0));
        for bad in ["", "s", "-1s", "10x", "1h30", "99999999999999999999s"] {
            check(bad, None);
        }
    }
}
