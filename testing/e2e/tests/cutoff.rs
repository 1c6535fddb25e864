//! A site that loses labd: the real bastion, joined to the real labd, goes on with simulated machines while labd is dead, also after it was
//! killed itself, and catches up when labd is back. In a network namespace, without root where the system lets users have one.

use lab_e2e::{labctl::Labctl, labd::Labd, program};
use lab_firmware::{Kind, Machine};
use lab_rack::place::{Neighbour, inside};
use lab_rack::simulated::{machines, power_on};
use lab_rack::wire::{Way, Wire};
use std::fs::{self, File};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const SITE: &str = "10.9.0.1";
const PATIENCE: Duration = Duration::from_secs(60);
const NETWORK: &str = "{apiVersion: metal.lab/v1alpha1, kind: Network, metadata: {name: rack}, spec: {cidr: 10.9.0.0/16, site: home, \
                       dhcp: {mode: full, ranges: [{start: 10.9.128.0, end: 10.9.129.255}]}}}";
const TOKEN: &str = "{apiVersion: iam.lab/v1alpha1, kind: JoinToken, metadata: {name: home-1}, spec: {joiner: bastion, site: home}}";

/// A bastion, killed when dropped.
struct Bastion(Child);

impl Bastion {
    /// Starts it and waits until machines are served.
    fn start(folder: &Path, flags: &[String]) -> Self {
        let log = File::options().create(true).append(true).open(folder.join("bastion.log"));
        let child = Command::new(program("bastion").expect("it is built"))
            .args(["--name", "home-1", "--status-listen", "127.0.0.1:0", "--data-dir"])
            .arg(folder.join("bastion"))
            .arg("--files")
            .arg(folder.join("files"))
            .args(flags)
            .stdin(Stdio::null())
            .stderr(log.expect("there is room"))
            .spawn()
            .expect("it starts");
        let bastion = Self(child);
        let until = Instant::now() + PATIENCE;
        while TcpStream::connect((SITE, 80)).is_err() {
            let log = || fs::read_to_string(folder.join("bastion.log")).unwrap_or_default();
            assert!(Instant::now() < until, "nothing is served:\n{}", log());
            std::thread::sleep(Duration::from_millis(100));
        }
        bastion
    }
}

impl Drop for Bastion {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Switches machines on; all have to reach their kernel.
fn boot(neighbour: &Neighbour, machines: &[Machine]) {
    let booted = neighbour.run(|| {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        runtime.block_on(async {
            let wire = Wire::open(Way { pace: 0.1, ..Way::over(Neighbour::THERE) })?;
            Ok(power_on(&wire, machines.to_vec(), PATIENCE).await)
        })
    });
    let booted = booted.expect("they are switched on");
    let left: Vec<_> = booted.iter().filter(|booted| !booted.runs_kernel()).collect();
    assert!(left.is_empty(), "{left:#?}");
}

#[test]
fn a_site_goes_on_without_labd_and_catches_up() {
    if !inside("a_site_goes_on_without_labd_and_catches_up") {
        return;
    }
    let neighbour = Neighbour::new().expect("a namespace is made");
    neighbour.crowd().expect("it has many addresses");
    let folder = tempfile::tempdir().expect("there is room");
    let folder = folder.path();
    lab_rack::programs::fill(&folder.join("files"), 10, 20_000, 50_000).expect("there is room");
    let labd = Labd::start_with(&folder.join("labd"), &["--no-bastion"]).expect("labd starts");
    let labctl = Labctl { kubeconfig: labd.kubeconfig() };
    labctl.run_with(&["create", "-f", "-"], NETWORK);
    let token = labctl.run_with(&["create", "-f", "-", "-o", "jsonpath={.status.token}"], TOKEN);
    // That it is shown once is said behind it.
    let token = token.split("warning:").next().unwrap_or_default().trim();
    fs::write(folder.join("token"), token).expect("there is room");
    let address = labd.address();
    let (server, hash) = (format!("https://{address}"), labd.fingerprint().expect("labd prints it"));
    let file = folder.join("token").display().to_string();
    let flags = ["--server", &server, "--ca-hash", &hash, "--join-token-file", &file].map(String::from);
    let all = machines(10, &[Kind::Bios, Kind::UefiPxe, Kind::UefiHttp]);
    let names: Vec<String> = all.iter().map(|machine| machine.mac().dashed()).collect();
    let entered = |expected: &[String]| {
        labctl.until("the machines are Servers", PATIENCE, &["get", "srv", "-o", "name"], |found| {
            expected.iter().all(|name| found.contains(name.as_str()))
        });
    };

    let bastion = Bastion::start(folder, &flags);
    boot(&neighbour, &all[..3]);
    entered(&names[..3]);
    labd.kill().expect("it is killed");
    boot(&neighbour, &all[..6]);
    // What is heard of machines is written once a second.
    std::thread::sleep(Duration::from_secs(3));
    drop(bastion);
    // Killed without a farewell, it starts with labd out of reach.
    let bastion = Bastion::start(folder, &flags);
    boot(&neighbour, &all[5..]);

    let _labd = Labd::start_at(&folder.join("labd"), address).expect("labd starts again");
    entered(&names);
    for name in &names {
        // A machine's addresses are in its Server, and its boot in its log, from the time when nobody could be told.
        labctl.until("its boot is told", PATIENCE, &["logs", name], |log| {
            log.contains("sent DHCP discover") && log.contains("was given discovery")
        });
        let address = labctl.run(&["get", "srv", name, "-o", "jsonpath={.status.addresses[0]}"]);
        assert!(address.starts_with("10.9.12"), "{name}: {address}");
    }
    let told_twice = labctl.run(&["logs", &names[0]]).matches("was given discovery").count();
    assert_eq!(told_twice, 2, "both boots are told, each once");
    drop(bastion);
}
