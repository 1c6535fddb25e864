//! Agents that labd tells to run another executable.

use crate::lab::{Lab, until};
use lab_e2e::program;
use serde_json::Value as Json;
use std::{fs, io::Write, os::unix::fs::PermissionsExt, path::Path};

/// The condition that says whether the agent runs what it is to run.
fn upgraded(lab: &Lab) -> Json {
    let server = lab.server("m1");
    let conditions = server["status"]["conditions"].as_array().cloned().unwrap_or_default();
    conditions.into_iter().find(|condition| condition["type"] == "AgentUpgraded").unwrap_or_default()
}

fn want(lab: &Lab, version: &str) {
    let spec = format!(r#"{{"spec": {{"agent": {{"version": "{version}"}}}}}}"#);
    lab.says(&["patch", "servers", "m1", "--type", "merge", "-p", &spec]);
}

fn executable(path: &Path, content: &[u8]) {
    fs::write(path, content).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn an_agent_becomes_another_one_and_goes_back_from_one_that_does_not_report_in() {
    let lab = Lab::new();
    let releases = lab.folder.path().join("labd/data/agents");
    fs::create_dir_all(&releases).unwrap();
    let architecture = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    let release = |version: &str| releases.join(format!("lab-agent-{version}-{architecture}"));
    // Bytes after its end are nothing to an executable, but make it another one.
    let first = fs::read(program("lab-agent").unwrap()).unwrap();
    let second = [&first[..], b"another one"].concat();
    executable(&release("2.0.0"), &second);
    executable(&release("3.0.0"), b"#!/bin/sh\nexit 3\n");
    let trace = lab.folder.path().join("tried");
    executable(
        &release("4.0.0"),
        format!("#!/bin/sh\necho $$ >{}\nexec sleep 600\n", trace.display()).as_bytes(),
    );

    lab.create("metal.lab", "Server", "m1", serde_json::json!({"agent": {"version": "9.9.9"}}));
    let place = lab.leave_files("m1", lab.labd.address());
    let mut config = fs::OpenOptions::new().append(true).open(place.join("lab/agent.toml")).unwrap();
    config.write_all(b"upgrade-patience = \"15s\"\n").unwrap();
    let own = place.join("lab-agent");
    executable(&own, &first);
    let mut agent = lab.start_program(&own, &place);
    lab.in_reach(&agent, "m1");
    until("labd says that it has no such executable", || upgraded(&lab)["reason"] == "NoExecutable");

    let mut open = lab.labctl(&["exec", "m1", "--", "sleep", "600"]).spawn().unwrap();
    want(&lab, "2.0.0");
    until(&format!("it is another one\n{}", agent.log()), || upgraded(&lab)["status"] == "True");
    assert!(!open.wait().unwrap().success(), "streams end");
    until("the new one is in its place", || fs::read(&own).unwrap() == second);
    lab.in_reach(&agent, "m1");
    assert_eq!(agent.child.try_wait().unwrap(), None, "it is the same process, which systemd watches");
    let running = fs::read(format!("/proc/{}/exe", agent.child.id())).unwrap();
    assert!(running == second, "it runs what lies there");
    until("commands run", || lab.run(&["exec", "m1", "--", "true"], b"").status.success());

    want(&lab, "3.0.0");
    until("it went back", || upgraded(&lab)["reason"] == "RolledBack");
    let why = upgraded(&lab)["message"].as_str().unwrap().to_owned();
    assert!(why.contains("3.0.0") && why.contains("exit status: 3"), "{why}");
    lab.in_reach(&agent, "m1");
    assert!(fs::read(&own).unwrap() == second, "it stays what it was");
    assert!(!place.join("lab-agent.new").exists(), "nothing is left over");
    assert_eq!(lab.says(&["exec", "m1", "--", "echo", "here"]), "here\n");

    // One that starts, and goes on, and never reports in.
    want(&lab, "4.0.0");
    until("it is tried", || upgraded(&lab)["reason"] == "Tried" && trace.exists());
    assert_eq!(
        lab.says(&["exec", "m1", "--", "echo", "here"]),
        "here\n",
        "the present one goes on meanwhile"
    );
    until("it went back", || {
        let said = upgraded(&lab);
        said["reason"] == "RolledBack" && said["message"].as_str().is_some_and(|why| why.contains("4.0.0"))
    });
    let said = upgraded(&lab);
    let why = said["message"].as_str().unwrap();
    assert!(said["status"] == "False" && why.contains("did not report in within 15 s"), "{said}");
    let tried = fs::read_to_string(&trace).unwrap();
    assert!(!Path::new("/proc").join(tried.trim()).exists(), "it was ended");
    lab.in_reach(&agent, "m1");
    assert!(
        fs::read(&own).unwrap() == second && !place.join("lab-agent.new").exists(),
        "nothing has changed"
    );

    // It is still what it was after a start; nobody wants another one any more.
    agent.child.kill().unwrap();
    agent.child.wait().unwrap();
    lab.says(&[
        "patch",
        "servers",
        "m1",
        "--type",
        "json",
        "-p",
        r#"[{"op": "remove", "path": "/spec/agent"}]"#,
    ]);
    let agent = lab.start_program(&own, &place);
    lab.in_reach(&agent, "m1");
    until("nothing is said of it", || upgraded(&lab).is_null());
}
