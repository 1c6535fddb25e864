//! The plan's hash, and what its approval is worth.

use crate::machine::*;
use lab_install::approval::{Unapproved, approved, losses, what_approving_means};
use lab_kinds::metal::server::{Disk, Transport};

/// A machine with everything that its hash must not depend on.
fn machine() -> Machine {
    let mut usb = disk("sdb", Transport::Usb, 32 * GIB);
    usb.removable = true;
    let mut data = disk("sda", Transport::Sata, 900 * GIB);
    data.contents.signature = of("xfs");
    Machine::new(Worker, vec![nvme(500 * GIB), data, usb])
}

fn hash(machine: &Machine) -> String {
    machine.plan().hash.expect("it can be approved")
}

/// Plans that were approved yesterday must still be what they were: when this fails, the canonical form has changed, and
/// its version has to change with it.
#[test]
fn yesterdays_hash() {
    assert_eq!(hash(&machine()), "sha256:8e515d51b43aaae4fe77d32b0551de9a4f9d8b895d6aac7bab5492fe3e1b13b5");
    assert_eq!(
        hash(&machine().installed()),
        "sha256:86e73caf49e4650fff620ac7e9b6a720d22ae8c17f8086107cc7744ded93b62e"
    );
}

#[test]
fn what_does_not_matter() {
    let check = |change: fn(&mut Machine)| {
        for before in [machine(), machine().installed()] {
            let mut after = before.clone();
            change(&mut after);
            assert_eq!(hash(&before), hash(&after));
        }
    };
    check(|m| m.disks.reverse());
    check(|m| {
        for disk in &mut m.disks {
            disk.name = match disk.name.as_str() {
                "nvme0n1" => "nvme3n1".into(),
                "sda" => "sdz".into(),
                other => other.into(),
            };
        }
        let devices = m.groups.iter_mut().flat_map(|g| &mut g.devices);
        devices.for_each(|d| *d = d.replace("nvme0n1", "nvme3n1"));
    });
    check(|m| m.disks.retain(|d| d.transport != Some(Transport::Usb)));
    check(|m| m.server.metadata.generation = Some(7));
    check(|m| m.install().approve = Some("sha256:0".into()));
    check(|m| m.groups.iter_mut().for_each(|g| g.volumes.reverse()));
}

#[test]
fn what_matters() {
    let check = |change: fn(&mut Machine)| {
        let before = machine().installed();
        let mut after = before.clone();
        change(&mut after);
        assert_ne!(hash(&before), hash(&after));
    };
    check(|m| m.system.spec.artefacts[0].checksum = format!("sha256:{}", "0".repeat(64)));
    check(|m| m.disks[0].serial = "another".into());
    check(|m| m.disks[0].wwn = "another".into());
    check(|m| m.disks[1].size_bytes -= 1);
    check(|m| m.disks[1].contents.signature = of("ext4"));
    check(|m| m.partition(2).signature.label = "mine".into());
    check(|m| m.volume("home").signature.uuid = "another".into());
    check(|m| m.volume("home").size_bytes -= 4 * MIB);
    check(|m| m.layout.spec.volumes[1].mount_options = vec!["noatime".into()]);
    check(|m| m.layout.spec.tmpfs.clear());
    check(|m| m.install().operating_system = "debian-14".into());
    check(|m| m.install().reprovision = Some(1));
    check(|m| m.server.spec.role = Some(Vanilla));
    check(|m| m.server.status.uuid = None);
    check(|m| {
        m.disks.remove(1);
    });
    check(|m| m.disks.push(Disk { serial: "new".into(), ..m.disks[1].clone() }));
}

#[test]
fn approvals() {
    let mut machine = machine();
    let plan = machine.plan();
    let hash = plan.hash.clone().expect("it can be approved");
    let losses = "nothing that is on a disk now is lost by it".to_owned();
    assert_eq!(
        approved(&machine.server, &plan),
        Err(Unapproved::Waiting { hash: hash.clone(), losses: losses.clone() })
    );
    machine.install().approve = Some(hash.clone());
    assert_eq!(approved(&machine.server, &plan), Ok(()));
    assert!(machine.plan().approved);

    machine.disks[0] = foreign(machine.disks[0].clone());
    machine.disks[1] = foreign(machine.disks[1].clone());
    let now = machine.plan();
    assert!(!now.approved);
    let stale = approved(&machine.server, &now).expect_err("another plan was approved");
    let expected = format!(
        "spec.install.approve names {hash}, but the disks or the wishes have changed since and the plan is now {}: look at it \
         and approve it again; it destroys all of nvme0n1 (serial S-nvme0n1): gpt: vfat, unknown, ext4",
        now.hash.clone().expect("it can be approved")
    );
    assert_eq!(stale.to_string(), expected);

    let mut altered = plan.clone();
    altered.disks[0].partitions[0].start_bytes += 1;
    assert!(matches!(approved(&machine.server, &altered), Err(Unapproved::Altered { .. })));
    machine.server.status.uuid = Some("another".into());
    assert!(matches!(approved(&machine.server, &plan), Err(Unapproved::OtherMachine { .. })));
    let refused = lab_install::plan::refused(
        &machine.server,
        &machine.observed(),
        &lab_install::refusal::Refusal::NoDisks,
    );
    assert!(matches!(approved(&machine.server, &refused), Err(Unapproved::Refused { .. })));
}

#[test]
fn what_is_lost() {
    let plan = machine().installed().plan();
    let expected = ["volume labvg/swap", "volume labvg/root", "volume labvg/var", "volume labvg/log"];
    assert_eq!(losses(&plan), expected);
    assert_eq!(what_approving_means(&plan), format!("it destroys {}", expected.join(", ")));
}
