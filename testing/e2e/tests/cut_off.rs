//! A bastion that is cut off from labd goes on with what it knew, and tells labd what it saw when it is back: the real programs, and simulated
//! machines in another network namespace. Run by name, without root: `cargo test -p lab-e2e --test cut_off -- --ignored --nocapture`.

use lab_e2e::{labd::Labd, program};
use lab_firmware::Kind;
use lab_rack::place::{Neighbour, inside};
use lab_rack::simulated::{machines, power_on};
use lab_rack::wire::{Way, Wire};
use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const NETWORK: &str = "apiVersion: metal.lab/v1alpha1\nkind: Network\nmetadata: {name: rack}\nspec:\n  cidr: 10.9.0.0/16\n  site: far\n  \
    dhcp: {mode: full, ranges: [{start: 10.9.128.0, end: 10.9.200.255}]}\n---\napiVersion: metal.lab/v1alpha1\nkind: Bastion\n\
    metadata: {name: far-1}\nspec: {site: far}\n";

/// A bastion, killed when dropped.
struct Bastion(Child);

impl Bastion {
    fn start(folder: &Path, kubeconfig: &Path) -> Self {
        let log = File::options()
            .create(true)
            .append(true)
            .open(folder.join("bastion.log"))
            .expect("there is room");
        let child = Command::new(program("bastion").expect("it is built"))
            .args(["--name", "far-1", "--status-listen", "127.0.0.1:9067", "--data-dir"])
            .arg(folder.join("bastion"))
            .arg("--files")
            .arg(folder.join("files"))
            .arg("--kubeconfig")
            .arg(kubeconfig)
            .stdin(Stdio::null())
            .stderr(log)
            .spawn();
        Self(child.expect("it starts"))
    }
}

impl Drop for Bastion {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What labctl says to a command.
fn labctl(kubeconfig: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new(program("labctl").expect("it is built"));
    let output = command
        .args(arguments)
        .env("KUBECONFIG", kubeconfig)
        .stdin(Stdio::null())
        .output()
        .expect("it starts");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[track_caller]
fn eventually(what: &str, is: impl Fn() -> bool) {
    let until = Instant::now() + Duration::from_secs(60);
    while !is() {
        assert!(Instant::now() < until, "never came true: {what}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Switches machines on, from one number to another, and says how many have their kernel.
fn boot(neighbour: &Neighbour, from: usize, to: u32) -> usize {
    let booted = neighbour.run(|| {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        runtime.block_on(async {
            let wire = Wire::open(Way { pace: 0.1, ..Way::over(Neighbour::THERE) })?;
            let some = machines(to, &[Kind::UefiHttp, Kind::Bios]).split_off(from);
            Ok(power_on(&wire, some, Duration::from_secs(60)).await)
        })
    });
    booted.expect("they can be switched on").iter().filter(|one| one.runs_kernel()).count()
}

#[test]
#[ignore = "needs network namespaces"]
fn a_bastion_without_labd() {
    if !inside("a_bastion_without_labd") {
        return;
    }
    let neighbour = Neighbour::new().expect("a namespace can be made");
    neighbour.crowd().expect("addresses can be given");
    let folder = tempfile::tempdir().expect("there is room");
    lab_rack::programs::fill(&folder.path().join("files"), 10, 20_000, 50_000).expect("there is room");
    let labd = Labd::start(&folder.path().join("labd")).expect("it starts");
    let (kubeconfig, address) = (labd.kubeconfig(), labd.address());
    let objects = folder.path().join("objects.yaml");
    std::fs::write(&objects, NETWORK).expect("there is room");
    labctl(&kubeconfig, &["create", "-f", &objects.to_string_lossy()]);
    let bastion = Bastion::start(folder.path(), &kubeconfig);
    let serves = || std::net::TcpStream::connect("10.9.0.1:80").is_ok();
    eventually("the bastion serves", serves);
    assert_eq!(boot(&neighbour, 0, 4), 4);
    let servers = || labctl(&kubeconfig, &["get", "servers", "-o", "name"]).lines().count();
    eventually("labd knows the machines", || servers() == 4);
    // The bastion's copy of what it knows is a few seconds old at most.
    std::thread::sleep(Duration::from_secs(11));

    labd.kill().expect("it is killed");
    assert_eq!(boot(&neighbour, 4, 8), 4, "machines that labd never heard of boot while it is away");
    drop(bastion);
    let _bastion = Bastion::start(folder.path(), &kubeconfig);
    eventually("the bastion serves after a restart without labd", serves);
    assert_eq!(boot(&neighbour, 8, 12), 4, "and so they do after a restart");

    let labd = Labd::start_at(&folder.path().join("labd"), address).expect("it starts again");
    eventually("labd hears of the machines that booted meanwhile", || servers() == 12);
    labd.stop().expect("it ends well");
}
