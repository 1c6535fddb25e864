//! OpenSSH on this machine: an sshd with keys of its own, and one connection to it that is kept open and shared.

use crate::process::{Process, free_address};
use anyhow::{Context, bail};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};
use tempfile::TempDir;

/// sshd, and the master of the shared connection.
pub struct OpenSsh {
    sshd: Process,
    master: Process,
    /// The configuration of its clients.
    client: PathBuf,
    _socket: TempDir,
}

impl OpenSsh {
    /// Starts sshd on a port of loopback, and opens the connection.
    pub async fn start(folder: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(folder)?;
        for key in ["host", "user"] {
            run(Command::new("ssh-keygen")
                .args(["-q", "-t", "ed25519", "-N", "", "-f"])
                .arg(folder.join(key)))?;
        }
        let address = free_address()?;
        let at = folder.display();
        // StrictModes: the folders above may be anybody's. SHLVL: bash would read the user's ~/.bashrc before each command, with
        // whatever is in it, as it does below sshd where it seems to be the first shell.
        let config = format!(
            "ListenAddress {address}\nHostKey {at}/host\nPidFile {at}/pid\nAuthorizedKeysFile {at}/user.pub\n\
             StrictModes no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n\
             SetEnv SHLVL=2\n"
        );
        fs::write(folder.join("sshd_config"), config)?;
        // It wants an empty folder for itself, which its service's start makes.
        fs::create_dir_all("/run/sshd").context("making /run/sshd, which sshd wants")?;
        // It starts itself anew for each connection, and so wants to know where it lies.
        let mut command = Command::new("/usr/sbin/sshd");
        command.args(["-D", "-e", "-f"]).arg(folder.join("sshd_config"));
        let ready = async || std::net::TcpStream::connect(address).is_ok();
        let sshd = Process::start(&mut command, &folder.join("sshd.log"), ready).await?;
        // A socket's path has to be short.
        let socket = tempfile::tempdir()?;
        let user = run(Command::new("id").arg("-un"))?;
        let config = format!(
            "Host *\n HostName {}\n Port {}\n User {}\n ControlPath {}/master\n IdentityFile {at}/user\n IdentitiesOnly yes\n \
             UserKnownHostsFile {at}/known_hosts\n StrictHostKeyChecking accept-new\n BatchMode yes\n LogLevel ERROR\n",
            address.ip(),
            address.port(),
            user.trim(),
            socket.path().display()
        );
        let client = folder.join("ssh_config");
        fs::write(&client, config)?;
        let mut command = ssh(&client, &["-o", "ControlMaster=yes", "-N"]);
        let ready = async || run(&mut ssh(&client, &["-O", "check"])).is_ok();
        let master = Process::start(&mut command, &folder.join("master.log"), ready).await?;
        Ok(Self { sshd, master, client, _socket: socket })
    }

    /// ssh over the shared connection.
    pub fn shared(&self, command: &[&str]) -> Command {
        let mut ssh = ssh(&self.client, &[]);
        ssh.args(command);
        ssh
    }

    /// ssh with a connection of its own.
    pub fn fresh(&self, command: &[&str]) -> Command {
        let mut ssh = ssh(&self.client, &["-o", "ControlPath=none"]);
        ssh.args(command);
        ssh
    }

    /// Ends both.
    pub fn stop(self) -> anyhow::Result<()> {
        self.master.stop()?;
        self.sshd.stop()
    }
}

fn ssh(config: &Path, options: &[&str]) -> Command {
    let mut command = Command::new("ssh");
    command.arg("-F").arg(config).args(options).arg("machine").env_remove("SSH_AUTH_SOCK");
    command
}

fn run(command: &mut Command) -> anyhow::Result<String> {
    let output = command.output().with_context(|| format!("starting {command:?}"))?;
    if !output.status.success() {
        bail!("{command:?}: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
