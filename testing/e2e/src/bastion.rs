//! The boot server apart from labd, as a process.

use crate::{labctl::Labctl, labd::Labd, program};
use anyhow::{Context, bail};
use std::{
    fs::{self, File},
    net::{IpAddr, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

const PATIENCE: Duration = Duration::from_secs(60);

/// A bastion, killed when dropped.
pub struct Bastion(Child);

impl Bastion {
    /// The flags with which one joins labd, whose token lies in a folder.
    pub fn invited(folder: &Path, labd: &Labd, labctl: &Labctl, site: &str) -> anyhow::Result<[String; 6]> {
        let token = format!(
            "{{apiVersion: iam.lab/v1alpha1, kind: JoinToken, metadata: {{name: {site}-1}}, spec: {{joiner: bastion, site: {site}}}}}"
        );
        let token = labctl.run_with(&["create", "-f", "-", "-o", "jsonpath={.status.token}"], &token);
        // That it is shown once is said behind it.
        let token = token.split("warning:").next().unwrap_or_default().trim();
        let file = folder.join("token");
        fs::write(&file, token).with_context(|| format!("writing {}", file.display()))?;
        let (server, hash) = (format!("https://{}", labd.address()), labd.fingerprint()?);
        let file = file.display().to_string();
        Ok(["--server", &server, "--ca-hash", &hash, "--join-token-file", &file].map(String::from))
    }

    /// Starts it, with its data in `bastion` and its files in `files` of a folder, and waits until machines are served at an address.
    pub fn start(folder: &Path, flags: &[String], address: IpAddr) -> anyhow::Result<Self> {
        let log = folder.join("bastion.log");
        let output = File::options().create(true).append(true).open(&log).context("opening its log")?;
        let child = Command::new(program("bastion")?)
            .args(["--name", "home-1", "--status-listen", "127.0.0.1:0", "--data-dir"])
            .arg(folder.join("bastion"))
            .arg("--files")
            .arg(folder.join("files"))
            .args(flags)
            .stdin(Stdio::null())
            .stderr(output)
            .spawn()
            .context("starting bastion")?;
        let bastion = Self(child);
        let until = Instant::now() + PATIENCE;
        while TcpStream::connect((address, 80)).is_err() {
            if Instant::now() > until {
                bail!("nothing is served:\n{}", fs::read_to_string(&log).unwrap_or_default());
            }
            sleep(Duration::from_millis(100));
        }
        Ok(bastion)
    }
}

impl Drop for Bastion {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
