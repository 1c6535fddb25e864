//! A machine's first boot, seen through labd: real firmware in QEMU on a tap interface, labd with its boot server, labctl. Needs root, QEMU,
//! OVMF and Debian's iPXE, and is run by name: `cargo test -p lab-e2e --test boot -- --ignored --nocapture`.

use lab_e2e::{labd::Labd, program};
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const TAP: &str = "labtap7";
const SERVER: &str = "52-54-00-00-07-01";

/// An interface of this test, gone when it ends.
struct Tap;

impl Tap {
    fn new() -> Self {
        // One that a run left behind which was killed.
        drop(Self);
        for arguments in [
            &["tuntap", "add", TAP, "mode", "tap"][..],
            &["address", "add", "10.97.0.1/24", "dev", TAP],
            &["link", "set", TAP, "up"],
        ] {
            let status = Command::new("ip").args(arguments).status().expect("ip is there");
            assert!(status.success(), "ip {arguments:?}");
        }
        Self
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["tuntap", "del", TAP, "mode", "tap"]).stderr(Stdio::null()).status();
    }
}

/// A machine, switched off when dropped.
struct Machine(Child);

impl Machine {
    fn uefi() -> Self {
        let mut command = Command::new("qemu-system-x86_64");
        command
            .args(["-accel", "tcg", "-machine", "q35", "-m", "512", "-display", "none", "-serial", "none"]);
        command.args(["-monitor", "none", "-boot", "n", "-uuid", "11223344-5566-7788-99aa-bbccddee0701"]);
        command.args(["-drive", "if=pflash,format=raw,readonly=on,file=/usr/share/OVMF/OVMF_CODE_4M.fd"]);
        command.args(["-drive", "if=pflash,format=raw,snapshot=on,file=/usr/share/OVMF/OVMF_VARS_4M.fd"]);
        command.args(["-netdev", &format!("tap,id=n,ifname={TAP},script=no,downscript=no")]);
        command.args(["-device", "virtio-net-pci,netdev=n,mac=52:54:00:00:07:01,romfile="]);
        command.args(["-device", "virtio-rng-pci"]).stdin(Stdio::null());
        Self(command.spawn().expect("QEMU is there"))
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What labctl says to a command.
fn labctl(kubeconfig: &Path, arguments: &[&str], input: &str) -> String {
    let mut child = Command::new(program("labctl").expect("it is built"))
        .args(arguments)
        .env("KUBECONFIG", kubeconfig)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut stdin = child.stdin.take().expect("it is piped");
    stdin.write_all(input.as_bytes()).expect("it reads");
    drop(stdin);
    let output = child.wait_with_output().expect("it ends");
    String::from_utf8(output.stdout).expect("it is text")
}

#[test]
#[ignore = "needs root and QEMU"]
fn a_blank_machine_becomes_a_server() {
    let _tap = Tap::new();
    let folder = tempfile::tempdir().expect("there is room");
    let labd = Labd::start(folder.path()).expect("it starts");
    let kubeconfig = labd.kubeconfig();
    let network = "apiVersion: metal.lab/v1alpha1\nkind: Network\nmetadata: {name: rack}\nspec:\n  cidr: 10.97.0.0/24\n  \
                   dhcp: {mode: full, ranges: [{start: 10.97.0.50, end: 10.97.0.60}]}\n";
    labctl(&kubeconfig, &["apply", "-f", "-"], network);
    let until = Instant::now() + Duration::from_secs(240);
    let await_that = |what: &str, arguments: &[&str], is: &dyn Fn(&str) -> bool| loop {
        let found = labctl(&kubeconfig, arguments, "");
        if is(&found) {
            println!("{what}: {}", found.trim());
            return found;
        }
        assert!(Instant::now() < until, "{what} never came: {found}\n{}", labd.log());
        std::thread::sleep(Duration::from_millis(500));
    };
    let conditions = "jsonpath={.items[0].status.conditions[0].reason}";
    await_that("the bastion serves", &["get", "bastions", "-o", conditions], &|reason| {
        reason == "InterfacesOpen"
    });
    let _machine = Machine::uefi();
    let step = "jsonpath={.status.phase} {.status.boot.step} {.status.addresses[0]}";
    await_that("the machine is told what to start", &["get", "srv", SERVER, "-o", step], &|step| {
        step.starts_with("Discovering told 10.97.0.")
    });
    let log = labctl(&kubeconfig, &["logs", SERVER], "");
    for line in [
        "boot: PXE firmware sent DHCP discover",
        "boot: fetched snponly.efi by TFTP",
        "boot: was given discovery",
    ] {
        assert!(log.contains(line), "{line} is not in\n{log}");
    }
    labd.stop().expect("it ends well");
}
