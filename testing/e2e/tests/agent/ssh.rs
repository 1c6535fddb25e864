//! `labctl ssh` with certificates of labd's, to a real sshd.

use crate::lab::{Agent, Lab, until};
use lab_pki::{Lifetime, SshAuthority};
use std::{
    fs,
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, SystemTime},
};

/// An sshd of the test's own; ended when dropped.
struct Sshd {
    child: Child,
    port: u16,
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Sshd {
    /// With a host key and a configuration in a folder.
    fn start(folder: &Path) -> Self {
        fs::create_dir_all(folder.join("sshd_config.d")).unwrap();
        let key = folder.join("ssh_host_ed25519_key");
        let made =
            Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key).status();
        assert!(made.unwrap().success());
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        let at = folder.display();
        // Temporary folders are not as strict as sshd wants /etc to be.
        let config = format!(
            "Include {at}/sshd_config.d/*.conf\nListenAddress 127.0.0.1:{port}\nHostKey {}\nPidFile {at}/pid\n\
             StrictModes no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n",
            key.display()
        );
        fs::write(folder.join("sshd_config"), config).unwrap();
        // It wants an empty folder for itself, which the service's start makes.
        fs::create_dir_all("/run/sshd").unwrap();
        let log = fs::File::create(folder.join("log")).unwrap();
        let mut command = Command::new("/usr/sbin/sshd");
        command.args(["-D", "-e", "-f"]).arg(folder.join("sshd_config")).stderr(log);
        let sshd = Self { child: command.spawn().unwrap(), port };
        until("sshd listens", || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok());
        sshd
    }
}

/// labd, a machine with an sshd that was told to take certificates, and somebody who may log in.
struct Scene {
    lab: Lab,
    agent: Agent,
    sshd: Sshd,
    user: String,
    kubeconfig: PathBuf,
}

impl Scene {
    fn new() -> Self {
        let lab = Lab::new();
        let place = lab.folder.path().join("m1");
        let sshd = Sshd::start(&place.join("ssh"));
        let user = Command::new("id").arg("-un").output().unwrap().stdout;
        let user = String::from_utf8(user).unwrap().trim().to_owned();
        lab.create("metal.lab", "Server", "m1", serde_json::json!({"admin": {"user": user}}));
        let agent = lab.start(&lab.leave_files("m1", lab.labd.address()));
        lab.in_reach(&agent, "m1");
        until("sshd is set up", || place.join("ssh/sshd_config.d/60-lab.conf").exists());
        let kubeconfig = lab.folder.path().join("operator-1.kubeconfig");
        let scene = Self { lab, agent, sshd, user, kubeconfig };
        scene.admit();
        scene
    }

