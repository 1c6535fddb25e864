//! The program beside a real labd: joins it, starts, says how it is, ends.

mod daemon;
mod joining;
mod rehearsal;

use daemon::{Daemon, bastion, text};
use lab_e2e::labd::Labd;

#[test]
fn beside_labd_and_without() {
    let folder = tempfile::tempdir().expect("there is room");
    let labd = Labd::start(&folder.path().join("labd")).expect("labd starts");
    let kubeconfig = labd.kubeconfig();
    let reached = ["--kubeconfig", kubeconfig.to_str().expect("it is text")];
    let daemon = Daemon::start(&folder.path().join("bastion"), &reached);
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
    check(&["--server", "https://127.0.0.1:1"], 2, "--ca-hash <HASH>");
    let server = ["--server", "https://127.0.0.1:1", "--ca-hash", "sha256:1", "--data-dir", data];
    check(&server, 1, "identity.kubeconfig yet; give a join token");
    check(&[&server[..], &["--kubeconfig", "x"]].concat(), 2, "cannot be used with '--kubeconfig");
    check(&[&server[..], &["--join-token-file", data]].concat(), 1, "cannot read the join token in ");
    check(&["--version"], 0, "bastion 0.1.0");
}
