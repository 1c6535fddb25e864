//! A machine that joined: its agent, as a program, on this machine; commands, ports and files through labd; labd that stops, comes
//! back, or is another one.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod lab;
mod line;
mod soak;
mod ssh;
mod terminal;
mod upgrade;

use lab::{Agent, Lab, places, until};
use lab_e2e::{labd::Labd, program};
use line::Line;
use serde_json::Value as Json;
use std::{
    fs,
    io::{Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

#[test]
fn a_machine_joins_reports_and_runs_commands() {
    let lab = Lab::new();
    let agent = lab.machine("m1");
    assert!(!agent.place.join("lab/join-token").exists(), "the token is gone once it was used");
    let server = lab.server("m1");
    let status = &server["status"];
    assert_eq!(status["agent"]["online"], true);
    assert_eq!(status["agent"]["version"], env!("CARGO_PKG_VERSION"));
    for field in ["since", "booted", "kernel", "certificateExpires"] {
        assert!(status["agent"][field].is_string(), "{field}: {status:#}");
    }
    until("what the machine consists of is reported", || {
        lab.server("m1")["status"]["hardware"]["cpu"]["threads"].as_i64().is_some_and(|threads| threads > 0)
    });

    let exec = |arguments: &[&str], input: &[u8]| {
        let output = lab.run(&[&["exec"], arguments].concat(), input);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let ok = |text: &str| (Some(0), text.to_owned(), String::new());
    assert_eq!(exec(&["m1", "--", "echo", "a b", "$HOME"], b""), ok("a b $HOME\n"));
    assert_eq!(exec(&["m1", "--", "cat"], b"not passed on"), ok(""));
    assert_eq!(exec(&["-i", "m1", "--", "cat"], b"passed on"), ok("passed on"));
    let both = exec(&["m1", "--", "sh", "-c", "echo out; echo err >&2; exit 7"], b"");
    assert_eq!(both, (Some(7), "out\n".into(), "err\n".into()));
    assert_eq!(exec(&["m1", "--", "sh", "-c", "kill -15 $$"], b"").0, Some(128 + 15));
    let (code, _, complaint) = exec(&["m1", "--", "/nonexistent"], b"");
    assert_eq!((code, complaint.contains("/nonexistent: ")), (Some(127), true), "{complaint}");
    let (code, _, complaint) = exec(&["nowhere", "--", "true"], b"");
    assert_eq!((code, complaint.contains("not found")), (Some(3), true), "{complaint}");
    // What a command leaves running does not hold it.
    let began = Instant::now();
    assert_eq!(exec(&["m1", "--", "sh", "-c", "sleep 60 & echo done"], b""), ok("done\n"));
    assert!(began.elapsed() < Duration::from_secs(30));
    // A terminal.
    assert_eq!(exec(&["-t", "m1", "--", "sh", "-c", "tty >/dev/null && stty size"], b""), ok("24 80\r\n"));
    assert_eq!(
        exec(&["-it", "m1", "--", "sh", "-c", "read x; echo got $x"], b"hello\n").1,
        "hello\r\ngot hello\r\n"
    );

    // Bytes of every kind, more than fits anywhere on the way, both ways at once.
    let bytes: Vec<u8> = (0..4_000_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let output = lab.run(&["exec", "-i", "m1", "--", "cat"], &bytes);
    assert!(output.status.success() && output.stdout == bytes, "{} bytes came back", output.stdout.len());
    // One that reads no further.
    assert_eq!(lab.run(&["exec", "-i", "m1", "--", "true"], &bytes).status.code(), Some(0));

    // Who gave the command is gone: so is what it started.
    let marker = format!("61.{}", std::process::id());
    let mut child = lab.labctl(&["exec", "m1", "--", "sleep", &marker]).spawn().unwrap();
    let line = format!("sleep\0{marker}\0");
    let runs = || {
        let processes = fs::read_dir("/proc").unwrap().flatten();
        let lines = processes.filter_map(|process| fs::read(process.path().join("cmdline")).ok());
        lines.into_iter().any(|found| found == line.as_bytes())
    };
    until("the command runs", runs);
    child.kill().unwrap();
    child.wait().unwrap();
    until("the command is ended", || !runs());

    // It is on record who ran what, and who read the journal, whether or not there is one on this machine.
    lab.run(&["logs", "m1", "--unit", "ssh.service"], b"");
    let trail = lab.says(&["audit", "get", "-o", "json"]);
    assert!(trail.contains("\"journal\"") && trail.contains("\"ssh.service\""), "{trail}");
    assert!(trail.contains("\"exec\"") && trail.contains("echo a b $HOME"), "{trail}");
}

#[test]
fn ports_reach_through() {
    let lab = Lab::new();
    let _agent = lab.machine("m1");
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    // Sends back what it is sent, once it has heard all.
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut heard = Vec::new();
            stream.read_to_end(&mut heard).unwrap();
            stream.write_all(&heard).unwrap();
        }
    });
    let bytes: Vec<u8> = (0..300_000u32).map(|i| (i % 251) as u8).collect();
    let output = lab.run(&["port-forward", "m1", &port, "--stdio"], &bytes);
    assert!(output.stdout == bytes, "{}", String::from_utf8_lossy(&output.stderr));

    let mut forwarding = lab.labctl(&["port-forward", "m1", &format!(":{port}")]).spawn().unwrap();
    let mut line = [0; 256];
    let length = forwarding.stdout.as_mut().unwrap().read(&mut line).unwrap();
    let line = String::from_utf8_lossy(&line[..length]).into_owned();
    let here: u16 = line.strip_prefix("127.0.0.1:").unwrap().split(' ').next().unwrap().parse().unwrap();
    for _ in 0..2 {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, here)).unwrap();
        stream.write_all(&bytes).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut back = Vec::new();
        stream.read_to_end(&mut back).unwrap();
        assert!(back == bytes, "{} bytes came back", back.len());
    }
    forwarding.kill().unwrap();
    forwarding.wait().unwrap();
    // Nobody listens there.
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
    let output = lab.run(&["port-forward", "m1", &free.to_string(), "--stdio"], b"");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && complaint.contains("refused"), "{complaint}");
}

