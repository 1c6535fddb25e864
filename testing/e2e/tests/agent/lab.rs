//! A labd, and agents as programs beside it.

use lab_e2e::{labd::Labd, program};
use serde_json::Value as Json;
use std::{
    fs,
    io::Write,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// How long anything may take that is waited for.
const PATIENCE: Duration = Duration::from_secs(90);

/// A labd of its own, and a folder for everything.
pub struct Lab {
    pub labd: Labd,
    pub folder: TempDir,
}

/// A running agent; ended when dropped.
pub struct Agent {
    pub child: Child,
    pub place: PathBuf,
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until something holds that comes about by itself.
#[track_caller]
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < end, "{what}: not within {PATIENCE:?}");
        thread::sleep(Duration::from_millis(50));
    }
}

/// Runs a program that is given input; what it says.
pub fn with_input(command: &mut Command, input: &[u8]) -> Output {
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let writing = thread::spawn(move || {
        // Who reads no further ends it.
        let _ = stdin.write_all(&input);
    });
    let output = child.wait_with_output().unwrap();
    writing.join().unwrap();
    output
}

/// The flags that say where an agent keeps everything.
pub fn places(place: &Path) -> Vec<String> {
    let at = |flag: &str, path: &str| [flag.to_owned(), place.join(path).display().to_string()];
    let own = [at("--config", "lab/agent.toml"), at("--state-dir", "state"), at("--run-dir", "run")];
    let sshd = [at("--sshd-dir", "ssh"), at("--sshd-pid", "ssh/pid")];
    own.into_iter().chain(sshd).flatten().collect()
}

impl Lab {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let labd = Labd::start(&folder.path().join("labd")).unwrap();
        Self { labd, folder }
    }

    pub fn labctl(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(program("labctl").unwrap());
        command.env("KUBECONFIG", self.labd.kubeconfig()).args(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs labctl, with input.
    pub fn run(&self, arguments: &[&str], input: &[u8]) -> Output {
        with_input(&mut self.labctl(arguments), input)
    }

    /// Runs labctl, which has to succeed; what it says.
    #[track_caller]
    pub fn says(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments, b"");
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {complaint}\nlabd: {}", self.labd.log());
        String::from_utf8(output.stdout).unwrap()
    }

    pub fn server(&self, name: &str) -> Json {
        serde_json::from_str(&self.says(&["get", "servers", name, "-o", "json"])).unwrap()
    }

    pub fn pin(&self) -> String {
        let log = self.labd.log();
        let at = log.find("sha256:").expect("labd prints its authority's hash when it begins");
        log[at..at + "sha256:".len() + 64].to_owned()
    }

    /// A join token of a Server that is there.
    fn token(&self, server: &str) -> String {
        let object = serde_json::json!({"apiVersion": "iam.lab/v1alpha1", "kind": "JoinToken",
            "metadata": {"generateName": "t-"}, "spec": {"joiner": "agent", "server": server}});
        let output = self.run(&["create", "-f", "-", "-o", "json"], object.to_string().as_bytes());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let made: Json = serde_json::from_slice(&output.stdout).unwrap();
        made["status"]["token"].as_str().unwrap().to_owned()
    }

    fn enter(&self, server: &str) {
        self.create("metal.lab", "Server", server, serde_json::json!({}));
    }

    /// Makes an object of one of our groups.
    #[track_caller]
    pub fn create(&self, group: &str, kind: &str, name: &str, spec: Json) {
        let object = serde_json::json!({"apiVersion": format!("{group}/v1alpha1"), "kind": kind,
            "metadata": {"name": name}, "spec": spec});
        let output = self.run(&["create", "-f", "-"], object.to_string().as_bytes());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// What an installation leaves for the agent.
    pub fn leave_files(&self, server: &str, address: SocketAddr) -> PathBuf {
        let place = self.folder.path().join(server);
        fs::create_dir_all(place.join("lab")).unwrap();
        let config = format!("server = \"https://{}\"\nca-hash = \"{}\"\n", address, self.pin());
        fs::write(place.join("lab/agent.toml"), config).unwrap();
        fs::write(place.join("lab/join-token"), format!("{}\n", self.token(server))).unwrap();
        place
    }

    pub fn start(&self, place: &Path) -> Agent {
        self.start_program(&program("lab-agent").unwrap(), place)
    }

    pub fn start_program(&self, executable: &Path, place: &Path) -> Agent {
        let log = fs::File::options().create(true).append(true).open(place.join("log")).unwrap();
        let child = Command::new(executable).arg("run").args(places(place)).stderr(log).spawn().unwrap();
        Agent { child, place: place.into() }
    }

    /// A machine that has been installed, has started and is in reach.
    pub fn machine(&self, server: &str) -> Agent {
        self.machine_at(server, self.labd.address())
    }

    /// The same, which reaches labd at some address.
    pub fn machine_at(&self, server: &str, address: SocketAddr) -> Agent {
        self.enter(server);
        let agent = self.start(&self.leave_files(server, address));
        self.in_reach(&agent, server);
        agent
    }

    pub fn in_reach(&self, agent: &Agent, server: &str) {
        until(&format!("{server} is in reach\n{}", agent.log()), || agent.status().status.success());
        until(&format!("{server} is said to be in reach\n{}", agent.log()), || {
            self.server(server)["status"]["phase"] == "Ready"
        });
    }
}

impl Agent {
    pub fn command(&self, name: &str) -> Command {
        let mut command = Command::new(program("lab-agent").unwrap());
        command.arg(name).args(places(&self.place)).stdin(Stdio::null());
        command
    }

    pub fn status(&self) -> Output {
        self.command("status").output().unwrap()
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.place.join("log")).unwrap_or_default()
    }
}
