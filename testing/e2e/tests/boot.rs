//! A machine's first boot, seen through labd: real firmware in QEMU on a tap interface, labd with its boot server, labctl. Needs root, QEMU,
//! OVMF and Debian's iPXE, and is run by name: `cargo test -p lab-e2e --test boot -- --ignored --nocapture`.

use lab_e2e::{labctl::Labctl, labd::Labd, tap::Tap};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const SERVER: &str = "52-54-00-00-07-01";

/// A machine, switched off when dropped.
struct Machine(Child);

impl Machine {
    fn uefi(tap: &Tap) -> Self {
        let mut command = Command::new("qemu-system-x86_64");
        command
            .args(["-accel", "tcg", "-machine", "q35", "-m", "512", "-display", "none", "-serial", "none"]);
        command.args(["-monitor", "none", "-boot", "n", "-uuid", "11223344-5566-7788-99aa-bbccddee0701"]);
        command.args(["-drive", "if=pflash,format=raw,readonly=on,file=/usr/share/OVMF/OVMF_CODE_4M.fd"]);
        command.args(["-drive", "if=pflash,format=raw,snapshot=on,file=/usr/share/OVMF/OVMF_VARS_4M.fd"]);
        command.args(["-netdev", &format!("tap,id=n,ifname={},script=no,downscript=no", tap.name())]);
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

#[test]
#[ignore = "needs root and QEMU"]
fn a_blank_machine_becomes_a_server() {
    let tap = Tap::new("labtap7", "10.97.0.1/24");
    let folder = tempfile::tempdir().expect("there is room");
    let labd = Labd::start(folder.path()).expect("it starts");
    let labctl = Labctl { kubeconfig: labd.kubeconfig() };
    let network = "apiVersion: metal.lab/v1alpha1\nkind: Network\nmetadata: {name: rack}\nspec:\n  cidr: 10.97.0.0/24\n  \
                   dhcp: {mode: full, ranges: [{start: 10.97.0.50, end: 10.97.0.60}]}\n";
    labctl.run_with(&["apply", "-f", "-"], network);
    let patience = Duration::from_secs(240);
    let conditions = "jsonpath={.items[0].status.conditions[0].reason}";
    labctl.until("the bastion serves", patience, &["get", "bastions", "-o", conditions], |reason| {
        reason.trim() == "InterfacesOpen"
    });
    let _machine = Machine::uefi(&tap);
    let step = "jsonpath={.status.phase} {.status.boot.step} {.status.addresses[0]}";
    labctl.until(
        "the machine is told what to start",
        patience,
        &["get", "srv", SERVER, "-o", step],
        |step| step.starts_with("Discovering told 10.97.0."),
    );
    let log = labctl.run(&["logs", SERVER]);
    for line in [
        "boot: PXE firmware sent DHCP discover",
        "boot: fetched snponly.efi by TFTP",
        "boot: was given discovery",
    ] {
        assert!(log.contains(line), "{line} is not in\n{log}");
    }
    labd.stop().expect("it ends well");
}
