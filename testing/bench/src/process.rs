//! A program under measurement: started, timed until it answers, weighed, stopped.

use anyhow::{Context, bail};
use std::{
    fs::{self, File},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// Where a benchmark finds what it needs, as `cargo xtask bench` says it.
#[derive(clap::Args)]
pub struct Place {
    /// Where our programs lie.
    #[arg(long)]
    pub programs: PathBuf,
    /// Where the data go; on the disk to be measured.
    #[arg(long)]
    pub directory: PathBuf,
}

/// A running program; killed when dropped.
pub struct Process {
    child: Child,
    /// Time from its start until it answered on its address.
    pub ready_after: Duration,
}

impl Process {
    /// Starts a program, its output into `log`, and waits until `ready` says so, asking every millisecond.
    pub async fn start(
        command: &mut Command,
        log: &Path,
        ready: impl AsyncFn() -> bool,
    ) -> anyhow::Result<Self> {
        let output = File::create(log).with_context(|| format!("creating {}", log.display()))?;
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        let began = Instant::now();
        let mut child = command.spawn().with_context(|| format!("starting {command:?}"))?;
        while !ready().await {
            if let Some(status) = child.try_wait()? {
                bail!("{command:?} ended with {status}:\n{}", fs::read_to_string(log).unwrap_or_default());
            }
            if began.elapsed() > Duration::from_secs(120) {
                bail!("{command:?} was not ready within two minutes");
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Ok(Self { child, ready_after: began.elapsed() })
    }

    /// Resident memory in MiB, from `/proc`.
    pub fn resident(&self) -> anyhow::Result<f64> {
        self.memory("VmRSS:")
    }

    /// The most memory that was ever resident, in MiB.
    pub fn most_resident(&self) -> anyhow::Result<f64> {
        self.memory("VmHWM:")
    }

    /// Processor time so far, user and system, from `/proc`, which counts in ticks of 10 ms.
    pub fn processor(&self) -> anyhow::Result<Duration> {
        let [user, system] = ticks(self.child.id(), [11, 12])?;
        Ok(Duration::from_millis((user + system) * 10))
    }

    fn memory(&self, field: &str) -> anyhow::Result<f64> {
        let path = format!("/proc/{}/status", self.child.id());
        let text = fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
        let line = text.lines().find_map(|l| l.strip_prefix(field)).context("the field is there on Linux")?;
        let kib: f64 = line.trim().trim_end_matches(" kB").parse().context("it is in kB")?;
        Ok(kib / 1024.0)
    }

    /// Asks it to end and waits, so that its next start finds all in order.
    pub fn stop(mut self) -> anyhow::Result<()> {
        Command::new("kill").arg(self.child.id().to_string()).status().context("sending SIGTERM")?;
        self.child.wait().context("waiting for the program's end")?;
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have been stopped already; then there is nothing to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Figures of `/proc/<process>/stat` (proc(5)), by their place after the program's name.
pub fn ticks<const N: usize>(process: u32, places: [usize; N]) -> anyhow::Result<[u64; N]> {
    let path = format!("/proc/{process}/stat");
    let text = fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
    // The program's name, which may hold anything, ends with the last bracket.
    let fields: Vec<&str> = text.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let figures: Option<Vec<u64>> = places.iter().map(|at| fields.get(*at)?.parse().ok()).collect();
    let figures = figures.and_then(|figures| figures.try_into().ok());
    figures.with_context(|| format!("{path} is short"))
}

/// An address on loopback that nobody listens on just now.
pub fn free_address() -> anyhow::Result<SocketAddr> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}
