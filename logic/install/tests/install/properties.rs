//! What holds for every machine there could be.

use crate::machine::*;
use lab_install::hash::is_worked_on;
use lab_install::observed::DiskId;
use lab_install::standing::Standing;
use lab_install::steps::{Action, Target, steps};
use lab_kinds::metal::disk_layout::OnReprovision;
use lab_kinds::metal::server::hardware::FirmwareType;
use lab_kinds::metal::server::{Disk, DiskSelector, Fate, FileSystemFate, Plan, Transport};
use proptest::prelude::*;

fn transports() -> impl Strategy<Value = Transport> {
    use Transport::*;
    prop::sample::select(vec![Nvme, Sata, Sas, Virtio, Usb, Mmc, Network, Other])
}

prop_compose! {
    fn disks()(
        disks in prop::collection::vec(
            (transports(), 1i64..1500, 0i64..MIB, prop::bool::weighted(0.1), prop::bool::weighted(0.1), any::<(bool, bool)>(), 0..5),
            1..5,
        ),
    ) -> Vec<Disk> {
        let make = |(at, (transport, gib, more, removable, read_only, (used, rotational), identity))| {
            let mut made = disk(&format!("sd{}", char::from(b'a' + at)), transport, gib * GIB + more);
            (made.removable, made.read_only, made.rotational) = (removable, read_only, rotational);
            match identity {
                0 => made.serial = "S".into(),
                1 => (made.serial, made.wwn) = (String::new(), format!("0x{at}")),
                2 => made.serial = String::new(),
                _ => {}
            }
            if used { foreign(made) } else { made }
        };
        (0u8..).zip(disks).map(make).collect()
    }
}

prop_compose! {
    pub fn machines()(
        disks in disks(),
        role in prop::sample::select(vec![Vanilla, Worker, Infra, Labcontroller]),
        bios: bool,
        any_transport: bool,
        installed: bool,
        later in prop::sample::select(vec![Vanilla, Worker, Infra, Labcontroller]),
        odd in prop::option::of((0usize..8, 1i64..20)),
    ) -> Machine {
        use Transport::*;
        let mut machine = Machine::new(role, disks);
        if bios {
            machine.firmware = FirmwareType::Bios;
        }
        if any_transport {
            let transports = vec![Other, Mmc, Network, Usb, Sata, Nvme];
            machine = machine.select(DiskSelector { transports, ..DiskSelector::default() });
        }
        if installed && machine.try_plan().is_ok() {
            machine = machine.installed();
            machine.server.spec.role = Some(later);
            if let Some((at, extents)) = odd {
                let group = machine.group();
                let at = at % group.volumes.len();
                let volume = &mut group.volumes[at];
                volume.size_bytes = (volume.size_bytes - extents * 4 * MIB).max(4 * MIB);
            }
        }
        machine
    }
}

/// Sizes add up, nothing overlaps, and all lies on the disk.
fn fits(plan: &Plan) -> Result<(), TestCaseError> {
    for disk in plan.disks.iter().filter(|disk| is_worked_on(disk)) {
        let mut next = MIB;
        let mut partitions: Vec<_> = disk.partitions.iter().collect();
        partitions.sort_by_key(|p| p.start_bytes);
        for partition in partitions {
            prop_assert!(partition.start_bytes >= next && partition.size_bytes > 0);
            next = partition.start_bytes + partition.size_bytes;
        }
        prop_assert!(next + MIB <= disk.size_bytes);
        let group = plan.volume_group.as_ref().expect("every plan has one");
        let space = disk.partitions.iter().find(|p| p.file_system == "LVM2_member");
        let space = space.expect("the group lies on the disk").size_bytes;
        let taken: i64 = group.volumes.iter().map(|v| v.size_bytes).sum();
        prop_assert!(taken + group.free_bytes + MIB <= space);
        prop_assert!(group.free_bytes >= 0 && group.volumes.iter().all(|v| v.size_bytes > 0));
    }
    Ok(())
}

