//! A bastion of a test's own, killed when dropped.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

pub const PATIENCE: Duration = Duration::from_secs(30);

/// The command `bastion` without anything of the environment it might read.
pub fn bastion() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bastion"));
    command.env_clear().stdin(Stdio::null());
    command
}

pub struct Daemon {
    child: Child,
    status: SocketAddr,
}

impl Daemon {
    /// Starts `home-1` on a data directory.
    pub fn start(data: &Path, arguments: &[&str]) -> Self {
        let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let status = free.expect("a port is free");
        let child = bastion()
            .args(["--name", "home-1", "--status-listen", &status.to_string(), "--data-dir"])
            .arg(data)
            .args(arguments)
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        Self { child, status }
    }

    /// Status code and body of a path.
    pub fn ask(&self, path: &str) -> Option<(u16, String)> {
        let mut stream = TcpStream::connect(self.status).ok()?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).ok()?;
        let (head, body) = text.split_once("\r\n\r\n")?;
        Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
    }

    /// Asks until a path answers with this code.
    pub fn answers(&self, path: &str, code: u16) -> String {
        let until = Instant::now() + PATIENCE;
        loop {
            match self.ask(path) {
                Some((found, body)) if found == code => return body,
                found => assert!(Instant::now() < until, "{path} does not answer {code}: {found:?}"),
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Stops it with SIGTERM; its exit code and its log.
    pub fn stop(mut self) -> (Option<i32>, String) {
        let killed = Command::new("kill").arg(self.child.id().to_string()).status().expect("kill runs");
        assert!(killed.success());
        let mut log = String::new();
        self.child.stderr.take().expect("it is piped").read_to_string(&mut log).expect("it is text");
        (self.child.wait().expect("it is waited for").code(), log)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// All that a program printed.
pub fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}
