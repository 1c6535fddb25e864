//! A machine's first boot, seen through labd: real firmware in QEMU on a switch in user space, labd with its boot server, labctl. Needs QEMU,
//! OVMF and Debian's iPXE, and is run by name: `cargo test -p lab-e2e --test boot -- --ignored --nocapture`.
//!
//! Where `LAB_ARTEFACTS` names a folder with the discovery system (`cargo xtask artefacts discovery`), the machine's hardware is known in the end;
//! else it is told what to start.

use lab_e2e::{labctl::Labctl, labd::Labd};
use lab_rack::{
    faults::Faults,
    place,
    qemu::{Accelerator, Firmware, Hardware, Machine},
    switch::Switch,
};
use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    time::Duration,
};

const SERVER: &str = "52-54-00-00-07-01";
const TAP: &str = "rack";
const PATIENCE: Duration = Duration::from_secs(400);

#[test]
#[ignore = "needs QEMU"]
fn a_blank_machine_becomes_a_server() {
    if !place::inside("a_blank_machine_becomes_a_server") {
        return;
    }
    let folder = tempfile::tempdir().expect("there is room");
    // The switch's own work.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.expect("a runtime starts");
    let inside = runtime.enter();
    let switch = Switch::recording(folder.path(), TAP, Faults::NONE).expect("the switch opens");
    drop(inside);
    place::ip(&["address", "add", "10.97.0.1/24", "dev", TAP]).expect("the address is given");
    let artefacts = std::env::var_os("LAB_ARTEFACTS").map(PathBuf::from);
    if let Some(artefacts) = &artefacts {
        serve(artefacts, &folder.path().join("data/boot/files"));
    }
    let labd = Labd::start(folder.path()).expect("it starts");
    let labctl = Labctl { kubeconfig: labd.kubeconfig() };
    let network = "apiVersion: metal.lab/v1alpha1\nkind: Network\nmetadata: {name: rack}\nspec:\n  cidr: 10.97.0.0/24\n  \
                   dhcp: {mode: full, ranges: [{start: 10.97.0.50, end: 10.97.0.60}]}\n";
    labctl.run_with(&["apply", "-f", "-"], network);
    labctl.run(&["wait", "bastions", "--all", "--for", "condition=Serving", "--timeout", "60s"]);
    let hardware = Hardware {
        firmware: Firmware::Uefi,
        mac: "52:54:00:00:07:01".parse().expect("it is a MAC address"),
        uuid: "11223344-5566-7788-99aa-bbccddee0701".into(),
        memory: 768,
        processors: (1, Accelerator::found()),
        disks: Vec::new(),
    };
    let machine = Machine::power_on(&hardware, &switch, folder.path()).expect("QEMU is installed");
    let goal = if artefacts.is_some() { "Discovered heard 10.97.0." } else { "Discovering told 10.97.0." };
    let step = "jsonpath={.status.phase} {.status.boot.step} {.status.addresses[0]}";
    let came = std::panic::catch_unwind(|| {
        labctl.until(goal, PATIENCE, &["get", "srv", SERVER, "-o", step], |step| step.starts_with(goal))
    });
    let (_, log) = labctl.try_run(&["logs", SERVER], "");
    println!("{log}");
    assert!(came.is_ok(), "{}", machine.console());
    for line in [
        "boot: PXE firmware sent DHCP discover",
        "boot: fetched snponly.efi by TFTP",
        "boot: was given discovery",
    ] {
        assert!(log.contains(line), "{line} is not in\n{log}");
    }
    labd.stop().expect("it ends well");
}

/// Has the boot server find the discovery system.
fn serve(artefacts: &Path, files: &Path) {
    fs::create_dir_all(files).expect("there is room");
    let systems = fs::canonicalize(artefacts.join("systems")).expect("the discovery system was made");
    symlink(systems, files.join("systems")).expect("there is room");
}
