//! A bastion's identity, from its join token on.

use crate::daemon::{Daemon, PATIENCE, bastion, text};
use lab_e2e::labd::Labd;
use std::{
    fs,
    io::Write,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

/// How long certificates hold here. They are renewed when a third is left.
const LIFE: Duration = Duration::from_secs(12);

/// A labd whose certificates for machines run out soon, and who calls it.
struct Site {
    labd: Labd,
    folder: tempfile::TempDir,
}

impl Site {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("there is room");
        let config = folder.path().join("labd.toml");
        fs::write(&config, format!("[identity]\nmachine-certificates = \"{}s\"\n", LIFE.as_secs()))
            .expect("it is written");
        let arguments = ["--no-bastion", "--config", config.to_str().expect("it is text")];
        let labd = Labd::start_with(&folder.path().join("labd"), &arguments).expect("labd starts");
        Self { labd, folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn labctl(&self, kubeconfig: &Path, arguments: &[&str], input: &str) -> (Option<i32>, String) {
        let mut child = Command::new(lab_e2e::program("labctl").expect("it is built"))
            .args(arguments)
            .env("KUBECONFIG", kubeconfig)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("labctl starts");
        child.stdin.take().expect("it is piped").write_all(input.as_bytes()).expect("it reads");
        let output = child.wait_with_output().expect("it ends");
        (output.status.code(), text(&output))
    }

    fn by_admin(&self, arguments: &[&str], input: &str) -> String {
        let (code, said) = self.labctl(&self.labd.kubeconfig(), arguments, input);
        assert_eq!(code, Some(0), "{arguments:?}: {said}");
        said
    }

    /// A file with a join token for one bastion.
    fn token(&self, name: &str) -> PathBuf {
        let object = format!(
            "{{apiVersion: iam.lab/v1alpha1, kind: JoinToken, metadata: {{name: {name}}}, spec: {{joiner: bastion, site: home}}}}"
        );
        let said = self.by_admin(&["create", "-f", "-", "-o", "jsonpath={.status.token}"], &object);
        // That it is shown once is said behind it.
        let (token, _) = said.split_once("warning:").expect("labctl warns");
        assert!(token.starts_with("lab-join-"));
        let path = self.path(name);
        fs::write(&path, format!("{}\n", token.trim())).expect("it is written");
        path
    }

    /// The flags with which a bastion joins.
    fn flags(&self, token: &Path) -> Vec<String> {
        let server = format!("https://{}", self.labd.address());
        let token = token.to_str().expect("it is text");
        let hash = self.labd.fingerprint().expect("labd prints it");
        ["--server", &server, "--ca-hash", &hash, "--join-token-file", token].map(Into::into).to_vec()
    }

    fn start(&self, flags: &[String]) -> Daemon {
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        Daemon::start(&self.path("bastion"), &flags)
    }
}

fn eventually(what: &str, mut is: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !is() {
        assert!(Instant::now() < until, "never came true: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn it_joins_once_and_renews_its_certificate() {
    let site = Site::new();
    let token = site.token("once");
    let secret = fs::read_to_string(&token).expect("it is there").trim().to_owned();
    let flags = site.flags(&token);
    let daemon = site.start(&flags);
    daemon.answers("/readyz", 200);
    let identity = site.path("bastion/identity.kubeconfig");
    assert_eq!(fs::metadata(&identity).expect("it is there").permissions().mode() & 0o777, 0o600);
    let read = || fs::read_to_string(&identity).expect("it is there");
    let first = read();
    assert!(!first.contains(&secret), "the token is not kept");
    let commandline = fs::read(format!("/proc/{}/cmdline", daemon.pid())).expect("it runs");
    assert!(!String::from_utf8_lossy(&commandline).contains(&secret));
    // Its file is a kubeconfig, by which it sees itself and what is its own.
    let (code, said) = site.labctl(&identity, &["get", "bastions", "-o", "name"], "");
    assert_eq!((code, said.as_str()), (Some(0), "bastion.metal.lab/home-1\n"));
    assert_eq!(site.labctl(&identity, &["get", "secrets"], "").0, Some(5));
    assert_eq!(
        site.by_admin(&["get", "bastion", "home-1", "-o", "jsonpath={.spec.site}"], "").trim(),
        "home"
    );
    // It renews its certificate, twice, and goes on under each.
    eventually("it is renewed", || read() != first);
    let second = read();
    eventually("it is renewed once more", || read() != second);
    daemon.answers("/readyz", 200);
    let log = stopped(daemon);
    assert!(log.contains("joined") && log.matches("renewed the certificate").count() >= 2, "{log}");
    // It starts again with a token that was used, with none, and by its directory alone.
    let seconds_left = || site.labctl(&identity, &["get", "bastions"], "").0 == Some(0);
    assert!(seconds_left(), "the kept one still holds");
    let again = site.start(&flags);
    again.answers("/readyz", 200);
    eventually("it is renewed in time", || read() != second);
    let log = stopped(again);
    assert!(!log.contains("joined"), "{log}");
    fs::remove_file(&token).expect("it is taken away");
    for arguments in [&flags[..], &[]] {
        let again = site.start(arguments);
        again.answers("/readyz", 200);
        let log = stopped(again);
        assert!(!log.contains("joined"), "{log}");
    }
}

fn stopped(daemon: Daemon) -> String {
    let (code, log) = daemon.stop();
    assert_eq!(code, Some(0), "{log}");
    log
}

#[test]
fn who_does_not_belong_does_not_join() {
    let site = Site::new();
    let token = site.token("once");
    let flags = site.flags(&token);
    let daemon = site.start(&flags);
    daemon.answers("/readyz", 200);
    let check = |name: &str, change: &dyn Fn(&mut Vec<String>), expected: &str| {
        let mut flags = flags.clone();
        change(&mut flags);
        let mut command = bastion();
        command.args(["--name", name, "--status-listen", "127.0.0.1:0", "--data-dir"]);
        let output = command.arg(site.path(name)).args(flags).output().expect("it runs");
        let said = text(&output);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(expected), "{said}");
        assert!(!site.path(name).join("identity.kubeconfig").exists());
    };
    check("home-2", &|_| {}, "the join token was used");
    let wrong = site.path("wrong");
    fs::write(&wrong, "lab-join-nonsense").expect("it is written");
    check(
        "home-2",
        &|flags| flags[5] = wrong.to_str().expect("it is text").into(),
        "the join token is not known",
    );
    let other = format!("sha256:{}", "0".repeat(64));
    check("home-2", &|flags| flags[3].clone_from(&other), "signed by the expected CA");
    // What is deleted is out, and does not come in again by what it has.
    site.by_admin(&["delete", "bastion", "home-1"], "");
    let why = daemon.answers("/readyz", 503);
    assert!(why.contains("was deleted"), "{why}");
    // With another token it comes in again.
    let log = stopped(daemon);
    assert!(!log.contains("lab-join-"), "{log}");
    let again = site.start(&site.flags(&site.token("another")));
    again.answers("/readyz", 200);
    assert!(stopped(again).contains("joined"));
}

#[test]
fn a_labd_that_is_not_reached_yet_is_waited_for() {
    let site = Site::new();
    let token = site.token("once");
    let flags = site.flags(&token);
    let (address, folder) = (site.labd.address(), site.path("labd"));
    let Site { labd, folder: kept } = site;
    labd.stop().expect("it stops");
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let daemon = Daemon::start(&kept.path().join("bastion"), &flags);
    std::thread::sleep(Duration::from_millis(1500));
    assert!(!kept.path().join("bastion/identity.kubeconfig").exists());
    let _labd = Labd::start_at(&folder, address).expect("it starts again");
    daemon.answers("/readyz", 200);
    let (_, log) = daemon.stop();
    assert!(log.contains("not joined yet"), "{log}");
}
