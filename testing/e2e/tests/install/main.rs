//! From a blank disk to Debian 13 and back, all through the API: labd with its boot server, labctl, and virtual machines under software
//! emulation. Needs QEMU, OVMF and Debian's iPXE, takes half an hour, and is run by name after the artefacts were made:
//!
//! ```text
//! cargo xtask artefacts discovery && cargo xtask artefacts debian-13
//! cargo test -p lab-e2e --test install -- --ignored --nocapture --test-threads 1
//! ```
//!
//! `LAB_ARTEFACTS` names another folder than `target/artefacts`. Each stage's seconds since power-on are printed, and those that
//! the emulation had of a processor, which other work on this machine does not change.

mod lab;
mod machine;

use lab::{Lab, PATIENCE, Site, run};
use lab_rack::{place, qemu::Firmware};
use std::{thread::sleep, time::Duration};

/// From blank to SSH and a joined agent; then again, and what is preserved is still there; then a disk appears, and nothing is written;
/// then all is wiped.
fn whole_way(firmware: Firmware) {
    let mut lab = Lab::new(firmware, Site::OfLabd);
    let ssh = lab.install();
    assert_eq!(run(&ssh, "hostname").trim(), "db-1");
    let mounts = run(&ssh, "findmnt --real --noheadings --list --output TARGET,FSTYPE");
    for line in ["/ xfs", "/boot ext4", "/home xfs", "/srv xfs", "/var xfs", "/var/log xfs"] {
        let line: Vec<_> = line.split(' ').collect();
        let found = mounts.lines().any(|found| found.split_whitespace().collect::<Vec<_>>() == line);
        assert!(found, "{line:?} in {mounts}");
    }
    assert_eq!(run(&ssh, "cat /proc/sys/kernel/sysrq").trim(), "1");
    assert_eq!(
        run(&ssh, "[ -d /sys/firmware/efi ] && echo uefi || echo bios").trim(),
        match firmware {
            Firmware::Bios => "bios",
            _ => "uefi",
        }
    );
    lab.rescue(&ssh);
    run(&ssh, "echo kept | sudo tee /home/mine /srv/mine /mine && sudo sync");
    lab.reprovision(&ssh);
    assert_eq!(run(&ssh, "cat /home/mine /srv/mine").trim(), "kept\nkept");
    assert_eq!(
        run(&ssh, "ls /mine 2>&1 || true").trim(),
        "ls: cannot access '/mine': No such file or directory"
    );
    a_plan_for_other_disks_is_refused(&mut lab);
    lab.forget();
    lab.stop();
}

/// From power-on until the image is being unpacked; how many bytes of it are.
fn unpacking(lab: &mut Lab) -> i64 {
    lab.begin();
    unpacked_beyond(lab, 20 << 20)
}

fn unpacked_beyond(lab: &Lab, bytes: i64) -> i64 {
    let path = r#"{.status.stages[?(@.name=="unpackImage")].doneBytes}"#;
    let beyond = |found: &str| found.parse().is_ok_and(|found: i64| found > bytes);
    lab.until("the image is being unpacked", path, beyond).parse().expect("it is a number")
}

/// While the image is unpacked labd is killed, with the boot server in it, and comes back; then the machine's power is cut: neither is
/// the end of the installation.
fn what_breaks_off_goes_on(firmware: Firmware) {
    let mut lab = Lab::new(firmware, Site::OfLabd);
    let at = unpacking(&mut lab);
    lab.kill_labd();
    sleep(Duration::from_secs(10));
    lab.restart_labd();
    let at = unpacked_beyond(&lab, at);
    lab.machine.cut();
    println!("the power is cut with {at} bytes unpacked");
    lab.start();
    lab.until("it was started again", "{.status.boot.step}", |step| step != "heard");
    lab.phase("Installing");
    lab.phase("Installed");
    let ssh = lab.ssh();
    lab.answers(&ssh, "hostname", |name| name.trim() == "db-1");
    lab.joins();
    lab.stop();
}

/// The machine's bastion loses labd while the image is unpacked; labd comes back when the machine runs its own system.
fn installed_without_labd(firmware: Firmware) {
    let mut lab = Lab::new(firmware, Site::Apart);
    unpacking(&mut lab);
    let ssh = lab.ssh();
    lab.kill_labd();
    lab.answers(&ssh, "hostname", |name| name.trim() == "db-1");
    lab.restart_labd();
    lab.until("labd learns of it", "{.status.install.plan}", |plan| !plan.is_empty());
    lab.joins();
    let log = lab.labctl.run(&["logs", &lab.name]);
    assert!(log.contains("carried out plan sha256:"), "{log}");
    lab.stop();
}

/// Between approval and boot a disk is put in.
fn a_plan_for_other_disks_is_refused(lab: &mut Lab) {
    let name = lab.name.clone();
    let unpacked = |lab: &Lab| lab.labctl.run(&["logs", &name]).matches("unpackImage began").count();
    let before = unpacked(lab);
    lab.labctl.run(&["reprovision", &name, "--yes"]);
    lab.until("a third plan is made", "{.status.plan.reprovision}", |number| number == "2");
    let approved = lab.labctl.run(&["get", "srv", &name, "-o", "jsonpath={.status.plan.hash}"]);
    lab.labctl.run(&["approve", &name, "--yes"]);
    lab.machine.cut();
    lab.machine.add_disk();
    lab.start();
    let other = |hash: &str| !hash.is_empty() && hash != approved.trim();
    lab.until("a plan is made for the disks as they are", "{.status.plan.hash}", other);
    let said = lab.labctl.until("it says why not", PATIENCE, &["logs", &name], |log| {
        log.contains("check failed: nothing was written") || log.contains("waiting: a plan was made")
    });
    assert_eq!(unpacked(lab), before, "nothing was installed:\n{said}");
    let path = "jsonpath={.status.plan.approved}{.status.install.reprovision}";
    let found = lab.labctl.run(&["get", "srv", &name, "-o", path]);
    assert_eq!(found.trim().trim_start_matches("false"), "1", "nobody approved it");
}

#[test]
#[ignore = "needs QEMU, and many minutes"]
fn by_bios() {
    if place::inside("by_bios") {
        whole_way(Firmware::Bios);
    }
}

#[test]
#[ignore = "needs QEMU, and many minutes"]
fn by_uefi() {
    if place::inside("by_uefi") {
        whole_way(Firmware::Uefi);
    }
}

#[test]
#[ignore = "needs QEMU, and many minutes"]
fn with_interruptions() {
    if place::inside("with_interruptions") {
        what_breaks_off_goes_on(Firmware::Uefi);
    }
}

#[test]
#[ignore = "needs QEMU, and many minutes"]
fn without_labd() {
    if place::inside("without_labd") {
        installed_without_labd(Firmware::Bios);
    }
}
