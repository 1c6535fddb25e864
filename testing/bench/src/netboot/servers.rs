//! The servers under measurement, on the same interface one after the other.

use super::Options;
use crate::process::{Process, free_address};
use anyhow::{Context, bail};
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// The server's address.
pub const SERVER: &str = "10.9.0.1";

const NETWORK: &str = "apiVersion: metal.lab/v1alpha1\nkind: Network\nmetadata: {name: rack}\nspec:\n  cidr: 10.9.0.0/16\n  \
    dhcp: {mode: full, ranges: [{start: 10.9.128.0, end: 10.9.250.255}]}\n";

/// A bastion that serves, and the labd it is joined to.
pub struct Bastion {
    labd: Process,
    /// The bastion itself.
    pub process: Process,
    _directory: tempfile::TempDir,
}

impl Bastion {
    /// Starts both on empty directories, with so many servers known, and waits until machines are served.
    pub async fn start(
        options: &Options,
        directory: &Path,
        files: &Path,
        servers: usize,
    ) -> anyhow::Result<Self> {
        let own = tempfile::tempdir_in(directory)?;
        let data = own.path().join("labd");
        let kubeconfig = data.join("admin.kubeconfig");
        let mut command = Command::new(options.place.programs.join("labd"));
        command.args(["--no-bastion", "--listen", &free_address()?.to_string(), "--data-dir"]).arg(&data);
        let labctl = options.place.programs.join("labctl");
        let ask = |arguments: &[&str]| {
            let mut command = Command::new(&labctl);
            let output =
                command.args(arguments).env("KUBECONFIG", &kubeconfig).stdin(Stdio::null()).output()?;
            if !output.status.success() {
                bail!("labctl {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
            }
            Ok(())
        };
        let ready = async || kubeconfig.is_file() && ask(&["version"]).is_ok();
        let labd = Process::start(&mut command, &own.path().join("labd.log"), ready).await?;
        let mut text = NETWORK.to_owned();
        for at in 0..servers {
            let mac = format!("52:54:01:{:02x}:{:02x}:{:02x}", at >> 16 & 255, at >> 8 & 255, at & 255);
            writeln!(
                text,
                "---\napiVersion: metal.lab/v1alpha1\nkind: Server\nmetadata: {{name: server-{at}}}\nspec: {{macs: [\"{mac}\"]}}"
            )?;
        }
        let objects = own.path().join("objects.yaml");
        fs::write(&objects, text)?;
        ask(&["create", "-f", &objects.to_string_lossy()])?;
        let mut command = Command::new(options.place.programs.join("bastion"));
        command.args([
            "--name",
            "bench",
            "--status-listen",
            &free_address()?.to_string(),
            "--log",
            "warn",
            "--data-dir",
        ]);
        command
            .arg(own.path().join("bastion"))
            .arg("--files")
            .arg(files)
            .arg("--kubeconfig")
            .arg(&kubeconfig);
        let serves = async || std::net::TcpStream::connect((SERVER, 80)).is_ok();
        let process = Process::start(&mut command, &own.path().join("bastion.log"), serves).await?;
        // Servers come in after the network.
        tokio::time::sleep(Duration::from_millis(500 + servers as u64 / 5)).await;
        Ok(Self { labd, process, _directory: own })
    }

    /// Ends both.
    pub fn stop(self) -> anyhow::Result<()> {
        self.process.stop()?;
        self.labd.stop()
    }
}

/// Another server, described and not started.
pub struct Peer {
    command: Command,
    log: PathBuf,
}

impl Peer {
    /// dnsmasq for DHCP, without pinging addresses before it offers them.
    pub async fn dnsmasq_dhcp(directory: &Path) -> anyhow::Result<Process> {
        let mut command = Command::new("dnsmasq");
        command.args(["--keep-in-foreground", "--port=0", "--interface=rack0", "--user=root", "--no-ping"]);
        command.args(["--conf-file=/dev/null", "--pid-file", "--dhcp-lease-max=100000", "--quiet-dhcp"]);
        command.arg("--dhcp-range=10.9.128.0,10.9.250.255,255.255.0.0,120");
        command.arg(format!("--dhcp-leasefile={}", directory.join("dnsmasq.leases").display()));
        command.arg("--dhcp-boot=snponly.efi");
        Self { command, log: directory.join("dnsmasq.log") }.start().await
    }

    /// dnsmasq for TFTP.
    pub async fn dnsmasq_tftp(files: &Path) -> anyhow::Result<Self> {
        let mut command = Command::new("dnsmasq");
        command.args([
            "--keep-in-foreground",
            "--port=0",
            "--interface=rack0",
            "--user=root",
            "--enable-tftp",
        ]);
        command.args(["--conf-file=/dev/null", "--pid-file", "--tftp-max=1000"]);
        command.arg(format!("--tftp-root={}", files.display()));
        Ok(Self { command, log: files.with_file_name("dnsmasq-tftp.log") })
    }

    /// tftpd-hpa.
    pub async fn tftpd(files: &Path) -> anyhow::Result<Self> {
        let mut command = Command::new("in.tftpd");
        command
            .args(["--foreground", "--user", "root", "--address", &format!("{SERVER}:69"), "--secure"])
            .arg(files);
        Ok(Self { command, log: files.with_file_name("tftpd.log") })
    }

    /// nginx with sendfile.
    pub fn nginx(directory: &Path, files: &Path) -> anyhow::Result<Self> {
        let path = directory.join("nginx.conf");
        let configuration = format!(
            "daemon off;\nuser root;\nworker_processes auto;\npid {0}/nginx.pid;\nerror_log {0}/nginx.error;\n\
             events {{ worker_connections 4096; }}\n\
             http {{ sendfile on; tcp_nopush on; access_log off; keepalive_requests 1000000; default_type application/octet-stream;\n\
             server {{ listen {SERVER}:80 backlog=4096; root {1}; }} }}\n",
            directory.display(),
            files.display()
        );
        fs::write(&path, configuration).with_context(|| format!("writing {}", path.display()))?;
        let mut command = Command::new("nginx");
        command.arg("-c").arg(&path);
        Ok(Self { command, log: directory.join("nginx.log") })
    }

    /// Starts it, and gives it a second: a server of UDP does not say when it is ready.
    pub async fn start(mut self) -> anyhow::Result<Process> {
        let began = std::time::Instant::now();
        let ready = async || began.elapsed() > Duration::from_secs(1);
        Process::start(&mut self.command, &self.log, ready).await
    }
}
