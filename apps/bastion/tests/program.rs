//! The program beside a real labd: starts, says how it is, ends.

use lab_e2e::labd::Labd;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(30);

fn bastion() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bastion"));
    command.env_clear().stdin(Stdio::null());
    command
}

/// A bastion of a test's own, killed when dropped.
struct Daemon {
    child: Child,
    status: SocketAddr,
}

impl Daemon {
    fn start(data: &Path, kubeconfig: &Path) -> Self {
        let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let status = free.expect("a port is free");
        let child = bastion()
            .args(["--name", "home-1", "--status-listen", &status.to_string(), "--data-dir"])
            .arg(data)
            .arg("--kubeconfig")
            .arg(kubeconfig)
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        Self { child, status }
    }

    /// Status code and body of a path.
    fn ask(&self, path: &str) -> Option<(u16, String)> {
        let mut stream = TcpStream::connect(self.status).ok()?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).ok()?;
        let (head, body) = text.split_once("\r\n\r\n")?;
        Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
    }

    fn answers(&self, path: &str, code: u16) -> String {
        let until = Instant::now() + PATIENCE;
        loop {
            match self.ask(path) {
                Some((found, body)) if found == code => return body,
                found => assert!(Instant::now() < until, "{path} does not answer {code}: {found:?}"),
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn stop(mut self) -> (Option<i32>, String) {
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

#[test]
fn beside_labd_and_without() {
    let folder = tempfile::tempdir().expect("there is room");
    let labd = Labd::start(&folder.path().join("labd")).expect("labd starts");
    let daemon = Daemon::start(&folder.path().join("bastion"), &labd.kubeconfig());
    assert_eq!(daemon.answers("/healthz", 200), "ok");
    daemon.answers("/readyz", 200);
    daemon.answers("/elsewhere", 404);
    let metrics = daemon.answers("/metrics", 200);
    for figure in ["boot_dhcp_answered_total 0", "boot_machines 0", "boot_interfaces 0"] {
        assert!(metrics.lines().any(|line| line.starts_with(figure)), "{figure} is not in\n{metrics}");
    }
    labd.kill().expect("it is killed");
    let why = daemon.answers("/readyz", 503);
    assert!(why.starts_with("labd is out of reach: "), "{why}");
    assert_eq!(daemon.answers("/healthz", 200), "ok", "machines are served all the same");
    let second = bastion()
        .args(["--status-listen", "127.0.0.1:0", "--kubeconfig", "/nowhere", "--data-dir"])
        .arg(folder.path().join("bastion"))
        .output()
        .expect("it runs");
    assert_eq!(second.status.code(), Some(1));
    assert!(text(&second).contains("another bastion is running on"), "{}", text(&second));
    let (code, log) = daemon.stop();
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("stopped"), "{log}");
}

#[test]
fn exit_codes() {
    let folder = tempfile::tempdir().expect("there is room");
    let data = folder.path().to_str().expect("it is text");
    let check = |arguments: &[&str], code: i32, expected: &str| {
        let output = bastion().args(arguments).output().expect("it runs");
        assert_eq!(output.status.code(), Some(code), "{}", text(&output));
        assert!(text(&output).contains(expected), "{}", text(&output));
    };
    check(&["--banana"], 2, "unexpected argument '--banana'");
    check(&["--config", "/nowhere"], 2, "bastion: cannot read /nowhere: ");
    check(&["--data-dir", data, "--kubeconfig", "/nowhere"], 1, "name a kubeconfig with --kubeconfig FILE");
    check(&["--version"], 0, "bastion 0.1.0");
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}