    /// Lets `operator-1` in, who may do everything.
    fn admit(&self) {
        let lab = &self.lab;
        lab.create("iam.lab", "User", "operator-1", serde_json::json!({}));
        self.bind();
        let set = lab.run(&["passwd", "operator-1", "--password-stdin"], b"correct horse");
        assert!(set.status.success(), "{}", String::from_utf8_lossy(&set.stderr));
        let url = format!("https://{}", lab.labd.address());
        let mut login = lab.labctl(&["login", &url, "--ca-hash", &lab.pin(), "--user", "operator-1"]);
        let login = login.env("KUBECONFIG", &self.kubeconfig).env("LAB_PASSWORD", "correct horse");
        let output = login.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    fn bind(&self) {
        let spec = serde_json::json!({"role": "admin", "subjects": [{"kind": "User", "name": "operator-1"}]});
        self.lab.create("iam.lab", "RoleBinding", "operator-1", spec);
    }

    /// `labctl ssh`, as `operator-1`, who has no keys and knows no hosts.
    fn labctl_ssh(&self, port: u16, who: &str, command: &[&str]) -> Command {
        let port = port.to_string();
        let mut labctl = self.lab.labctl(&[&["ssh", "--port", &port, who, "--"], command].concat());
        labctl.env("KUBECONFIG", &self.kubeconfig).env("HOME", self.lab.folder.path());
        labctl
    }

    fn ssh(&self, command: &[&str]) -> (bool, String, String) {
        told(self.labctl_ssh(self.sshd.port, "m1", command).output().unwrap())
    }

    /// Plain ssh with a certificate that the test signs itself with labd's key.
    fn straight(&self, principal: &str, life: Lifetime) -> (bool, String, String) {
        let pki = self.lab.folder.path().join("labd/data/pki");
        let authority = SshAuthority::load_or_create(&pki).unwrap();
        let (private, public) = lab_pki::new_ssh_key().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let key = folder.path().join("key");
        fs::write(&key, private).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        fs::set_permissions(&key, mode).unwrap();
        let certificate = authority.certify_user(&public, "test", principal, life).unwrap();
        fs::write(folder.path().join("key-cert.pub"), certificate).unwrap();
        let mut ssh = Command::new("ssh");
        ssh.args(["-F", "none", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no", "-i"]).arg(&key);
        ssh.args(["-o", "UserKnownHostsFile=/dev/null", "-o", "IdentitiesOnly=yes", "-p"]);
        ssh.arg(self.sshd.port.to_string()).arg(format!("{}@127.0.0.1", self.user)).args(["echo", "in"]);
        told(ssh.stdin(Stdio::null()).env_remove("SSH_AUTH_SOCK").output().unwrap())
    }
}

fn told(output: Output) -> (bool, String, String) {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.success(), text(output.stdout), text(output.stderr))
}

#[test]
fn logging_in_by_certificate() {
    let scene = Scene::new();
    let (lab, place) = (&scene.lab, &scene.agent.place);
    until("sshd has read its configuration anew", || scene.ssh(&["true"]).0);
    let (ok, said, complaint) = scene.ssh(&["echo", "hello from $USER"]);
    assert_eq!((ok, said), (true, format!("hello from {}\n", scene.user)), "{complaint}");
    assert!(complaint.is_empty(), "nobody is asked or told anything: {complaint}");
    let trail = lab.says(&["audit", "get", "--user", "operator-1", "-o", "json"]);
    assert!(trail.contains("\"ssh\"") && trail.contains(&format!("as {} until", scene.user)), "{trail}");

    // An account that nobody named.
    let other = scene.labctl_ssh(scene.sshd.port, "nobody@m1", &["true"]).output().unwrap();
    let (ok, _, complaint) = told(other);
    assert!(!ok && complaint.contains("spec.user"), "{complaint}");
    // Somebody else answers at the port: labd does not vouch for them.
    let impostor = Sshd::start(&lab.folder.path().join("impostor"));
    let (ok, _, complaint) = told(scene.labctl_ssh(impostor.port, "m1", &["true"]).output().unwrap());
    assert!(!ok && complaint.contains("host key"), "{complaint}");

    // sshd itself holds to what a certificate says.
    let uid = lab.server("m1")["metadata"]["uid"].as_str().unwrap().to_owned();
    let (now, minute) = (SystemTime::now(), Duration::from_secs(60));
    let own = format!("{}@{uid}", scene.user);
    let good = Lifetime { from: now - minute, until: now + minute };
    let (ok, said, complaint) = scene.straight(&own, good);
    assert!(ok && said == "in\n", "{complaint}");
    let over = Lifetime { from: now - 3 * minute, until: now - minute };
    for (principal, life) in [(own.as_str(), over), (&scene.user, good), (&own.replace('@', "@0"), good)] {
        let (ok, _, complaint) = scene.straight(principal, life);
        assert!(!ok && complaint.contains("Permission denied"), "{principal}: {complaint}");
    }
    let log = fs::read_to_string(place.join("ssh/log")).unwrap();
    assert!(log.contains("Certificate invalid: expired"), "{log}");

    // A permission that is taken away counts for what is open, and for what is to come.
    let mut open = scene.labctl_ssh(scene.sshd.port, "m1", &["echo up; sleep 600"]).spawn().unwrap();
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(open.try_wait().unwrap(), None, "it is logged in");
    lab.says(&["delete", "rolebindings", "operator-1"]);
    until("the session ends", || open.try_wait().unwrap().is_some());
    let (ok, _, complaint) = scene.ssh(&["true"]);
    assert!(!ok && !complaint.is_empty(), "{complaint}");
    scene.bind();
    assert!(scene.ssh(&["true"]).0);

    // Nothing is left behind, and nobody comes in any more.
    let Scene { lab, mut agent, sshd, user, kubeconfig } = scene;
    agent.child.kill().unwrap();
    agent.child.wait().unwrap();
    let left = agent.command("leave").arg("--keep-service").output().unwrap();
    assert!(left.status.success(), "{}", String::from_utf8_lossy(&left.stderr));
    assert!(
        !agent.place.join("ssh/lab").exists() && !agent.place.join("ssh/sshd_config.d/60-lab.conf").exists()
    );
    let scene = Scene { lab, agent, sshd, user, kubeconfig };
    until("sshd has read its configuration anew", || !scene.straight(&own, good).0);
}
