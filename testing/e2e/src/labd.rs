//! A labd of one's own: started on an empty directory and a free port, stopped when dropped.

use anyhow::{Context, bail};
use std::{
    fs::{self, File},
    io::ErrorKind,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// How long a labd may take to be ready, or to stop.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running labd.
pub struct Labd {
    child: Child,
    directory: PathBuf,
    address: SocketAddr,
}

impl Labd {
    /// Starts labd with its data in `directory` and waits until it is ready.
    pub fn start(directory: &Path) -> anyhow::Result<Self> {
        Self::start_with(directory, &[])
    }

    /// The same with further arguments.
    pub fn start_with(directory: &Path, arguments: &[&str]) -> anyhow::Result<Self> {
        Self::start_at_with(directory, free_address()?, arguments)
    }

    /// The same at a given address.
    pub fn start_at(directory: &Path, address: SocketAddr) -> anyhow::Result<Self> {
        Self::start_at_with(directory, address, &[])
    }

    /// The same with both.
    pub fn start_at_with(directory: &Path, address: SocketAddr, arguments: &[&str]) -> anyhow::Result<Self> {
        fs::create_dir_all(directory).with_context(|| format!("creating {}", directory.display()))?;
        let log = directory.join("log");
        let output = File::options().create(true).append(true).open(&log).context("opening labd's log")?;
        let child = Command::new(crate::program("labd")?)
            .args(["--listen", &address.to_string(), "--data-dir"])
            .arg(directory.join("data"))
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(output.try_clone().context("sharing labd's log")?)
            .stderr(output)
            .spawn()
            .context("starting labd")?;
        let mut labd = Self { child, directory: directory.into(), address };
        labd.wait_until_ready()?;
        Ok(labd)
    }

    /// The kubeconfig that labd wrote for its administrator.
    pub fn kubeconfig(&self) -> PathBuf {
        self.directory.join("data/admin.kubeconfig")
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.directory.join("log")).unwrap_or_default()
    }

    /// The hash of its authority, as it printed it at its first start.
    pub fn fingerprint(&self) -> anyhow::Result<String> {
        // It takes connections a moment before it says so.
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            let log = self.log();
            let found = log.split_once("fingerprint: ").and_then(|(_, rest)| rest.split_once('\n'));
            if let Some((hash, _)) = found {
                return Ok(hash.to_owned());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        bail!("labd printed no fingerprint")
    }

    /// Kills it with SIGKILL, as a power cut would.
    pub fn kill(mut self) -> anyhow::Result<()> {
        self.child.kill().context("killing labd")?;
        self.child.wait().context("waiting for the killed labd")?;
        Ok(())
    }

    /// Stops it with SIGTERM and checks that it ends well.
    pub fn stop(mut self) -> anyhow::Result<()> {
        let status = Command::new("kill").arg(self.pid().to_string()).status().context("sending SIGTERM")?;
        if !status.success() {
            bail!("kill {}: {status}", self.pid());
        }
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            if let Some(status) = self.child.try_wait().context("waiting for labd")? {
                if status.success() {
                    return Ok(());
                }
                bail!("labd ended with {status}:\n{}", self.log());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        bail!("labd did not stop within {PATIENCE:?} of SIGTERM:\n{}", self.log())
    }

    fn wait_until_ready(&mut self) -> anyhow::Result<()> {
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            if let Some(status) = self.child.try_wait().context("waiting for labd")? {
                bail!("labd ended with {status} before it was ready:\n{}", self.log());
            }
            // After a restart the file of the start before lies there at first.
            let written = fs::read_to_string(self.kubeconfig()).unwrap_or_default();
            let ours = written.contains(&format!("https://{}\n", self.address));
            if ours && std::net::TcpStream::connect(self.address).is_ok() {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        bail!("labd was not ready within {PATIENCE:?}:\n{}", self.log())
    }
}

impl Drop for Labd {
    fn drop(&mut self) {
        if let Err(e) = self.child.kill()
            && e.kind() != ErrorKind::InvalidInput
        {
            eprintln!("killing labd {}: {e}", self.child.id());
        }
        let _ended = self.child.wait();
    }
}

/// An address on loopback that nobody listens on just now.
fn free_address() -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").context("finding a free port")?;
    listener.local_addr().context("reading the free port")
}
