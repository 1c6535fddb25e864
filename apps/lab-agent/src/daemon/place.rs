//! Where the agent keeps what it needs, and what its configuration says.

use anyhow::{Context, bail};
use jiff::SignedDuration;
use lab_host::sshd::Sshd;
use serde::{Deserialize, Serialize};
use std::{
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

/// Where things are; the usual places unless somebody says otherwise.
#[derive(Debug, Clone, clap::Args)]
pub struct Place {
    /// The configuration: how labd is reached
    #[arg(long, value_name = "FILE", default_value = lab_install::agent::CONFIGURATION)]
    pub config: PathBuf,
    /// The folder in which the machine's key and certificate are kept
    #[arg(long, value_name = "DIR", default_value = "/var/lib/lab-agent")]
    pub state_dir: PathBuf,
    /// The folder in which the running daemon says how it stands
    #[arg(long, value_name = "DIR", default_value = "/run/lab-agent")]
    pub run_dir: PathBuf,
    /// The folder with sshd's configuration
    #[arg(long, value_name = "DIR", default_value = "/etc/ssh")]
    pub sshd_dir: PathBuf,
    /// The file with the number of sshd's process
    #[arg(long, value_name = "FILE", default_value = "/run/sshd.pid")]
    pub sshd_pid: PathBuf,
}

impl Place {
    /// The flags that say the same.
    pub fn arguments(&self) -> Vec<OsString> {
        let Self { config, state_dir, run_dir, sshd_dir, sshd_pid } = self;
        let flags = ["--config", "--state-dir", "--run-dir", "--sshd-dir", "--sshd-pid"];
        let paths = [config, state_dir, run_dir, sshd_dir, sshd_pid];
        flags.into_iter().zip(paths).flat_map(|(flag, path)| [flag.into(), path.into()]).collect()
    }

    /// The file with the machine's identity.
    pub fn identity(&self) -> PathBuf {
        self.state_dir.join("identity")
    }

    /// The file with the one-time token that an installation left.
    pub fn token(&self) -> PathBuf {
        self.config.with_file_name("join-token")
    }

    /// The machine's sshd.
    pub fn sshd(&self) -> Sshd {
        Sshd { dir: self.sshd_dir.clone(), pid_file: self.sshd_pid.clone() }
    }

    /// The file in which the running daemon says how it stands.
    pub fn state(&self) -> PathBuf {
        self.run_dir.join("state.json")
    }
}

/// The configuration file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// labd's URL.
    pub server: String,
    /// The hash of its authority's key.
    pub ca_hash: String,
    /// The proxy through which it is reached; else what HTTPS_PROXY names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy: Option<String>,
    /// How long another executable of the agent may take until it reports in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upgrade_patience: Option<Patience>,
}

/// How long is waited for something, such as `90s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "SignedDuration", into = "SignedDuration")]
pub struct Patience(pub Duration);

impl TryFrom<SignedDuration> for Patience {
    type Error = &'static str;

    fn try_from(length: SignedDuration) -> Result<Self, Self::Error> {
        let length = Duration::try_from(length).ok().filter(|length| !length.is_zero());
        length.map(Self).ok_or("must be a time above zero, such as `90s`")
    }
}

impl From<Patience> for SignedDuration {
    fn from(Patience(length): Patience) -> Self {
        Self::try_from(length).unwrap_or(Self::MAX)
    }
}

impl Config {
    /// Reads it; nothing where there is none.
    pub fn read(path: &Path) -> anyhow::Result<Option<Self>> {
        let text = match fs::read_to_string(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            read => read.with_context(|| format!("cannot read {}", path.display()))?,
        };
        match toml::from_str(&text) {
            Ok(config) => Ok(Some(config)),
            Err(error) => {
                let line = error.span().map_or(1, |span| text[..span.start].lines().count().max(1));
                bail!("{}:{line}: {}", path.display(), error.message())
            }
        }
    }

    /// Writes it, for the daemon.
    pub fn write(&self, path: &Path) -> anyhow::Result<()> {
        let text = toml::to_string(self).context("the configuration cannot be written as TOML")?;
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        }
        fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
    }

    /// The proxy: the one in the file, or what the environment says.
    pub fn proxy(&self) -> anyhow::Result<Option<lab_client::Proxy>> {
        let variable = |name: &str| {
            let value = std::env::var(name).or_else(|_| std::env::var(name.to_lowercase()));
            value.ok().filter(|value| !value.is_empty())
        };
        let uri: http::Uri =
            self.server.parse().with_context(|| format!("server {:?} is no URL", self.server))?;
        let named = self.proxy.clone().or_else(|| variable("HTTPS_PROXY"));
        let without = variable("NO_PROXY");
        let host = uri.host().unwrap_or_default();
        let proxy = lab_client::Proxy::choose(host, named.as_deref(), without.as_deref());
        proxy.map_err(|why| anyhow::anyhow!("the proxy {:?} {why}", named.unwrap_or_default()))
    }
}

/// Reads a token: the first line of a file, or of the standard input where that is `-`.
pub fn read_token(path: &Path) -> anyhow::Result<String> {
    let text = if path == Path::new("-") {
        io::read_to_string(io::stdin()).context("cannot read the token from the standard input")?
    } else {
        fs::read_to_string(path).with_context(|| format!("cannot read the token in {}", path.display()))?
    };
    let token = text.lines().next().unwrap_or_default().trim();
    if token.is_empty() {
        bail!("there is no token in {}", path.display());
    }
    Ok(token.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configurations() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lab/agent.toml");
        assert_eq!(Config::read(&path).unwrap(), None);
        let upgrade_patience = Some(Patience(Duration::from_secs(240)));
        let (server, ca_hash) = ("https://labd:6443".into(), "sha256:0".into());
        let config = Config { server, ca_hash, proxy: None, upgrade_patience };
        config.write(&path).unwrap();
        assert_eq!(Config::read(&path).unwrap().as_ref(), Some(&config));
        let text = "server = \"https://labd:6443\"\nca-hash = \"sha256:0\"\nupgrade-patience = ";
        fs::write(&path, format!("{text}\"4m\"\n")).unwrap();
        assert_eq!(Config::read(&path).unwrap(), Some(config));
        for bad in ["\"0s\"", "\"-4m\"", "\"soon\"", "90"] {
            fs::write(&path, format!("{text}{bad}\n")).unwrap();
            let error = Config::read(&path).unwrap_err().to_string();
            assert!(error.contains("agent.toml:3: "), "{bad}: {error}");
        }
        fs::write(&path, "server = \"https://labd:6443\"\nca-hash = 7\n").unwrap();
        let error = Config::read(&path).unwrap_err().to_string();
        assert!(error.contains("agent.toml:2: ") && error.contains("expected a string"), "{error}");
    }

    #[test]
    fn tokens() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t");
        fs::write(&path, "labj_x\n\n").unwrap();
        assert_eq!(read_token(&path).unwrap(), "labj_x");
        fs::write(&path, "\n").unwrap();
        assert!(read_token(&path).is_err());
    }
}
