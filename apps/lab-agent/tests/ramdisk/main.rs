//! The discovery ramdisk in virtual machines: what it reports, and the whole way from a blank disk to a Debian that answers
//! over SSH, and to a second installation that keeps what is preserved.
//!
//! Run by name, as it takes many minutes under software emulation, after the two artefacts were made:
//!
//! ```text
//! cargo xtask artefacts discovery && cargo xtask artefacts debian-13
//! cargo test -p lab-agent --test ramdisk -- --ignored --nocapture
//! ```

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bastion;
mod machine;

use bastion::Bastion;
use lab_kinds::metal::server::hardware::FirmwareType;
use machine::Machine;

#[test]
#[ignore = "boots a virtual machine"]
fn a_blank_machine_reports_its_hardware() {
    let bastion = Bastion::start(false);
    let machine = Machine::new(FirmwareType::Bios);
    machine.boot_ramdisk(&bastion.kernel_arguments("discovery"), || bastion.has_reported());
    let found = bastion.reported();
    assert_eq!(found.uuid.as_deref(), Some(machine::UUID));
    assert_eq!(found.hardware.firmware.kind, Some(FirmwareType::Bios));
    assert_eq!((found.hardware.cpu.threads, found.hardware.dimms.len()), (2, 1));
    let disks: Vec<_> =
        found.disks.iter().map(|disk| (disk.serial.as_str(), disk.contents == Default::default())).collect();
    assert_eq!(disks, [("S1", true)]);
    assert_eq!((found.nics.len(), found.nics[0].mac.to_string().as_str()), (1, machine::MAC));
    assert_eq!((found.nics[0].link, found.nics[0].boot), (Some(true), true));
    assert_eq!(found.problems, [""; 0]);
}

/// From blank to SSH; then again, and what is preserved is still there.
fn whole_way(firmware: FirmwareType) {
    let bastion = Bastion::start(true);
    let machine = Machine::new(firmware);
    machine.boot_ramdisk(&bastion.kernel_arguments("install"), || bastion.has_finished());
    machine.boot_disk(|ssh| {
        assert_eq!(ssh.run("hostname").trim(), "db-1");
        let mounts = ssh.run("findmnt --real --noheadings --list --output TARGET,FSTYPE");
        for line in ["/ xfs", "/boot ext4", "/home xfs", "/srv xfs", "/var xfs", "/var/log xfs"] {
            let line: Vec<_> = line.split(' ').collect();
            let found = mounts.lines().any(|found| found.split_whitespace().collect::<Vec<_>>() == line);
            assert!(found, "{line:?} in {mounts}");
        }
        assert_eq!(ssh.run("cat /proc/sys/kernel/sysrq").trim(), "1");
        assert_eq!(ssh.run("sudo id -u").trim(), "0");
        ssh.run("echo kept | sudo tee /home/mine /srv/mine /mine && sudo sync");
    });
    bastion.install_again();
    machine.boot_ramdisk(&bastion.kernel_arguments("install"), || bastion.has_finished());
    machine.boot_disk(|ssh| {
        assert_eq!(ssh.run("cat /home/mine /srv/mine").trim(), "kept\nkept");
        assert_eq!(
            ssh.run("ls /mine 2>&1 || true").trim(),
            "ls: cannot access '/mine': No such file or directory"
        );
    });
}

#[test]
#[ignore = "boots virtual machines for many minutes"]
fn the_whole_way_by_bios() {
    whole_way(FirmwareType::Bios);
}

#[test]
#[ignore = "boots virtual machines for many minutes"]
fn the_whole_way_by_uefi() {
    whole_way(FirmwareType::Uefi);
}
