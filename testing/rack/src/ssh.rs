//! An operator's way into an installed machine.

use anyhow::{Context, bail};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

/// ssh as the user `ops`, with a key of the operator's.
pub struct Ssh {
    key: PathBuf,
    address: String,
}

impl Ssh {
    /// To an address, with the key of a folder, which is made there once.
    pub fn to(folder: &Path, address: &str) -> anyhow::Result<Self> {
        Ok(Self { key: key(folder)?, address: address.into() })
    }

    /// The public half of the key of a folder.
    pub fn public_key(folder: &Path) -> anyhow::Result<String> {
        let public = key(folder)?.with_extension("pub");
        let text = fs::read_to_string(&public).with_context(|| format!("reading {}", public.display()))?;
        Ok(text.trim().into())
    }

    /// Waits until the machine lets the operator in.
    pub fn wait(&self, patience: Duration) -> anyhow::Result<()> {
        self.wait_for("true", |_| true, patience)
    }

    /// Waits until the machine lets the operator in, and a command says what it should.
    pub fn wait_for(
        &self,
        command: &str,
        is: impl Fn(&str) -> bool,
        patience: Duration,
    ) -> anyhow::Result<()> {
        let until = Instant::now() + patience;
        loop {
            match self.run(command) {
                Ok(said) if is(&said) => return Ok(()),
                said if Instant::now() > until => bail!("{command}: {said:?}"),
                _ => sleep(Duration::from_secs(2)),
            }
        }
    }

    /// What a command prints.
    pub fn run(&self, command: &str) -> anyhow::Result<String> {
        let options = [
            "StrictHostKeyChecking=no",
            "UserKnownHostsFile=/dev/null",
            "BatchMode=yes",
            "ConnectTimeout=20",
            "LogLevel=ERROR",
        ];
        let output = Command::new("ssh")
            .args(options.iter().flat_map(|option| ["-o", option]))
            .arg("-i")
            .arg(&self.key)
            .args([&format!("ops@{}", self.address), command])
            .stdin(Stdio::null())
            .output()
            .context("starting ssh")?;
        if !output.status.success() {
            bail!("{command} on {}: {}", self.address, String::from_utf8_lossy(&output.stderr));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

fn key(folder: &Path) -> anyhow::Result<PathBuf> {
    let key = folder.join("key");
    if !key.exists() {
        let made =
            Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key).status();
        if !made.context("starting ssh-keygen")?.success() {
            bail!("ssh-keygen made no {}", key.display());
        }
    }
    Ok(key)
}