/// No step opens for writing what the plan keeps.
fn writes_nothing_kept(plan: &Plan) -> Result<(), TestCaseError> {
    let steps = steps(plan);
    let written: Vec<_> = steps.iter().flat_map(|step| step.writes()).collect();
    for disk in &plan.disks {
        let id = DiskId::from(disk);
        let table = written.contains(&Target::Disk(id.clone()));
        prop_assert_eq!(table, matches!(disk.fate, Fate::Create | Fate::Wipe));
        for partition in &disk.partitions {
            let opened = written.contains(&Target::Partition(id.clone(), partition.number));
            let kept = match partition.file_system_fate {
                Some(fate) => fate == FileSystemFate::Preserve,
                None => partition.fate == Fate::Keep,
            };
            prop_assert!(!(opened && kept), "{:?}", partition);
        }
        if !is_worked_on(disk) {
            let on_it = |target: &Target| match target {
                Target::Disk(other) | Target::BootSectors(other) | Target::Partition(other, _) => {
                    *other == id
                }
                _ => false,
            };
            prop_assert!(!written.iter().any(on_it));
        }
    }
    let group = plan.volume_group.as_ref().expect("every plan has one");
    for volume in &group.volumes {
        let opened = written.contains(&Target::Volume(group.name.clone(), volume.name.clone()));
        prop_assert_eq!(opened, volume.file_system_fate != Some(FileSystemFate::Preserve));
    }
    let first = steps.iter().position(|step| step.point_of_no_return);
    prop_assert_eq!(first, steps.iter().position(|step| !step.writes().is_empty()));
    prop_assert_eq!(steps.iter().filter(|step| step.point_of_no_return).count(), 1);
    let mut ids: Vec<_> = steps.iter().map(|step| step.id.as_str()).collect();
    ids.sort_unstable();
    ids.dedup();
    prop_assert_eq!(ids.len(), steps.len());
    prop_assert!(matches!(steps[0].action, Action::Check));
    Ok(())
}

/// What a new plan keeps is all that can be kept.
fn keeps_all_it_can(plan: &Plan, machine: &Machine) -> Result<(), TestCaseError> {
    let group = plan.volume_group.as_ref().expect("every plan has one");
    for found in machine.groups.iter().filter(|g| g.name == group.name).flat_map(|g| &g.volumes) {
        let wanted = machine.layout.spec.volumes.iter().find(|v| v.name == found.name);
        let role = machine.server.spec.role.expect("every machine here has one");
        let recreated = wanted.is_some_and(|v| v.is_for(role) && v.on_reprovision == OnReprovision::Recreate);
        let planned = group.volumes.iter().find(|v| v.name == found.name).expect("it is in the plan");
        prop_assert_eq!(planned.file_system_fate == Some(FileSystemFate::Preserve), !recreated);
        if !recreated {
            prop_assert_eq!(planned.size_bytes, found.size_bytes);
            prop_assert_eq!(&planned.file_system_uuid, &found.signature.uuid);
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn plans(machine in machines(), seed: u64) {
        let Ok(plan) = machine.try_plan() else { return Ok(()) };
        let taken: Vec<_> = plan.disks.iter().filter(|disk| is_worked_on(disk)).collect();
        prop_assert_eq!(taken.len(), 1);
        let found = machine.disks.iter().find(|disk| disk.name == taken[0].name).expect("it is there");
        prop_assert!(!found.removable && !found.read_only && found.transport != Some(Transport::Usb));
        fits(&plan)?;
        writes_nothing_kept(&plan)?;
        prop_assert_eq!(machine.standing(&plan), Ok(Standing::Untouched));

        // The order of observation never matters.
        let mut turned = machine.clone();
        let by = usize::try_from(seed % 7).expect("it is small") % turned.disks.len();
        turned.disks.rotate_left(by);
        prop_assert_eq!(&turned.plan(), &plan);

        // What comes out is the same plan's, and installing again keeps all that can be kept.
        let after = machine.clone().installed();
        prop_assert_eq!(after.standing(&plan), Ok(Standing::Begun));
        let again = after.plan();
        prop_assert_eq!(again.volume_group.as_ref().map(|g| g.fate), Some(Fate::Keep));
        keeps_all_it_can(&again, &after)?;
        fits(&again)?;
        writes_nothing_kept(&again)?;
        prop_assert_ne!(&again.hash, &plan.hash);
    }
}
