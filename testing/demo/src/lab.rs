//! labd as a process, and labctl as a person calls it.

use crate::screen::Screen;
use anyhow::{Context, bail};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, Command};

/// How long labd may take to be ready, or to stop.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running labd.
pub struct Labd {
    process: Child,
    log: PathBuf,
    data: PathBuf,
}

impl Labd {
    /// Starts it with its data in a folder, which holds `data/boot/files` already, and waits until it is ready.
    pub async fn start(program: &Path, folder: &Path, port: u16) -> anyhow::Result<Self> {
        let (log, data) = (folder.join("labd.log"), folder.join("data"));
        let output = File::create(&log).with_context(|| format!("creating {}", log.display()))?;
        let process = Command::new(program)
            // The machines reach it by the address of their network.
            .args(["--listen", &format!("0.0.0.0:{port}"), "--data-dir"])
            .arg(&data)
            .stdin(Stdio::null())
            .stdout(output.try_clone().context("sharing labd's log")?)
            .stderr(output)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("starting {}", program.display()))?;
        let mut labd = Self { process, log, data };
        let until = Instant::now() + PATIENCE;
        while !labd.kubeconfig().exists()
            || tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err()
        {
            if let Some(status) = labd.process.try_wait().context("waiting for labd")? {
                bail!("labd ended with {status}:\n{}", labd.said());
            }
            if Instant::now() > until {
                bail!("labd was not ready within {PATIENCE:?}:\n{}", labd.said());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(labd)
    }

    /// The kubeconfig that it wrote for its administrator.
    pub fn kubeconfig(&self) -> PathBuf {
        self.data.join("admin.kubeconfig")
    }

    fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// What it keeps in memory, in MiB.
    pub fn memory(&self) -> Option<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id()?)).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        let kibibytes: f64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
        Some(kibibytes / 1024.0)
    }

    /// Stops it as its service would.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        if let Some(process) = self.process.id() {
            let process = process.to_string();
            Command::new("kill").arg(process).status().await.context("telling labd to stop")?;
        }
        match tokio::time::timeout(PATIENCE, self.process.wait()).await {
            Ok(Ok(status)) if status.success() => Ok(()),
            _ => bail!("labd did not end well:\n{}", self.said()),
        }
    }
}

/// labctl, whose commands and output are shown.
pub struct Labctl {
    /// Where it lies.
    pub program: PathBuf,
    /// By which it finds labd.
    pub kubeconfig: PathBuf,
    /// Where its commands are shown.
    pub screen: Arc<Screen>,
}

impl Labctl {
    /// What a command prints; shown as a person would see it.
    pub async fn shown(&self, arguments: &[&str]) -> anyhow::Result<String> {
        self.shown_with(arguments, "").await
    }

    /// The same with something to read on standard input.
    pub async fn shown_with(&self, arguments: &[&str], input: &str) -> anyhow::Result<String> {
        self.screen.command(&line("labctl", arguments));
        self.screen.say(input);
        let said = self.quiet(arguments, input).await?;
        self.screen.say(&said);
        Ok(said)
    }

    /// What a command prints, which is not shown.
    pub async fn quiet(&self, arguments: &[&str], input: &str) -> anyhow::Result<String> {
        let mut child = Command::new(&self.program)
            .args(arguments)
            .env("KUBECONFIG", &self.kubeconfig)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("starting {}", self.program.display()))?;
        let mut stdin = child.stdin.take().context("its input is a pipe")?;
        // It may end without having read all.
        let _ = stdin.write_all(input.as_bytes()).await;
        drop(stdin);
        let output = child.wait_with_output().await.context("waiting for labctl")?;
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        match output.status.success() {
            true => Ok(text(&output.stdout)),
            false => {
                bail!("{}: {}", line("labctl", arguments), text(&[output.stdout, output.stderr].concat()))
            }
        }
    }
}

/// A command as it is typed.
fn line(program: &str, arguments: &[&str]) -> String {
    let quoted = arguments.iter().map(|argument| {
        let plain = argument.chars().all(|c| c.is_ascii_alphanumeric() || "-_./=:,".contains(c));
        if plain && !argument.is_empty() {
            (*argument).to_owned()
        } else {
            format!("'{}'", argument.replace('\'', r"'\''"))
        }
    });
    [program.to_owned()].into_iter().chain(quoted).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::line;

    #[test]
    fn a_shown_command_can_be_typed() {
        let check = |arguments: &[&str], expected: &str| assert_eq!(line("labctl", arguments), expected);
        check(&["get", "srv", "-o", "wide"], "labctl get srv -o wide");
        check(
            &["exec", "a", "--", "sh", "-c", "echo it's > /x"],
            r"labctl exec a -- sh -c 'echo it'\''s > /x'",
        );
        check(&["x", ""], "labctl x ''");
    }
}