#[test]
fn files_are_copied_both_ways() {
    let lab = Lab::new();
    let _agent = lab.machine("m1");
    let (here, there) = (lab.folder.path().join("here"), lab.folder.path().join("there"));
    fs::create_dir_all(here.join("tree/deep")).unwrap();
    fs::create_dir(&there).unwrap();
    let bytes: Vec<u8> = (0..1_000_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 11) as u8).collect();
    fs::write(here.join("tree/deep/data"), &bytes).unwrap();
    fs::write(here.join("-odd name"), "x").unwrap();
    let at = |path: &Path| path.to_str().unwrap().to_owned();
    let on_it = |path: &str| format!("m1:{}", there.join(path).display());
    // Into a folder, under a new name, and with a name that could be an option.
    lab.says(&["cp", &at(&here.join("tree")), &on_it("")]);
    assert!(fs::read(there.join("tree/deep/data")).unwrap() == bytes);
    lab.says(&["cp", &at(&here.join("tree/deep/data")), &on_it("renamed")]);
    assert!(fs::read(there.join("renamed")).unwrap() == bytes);
    lab.says(&["cp", &at(&here.join("-odd name")), &on_it("")]);
    assert!(there.join("-odd name").is_file());
    // And back.
    lab.says(&["cp", &on_it("tree"), &at(&here.join("back"))]);
    assert!(fs::read(here.join("back/deep/data")).unwrap() == bytes);
    lab.says(&["cp", &on_it("-odd name"), &at(&here.join("back"))]);
    assert!(here.join("back/-odd name").is_file());
    let missing = lab.run(&["cp", &on_it("nothing"), &at(&here)], b"");
    let complaint = String::from_utf8_lossy(&missing.stderr);
    assert!(!missing.status.success() && complaint.contains("nothing"), "{complaint}");
    let left = fs::read_dir(&here).unwrap().flatten().filter(|e| e.file_name() != "tree").count();
    assert_eq!(left, 2, "nothing half is left");
}

