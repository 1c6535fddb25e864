//! The agents that distributions' installers leave: the scripts of real answer files, run over a folder in the place of the new system,
//! fetch the executable by HTTP from a site, and what they leave joins a labd.

use crate::answering::{approved, fetched, with_installer};
use crate::installing::{NAME, lab, phase};
use crate::machine::Machine;
use crate::{eventually, knows_network, network, server, start_for};
use lab_boot_site::{Labd, Place, Site, System};
use lab_client::{Client, Kubeconfig, ListParams, WriteParams, config::Overrides};
use lab_kinds::iam::JoinToken;
use lab_kinds::metal::operating_system::{Family, Method};
use lab_kinds::metal::server::status::{Phase, StageOutcome};
use lab_netboot::http;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use tokio::net::TcpListener;

/// Where a site has the executable.
const SERVED: &str = "systems/agent/amd64/lab-agent";

/// A new system in a folder, and the tools of its installer.
struct NewSystem {
    folder: tempfile::TempDir,
    method: Method,
}

impl NewSystem {
    fn new(method: Method) -> Self {
        let folder = tempfile::tempdir().expect("there is room");
        let system = Self { folder, method };
        for part in ["bin", "applets", "root/etc", "tmp"] {
            fs::create_dir_all(system.path(part)).expect("there is room");
        }
        for tool in ["useradd", "restorecon", "mount", "update-grub", "efibootmgr"] {
            system.tool(tool, "");
        }
        system.tool("systemctl", &format!("echo \"$*\" >>'{}'", system.path("services").display()));
        // What runs in the new system finds its own files.
        let inside = format!(
            "program=$1; shift; case $program in /*) program='{}'$program ;; esac; exec \"$program\" \"$@\"",
            system.path("root").display()
        );
        system.tool("in-target", &inside);
        system.tool("curtin", &format!("while [ \"$1\" != -- ]; do shift; done; shift; {inside}"));
        system
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn tool(&self, name: &str, body: &str) {
        let path = self.path("bin").join(name);
        fs::write(&path, format!("#!/bin/sh\n{body}\n")).expect("there is room");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("it is ours");
    }

    fn mode(&self, path: &str) -> u32 {
        fs::metadata(self.path(path)).expect("it is there").permissions().mode() & 0o7777
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// What Debian's installer has: busybox, GNU's wget, and no curl. Nothing where these are not here.
    fn debians_tools(&self) -> Option<String> {
        let path = std::env::var_os("PATH")?;
        let find = |tool: &str| {
            std::env::split_paths(&path).map(|folder| folder.join(tool)).find(|path| path.is_file())
        };
        let (wget, applets) = (find("wget")?, self.path("applets"));
        let installed = Command::new(find("busybox")?).args(["--install", "-s"]).arg(&applets).status();
        assert!(installed.expect("it is there").success(), "busybox has no applets");
        let own = applets.join("wget");
        let _ = fs::remove_file(&own);
        std::os::unix::fs::symlink(wget, own).expect("there is room");
        Some(applets.display().to_string())
    }

    /// Runs a script of the installer with its places in the place of ours, and a site on this port.
    fn run(&self, script: &str, port: u16) -> Output {
        let (root, here) = (self.path("root").display().to_string(), format!("http://127.0.0.1:{port}"));
        let mut text = script.replace("http://10.9.0.1", &here);
        for (ours, place) in [
            ("lab_host=10.9.0.1\n", "lab_host=127.0.0.1\n".to_owned()),
            ("lab_port=80\n", format!("lab_port={port}\n")),
            ("lab_target=''\n", format!("lab_target={root}\n")),
            ("lab_target=/target\n", format!("lab_target={root}\n")),
            (" /target/", format!(" {root}/")),
            ("/tmp/lab", self.path("tmp/lab").display().to_string()),
            ("/sys/firmware/efi", format!("{root}/sys/firmware/efi")),
        ] {
            text = text.replace(ours, &place);
        }
        let path = self.path("script");
        fs::write(&path, text).expect("there is room");
        let others = match self.method {
            Method::Preseed => self.debians_tools(),
            _ => None,
        };
        let others = others.unwrap_or_else(|| std::env::var("PATH").unwrap_or_default());
        let tools = format!("{}:{others}", self.path("bin").display());
        Command::new("/bin/sh").arg(path).env("PATH", tools).output().expect("there is a shell")
    }
}

/// The script that runs when the distribution is on the disk.
async fn last_script(machine: Machine, site: &Site, method: Method) -> String {
    let token = machine.token(site);
    let file = if method == Method::Kickstart { "ks.cfg" } else { "late.sh" };
    let text = fetched(machine, site, &format!("answers/{token}/{file}")).await.expect("it is given");
    if method != Method::Kickstart {
        return text;
    }
    let (_, post) = text.split_once("\n%post --interpreter=/bin/sh --erroronfail\n").expect("there is one");
    format!("{}\n", post.split_once("\n%end\n").expect("it ends").0)
}

/// Serves a site's files by HTTP; on which port.
async fn serve(site: &Arc<Site>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("there is a port");
    let port = listener.local_addr().expect("it has an address").port();
    tokio::spawn(http::serve(listener, site.clone(), http::Settings::default()));
    port
}

/// Puts an executable where a site has it.
fn put(folder: &Path, content: &[u8]) {
    let path = folder.join("files").join(SERVED);
    fs::create_dir_all(path.parent().expect("it is in a folder")).expect("there is room");
    fs::write(path, content).expect("there is room");
}

/// An agent that runs; ended when dropped.
struct Agent(Child);

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Agent {
    /// Starts what an installer left, which finds labd on this machine.
    fn start(system: &NewSystem) -> Self {
        let at = |name: &str| system.path(name).display().to_string();
        let config = at("root/etc/lab/agent.toml");
        fs::write(&config, system.read("root/etc/lab/agent.toml").replace("10.9.0.3", "127.0.0.1"))
            .expect("there is room");
        let mut command = Command::new(at("root/usr/local/bin/lab-agent"));
        command.args(["run", "--config", &config, "--state-dir", &at("state"), "--run-dir", &at("run")]);
        command.args(["--sshd-dir", &at("ssh"), "--sshd-pid", &at("ssh/pid")]).stderr(Stdio::null());
        Self(command.spawn().expect("it starts"))
    }
}

async fn joins(method: Method, family: Family) {
    let folder = tempfile::tempdir().expect("there is room");
    let labd = lab_e2e::labd::Labd::start(&folder.path().join("labd")).expect("labd starts");
    let connection =
        Kubeconfig::load(&[labd.kubeconfig()]).and_then(|found| found.connection(&Overrides::default()));
    let client = Client::connect("test", &connection.expect("it says where")).expect("labd is there");
    client.resource().create(&network(), &WriteParams::default()).await.expect("it is created");
    with_installer(&client, method, family).await;
    let port = labd.address().port();
    let ca_hash = labd.fingerprint().expect("it says so");
    let found_by = Labd { place: Place::Here(([10, 9, 0, 3], port).into()), ca_hash: ca_hash.clone() };
    let running = start_for(&client, folder.path(), found_by, Arc::new(System));
    let executable = fs::read(lab_e2e::program("lab-agent").expect("it is built")).expect("it can be read");
    put(folder.path(), &executable);
    let (site, machine) = (running.site().clone(), Machine::new(1));
    knows_network(&site).await;
    approved(&client, machine, &site).await;

    let system = NewSystem::new(method);
    let script = last_script(machine, &site, method).await;
    let output = system.run(&script, serve(&site).await);
    let told = || {
        let lines = site.with(|known| known.lines(machine.mac()));
        lines.iter().rev().take(12).map(|line| format!("{}\n", line.text)).collect::<String>()
    };
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{method:?}: {said}\n{}", told());
    let there = fs::read(system.path("root/usr/local/bin/lab-agent"));
    assert!(there.unwrap_or_else(|error| panic!("{method:?}: {error}: {said}\n{}", told())) == executable);
    assert_eq!(system.mode("root/usr/local/bin/lab-agent"), 0o755);
    let expected = lab_install::agent::files(&format!("https://10.9.0.3:{port}"), &ca_hash, "");
    for file in &expected[..2] {
        assert_eq!(system.read(&format!("root{}", file.path)), file.text);
    }
    assert_eq!(system.mode("root/etc/lab/join-token"), 0o600);
    assert_eq!(system.read("services").lines().last(), Some("enable lab-agent.service"));
    let stage = server(&client, NAME, |server| {
        server
            .status
            .stages
            .iter()
            .any(|stage| stage.name == "agent" && stage.outcome == Some(StageOutcome::Done))
    });
    stage.await;
    // labd knows what it lets in by its hash, for this Server and once.
    let token = eventually("labd knows the token", async || {
        client.resource::<JoinToken>().list(&ListParams::default()).await.ok()?.items.pop()
    })
    .await;
    assert_eq!((token.spec.server.as_deref(), token.spec.uses), (Some(NAME), 1));

    let agent = Agent::start(&system);
    server(&client, NAME, |server| server.status.agent.as_ref().is_some_and(|agent| agent.online)).await;
    assert!(!system.path("root/etc/lab/join-token").exists(), "{method:?}: it is gone once it was used");
    drop(agent);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_installer_leaves_an_agent_that_joins() {
    for (method, family) in [
        (Method::Kickstart, Family::Fedora),
        (Method::Autoinstall, Family::Ubuntu),
        (Method::Preseed, Family::Debian),
    ] {
        joins(method, family).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_executable_that_is_another_than_was_meant_is_refused() {
    let folder = tempfile::tempdir().expect("there is room");
    let (client, _, controllers, running) = lab(folder.path()).await;
    with_installer(&client, Method::Preseed, Family::Debian).await;
    let (site, machine) = (running.site().clone(), Machine::new(1));
    approved(&client, machine, &site).await;
    put(folder.path(), b"#!/bin/sh\nexit 0\n");
    let script = last_script(machine, &site, Method::Preseed).await;
    put(folder.path(), b"#!/bin/sh\nreboot\n");
    let system = NewSystem::new(Method::Preseed);
    let output = system.run(&script, serve(&site).await);
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(!system.path("root/usr/local/bin/lab-agent").exists() && !system.path("root/etc/lab").exists());
    let seen = phase(&client, Phase::Failed).await;
    let why = seen.status.message.unwrap_or_default();
    assert!(why.contains("systems/agent/amd64/lab-agent has SHA-256 "), "{why}");
    controllers.stop().await;
    running.stop().await;
}
