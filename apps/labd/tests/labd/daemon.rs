//! A labd of a test's own, on a free port of loopback, killed when dropped.

use lab_client::{Client, Connection, Kubeconfig, config::Overrides};
use std::{
    fs,
    io::{BufRead, BufReader, Read},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::mpsc,
    time::{Duration, Instant},
};

/// How long anything may take here.
pub const PATIENCE: Duration = Duration::from_secs(30);

pub struct Daemon {
    child: Child,
    data: PathBuf,
    log: mpsc::Receiver<String>,
    seen: Vec<String>,
}

/// What a daemon left behind.
pub struct Ended {
    pub code: Option<i32>,
    pub stdout: String,
    pub log: Vec<String>,
    pub took: Duration,
}

/// The command `labd` without anything of the environment it might read.
pub fn labd() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_labd"));
    command.env_clear().stdin(Stdio::null());
    command
}

/// Runs labd to its end.
pub fn run(arguments: &[&str]) -> Output {
    labd().args(arguments).output().expect("labd runs")
}

impl Daemon {
    /// Starts labd on a data directory and waits until it is ready.
    pub fn start(data: &Path) -> Self {
        Self::start_with(data, &[])
    }

    pub fn start_with(data: &Path, arguments: &[&str]) -> Self {
        let mut child = labd()
            .args(["--listen", "127.0.0.1:0", "--data-dir"])
            .arg(data)
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("labd starts");
        let stderr = BufReader::new(child.stderr.take().expect("stderr is piped"));
        let (lines, log) = mpsc::channel();
        std::thread::spawn(move || {
            stderr.lines().map_while(Result::ok).try_for_each(|line| lines.send(line))
        });
        let mut daemon = Self { child, data: data.into(), log, seen: Vec::new() };
        daemon.wait_for("ready");
        daemon
    }

    /// Waits for a line of the log that contains a text.
    pub fn wait_for(&mut self, text: &str) -> String {
        let until = Instant::now() + PATIENCE;
        loop {
            match self.log.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    self.seen.push(line.clone());
                    if line.contains(text) {
                        return line;
                    }
                }
                Err(_) => panic!("labd does not say {text:?}; it said:\n{}", self.seen.join("\n")),
            }
        }
    }

    pub fn kubeconfig(&self) -> PathBuf {
        self.data.join("admin.kubeconfig")
    }

    pub fn client(&self) -> Client {
        Client::connect("test", &connection(&self.kubeconfig())).expect("a client")
    }

    /// Sends SIGTERM and waits for the end. Clients of this test go on meanwhile, so that they can say goodbye.
    pub async fn stop(mut self) -> Ended {
        let began = Instant::now();
        let killed = Command::new("kill").arg(self.child.id().to_string()).status().expect("kill runs");
        assert!(killed.success());
        let code = loop {
            if let Some(status) = self.child.try_wait().expect("labd is waited for") {
                break status.code();
            }
            assert!(began.elapsed() < PATIENCE, "labd does not stop: {:?}", self.seen);
            tokio::time::sleep(Duration::from_millis(5)).await;
        };
        let took = began.elapsed();
        let mut stdout = String::new();
        let out = self.child.stdout.as_mut().expect("stdout is piped");
        out.read_to_string(&mut stdout).expect("stdout is text");
        let mut log = std::mem::take(&mut self.seen);
        log.extend(self.log.iter());
        Ended { code, stdout, log, took }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // One that has ended needs no killing.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a kubeconfig says.
pub fn connection(kubeconfig: &Path) -> Connection {
    Kubeconfig::read(kubeconfig).and_then(|c| c.connection(&Overrides::default())).expect("a kubeconfig")
}

/// Permission bits of a file.
pub fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("the file is there").permissions().mode() & 0o777
}

/// Asks until the answer is yes.
pub async fn eventually<F: Future<Output = bool>>(what: &str, mut ask: impl FnMut() -> F) {
    let until = Instant::now() + PATIENCE;
    while !ask().await {
        assert!(Instant::now() < until, "never came true: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