#[test]
fn a_slow_reader_slows_only_itself() {
    let lab = Lab::new();
    let _agent = lab.machine("m1");
    // It is never read, and has far more to say than fits anywhere on the way.
    let mut stuck: Vec<Child> =
        (0..3).map(|_| lab.labctl(&["exec", "m1", "--", "yes"]).spawn().unwrap()).collect();
    thread::sleep(Duration::from_secs(1));
    let began = Instant::now();
    let output = lab.run(&["exec", "m1", "--", "head", "-c", "3000000", "/dev/zero"], b"");
    assert_eq!(output.stdout.len(), 3_000_000);
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    for child in &mut stuck {
        assert_eq!(child.try_wait().unwrap(), None, "it waits");
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

#[test]
fn it_goes_on_when_labd_comes_back_and_when_it_is_killed_itself() {
    let lab = Lab::new();
    let agent = lab.machine("m1");
    let identity = fs::read(agent.place.join("state/identity")).unwrap();
    let since = lab.server("m1")["status"]["agent"]["since"].clone();
    let mut running = lab.labctl(&["exec", "m1", "--", "sleep", "600"]).spawn().unwrap();
    let Lab { labd, folder } = lab;
    let address = labd.address();
    labd.kill().unwrap();
    assert!(!running.wait().unwrap().success(), "what was under way has ended");
    until("the agent notices", || !agent.status().status.success());
    let labd = Labd::start_at(&folder.path().join("labd"), address).unwrap();
    let lab = Lab { labd, folder };
    lab.in_reach(&agent, "m1");
    assert_eq!(lab.says(&["exec", "m1", "--", "echo", "back"]), "back\n");
    assert_eq!(lab.server("m1")["status"]["agent"]["since"], since, "a restart of labd is not news");

    let place = agent.place.clone();
    drop(agent);
    let agent = lab.start(&place);
    lab.in_reach(&agent, "m1");
    assert_eq!(fs::read(place.join("state/identity")).unwrap(), identity, "it is who it was");
    let said = |agent: &Agent| String::from_utf8(agent.status().stdout).unwrap();
    assert!(said(&agent).contains("daemon       connected since "), "{}", said(&agent));

    // It leaves nothing behind.
    drop(agent);
    let agent = Agent { child: Command::new("true").spawn().unwrap(), place: place.clone() };
    let left = agent.command("leave").arg("--keep-service").output().unwrap();
    assert!(left.status.success(), "{}", String::from_utf8_lossy(&left.stderr));
    for path in ["lab", "state", "run"] {
        assert!(!place.join(path).exists(), "{path}");
    }
    let again = agent.command("run").output().unwrap();
    assert_eq!(again.status.code(), Some(2), "without a configuration");
}

#[test]
fn another_labd_gets_nothing() {
    let lab = Lab::new();
    let agent = lab.machine("m1");
    let Lab { labd, folder } = lab;
    let address = labd.address();
    labd.kill().unwrap();
    // One with an authority of its own in its place.
    let other = Labd::start_at(&folder.path().join("other"), address).unwrap();
    let why = || String::from_utf8(agent.status().stdout).unwrap();
    until("the agent sees that it is another one", || why().contains("not signed by the expected CA"));
    let lab = Lab { labd: other, folder };
    assert_eq!(lab.says(&["get", "servers", "-o", "name"]), "");
    // Nor does one get a token to whom the pin does not belong.
    let place = lab.folder.path().join("m2");
    fs::create_dir_all(place.join("lab")).unwrap();
    let pin = format!("sha256:{}", "0".repeat(64));
    let token = lab.folder.path().join("token");
    fs::write(&token, "labj_anything\n").unwrap();
    let joined = Command::new(program("lab-agent").unwrap())
        .args(["join", "--server", &format!("https://{address}"), "--ca-hash", &pin, "--token-file"])
        .arg(&token)
        .args(places(&place))
        .output()
        .unwrap();
    let complaint = String::from_utf8_lossy(&joined.stderr);
    assert!(!joined.status.success() && complaint.contains("expected CA"), "{complaint}");
    assert!(token.exists() && !place.join("state/identity").exists());
}

#[test]
fn a_running_machine_is_adopted() {
    let lab = Lab::new();
    let object = serde_json::json!({"apiVersion": "iam.lab/v1alpha1", "kind": "JoinToken",
        "metadata": {"name": "adopt"}, "spec": {"joiner": "agent", "environment": "dev"}});
    let output = lab.run(&["create", "-f", "-", "-o", "json"], object.to_string().as_bytes());
    let made: Json = serde_json::from_slice(&output.stdout).unwrap();
    let place = lab.folder.path().join("old-1");
    fs::create_dir_all(&place).unwrap();
    let mut join = Command::new(program("lab-agent").unwrap())
        .args(["join", "--server", &format!("https://{}", lab.labd.address()), "--ca-hash", &lab.pin()])
        .args(["--name", "old-1", "--token-file", "-"])
        .args(places(&place))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let token = made["status"]["token"].as_str().unwrap();
    writeln!(join.stdin.take().unwrap(), "{token}").unwrap();
    let joined = join.wait_with_output().unwrap();
    assert!(joined.status.success(), "{}", String::from_utf8_lossy(&joined.stderr));
    assert!(String::from_utf8_lossy(&joined.stdout).starts_with("joined as server:"));
    let agent = lab.start(&place);
    lab.in_reach(&agent, "old-1");
    assert_eq!(lab.server("old-1")["spec"]["environment"], "dev");
    assert_eq!(lab.says(&["exec", "old-1", "--", "echo", "adopted"]), "adopted\n");
}

#[test]
fn over_a_long_line_that_is_cut() {
    let lab = Lab::new();
    let line = Line::to(lab.labd.address(), Duration::from_millis(40));
    let agent = lab.machine_at("m1", line.address());
    let bytes: Vec<u8> = (0..1_000_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 17) as u8).collect();
    let output = lab.run(&["exec", "-i", "m1", "--", "cat"], &bytes);
    assert!(output.stdout == bytes, "{} bytes came back", output.stdout.len());
    let mut running = lab.labctl(&["exec", "m1", "--", "sleep", "600"]).spawn().unwrap();
    thread::sleep(Duration::from_secs(1));
    line.cut();
    assert!(!running.wait().unwrap().success(), "what was under way has ended");
    lab.in_reach(&agent, "m1");
    until("commands run again", || lab.run(&["exec", "m1", "--", "true"], b"").status.success());
}

/// A partition: nothing is said to have ended, nothing arrives.
#[test]
#[ignore = "takes two minutes, in which both sides find out by themselves"]
fn over_a_line_that_falls_silent() {
    let lab = Lab::new();
    let line = Line::to(lab.labd.address(), Duration::ZERO);
    let agent = lab.machine_at("m1", line.address());
    let online = || lab.server("m1")["status"]["agent"]["online"] == true;
    line.silence(true);
    until("the agent notices", || !agent.status().status.success());
    until("labd notices", || !online());
    assert_eq!(lab.server("m1")["status"]["phase"], "Offline");
    line.silence(false);
    lab.in_reach(&agent, "m1");
    assert!(online());
}

#[test]
#[ignore = "takes a minute or two"]
fn a_gigabyte_through_a_pipe() {
    let lab = Lab::new();
    let _agent = lab.machine("m1");
    let mut child = lab.labctl(&["exec", "-i", "m1", "--", "cat"]).stdin(Stdio::piped()).spawn().unwrap();
    let (mut stdin, mut stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let piece: Vec<u8> = (0..1_000_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 9) as u8).collect();
    let sent = piece.clone();
    let writing = thread::spawn(move || (0..1000).for_each(|_| stdin.write_all(&sent).unwrap()));
    let began = Instant::now();
    let mut back = vec![0; piece.len()];
    for _ in 0..1000 {
        stdout.read_exact(&mut back).unwrap();
        assert!(back == piece, "what came back is not what was sent");
    }
    assert_eq!(stdout.read(&mut back).unwrap(), 0);
    writing.join().unwrap();
    assert!(child.wait().unwrap().success());
    println!("1 GB both ways in {:?}", began.elapsed());
}
