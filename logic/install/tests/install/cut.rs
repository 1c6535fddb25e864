//! The power is cut after every step, and every step is done twice.

use crate::machine::*;
use crate::properties::machines;
use lab_install::approval::approved;
use lab_install::observed::DiskId;
use lab_install::standing::Standing;
use lab_install::steps::{Action, Step, Target, steps};
use lab_kinds::metal::server::hardware::{Contents, LogicalVolume, Partition, PartitionTable, Signature};
use lab_kinds::metal::server::{Disk, VolumeGroup};
use proptest::prelude::*;

/// A machine whose disks steps are carried out on.
impl Machine {
    fn disk_mut(&mut self, id: &DiskId) -> &mut Disk {
        self.disks.iter_mut().find(|disk| DiskId::from(&**disk) == *id).expect("it is there")
    }

    /// What stands in a target.
    fn signature(&mut self, on: &Target) -> &mut Signature {
        match on {
            Target::Partition(id, number) => {
                let partitions = &mut self.disk_mut(id).contents.partitions;
                let found = partitions.iter_mut().find(|p| p.number == *number);
                &mut found.expect("it is in the table").signature
            }
            Target::Volume(_, volume) => &mut self.volume(volume).signature,
            other => panic!("nothing can stand in {other:?}"),
        }
    }

    /// Does what a step does to disks; `stale` shows through new volumes.
    fn apply(&mut self, step: &Step, stale: &Signature) {
        match &step.action {
            Action::WipeSignatures { disk } => {
                let disk = self.disk_mut(disk);
                disk.contents = Contents::default();
                let name = disk.name.clone();
                self.groups.retain(|g| !g.devices.iter().any(|d| d.starts_with(&name)));
            }
            Action::PartitionTable { disk, uuid, partitions } => {
                let contents = &mut self.disk_mut(disk).contents;
                let entries = partitions.iter().map(|entry| Partition {
                    number: entry.number,
                    name: entry.name.clone(),
                    kind: entry.kind.clone(),
                    uuid: entry.uuid.clone(),
                    start_bytes: entry.start_bytes,
                    size_bytes: entry.size_bytes,
                    ..Partition::default()
                });
                contents.partitions = entries.collect();
                (contents.partition_table, contents.uuid) = (Some(PartitionTable::Gpt), uuid.clone());
            }
            Action::PhysicalVolume { on, uuid } => {
                *self.signature(on) =
                    Signature { kind: "LVM2_member".into(), uuid: uuid.clone(), ..Signature::default() };
            }
            Action::VolumeGroup { name, on, extent_bytes } => {
                self.signature(on).member_of.clone_from(name);
                let Target::Partition(id, number) = on else { panic!("{on:?} is no partition") };
                let disk = self.disk_mut(id).name.clone();
                let space = self.partition_size(id, *number) - MIB;
                self.groups.push(VolumeGroup {
                    uuid: "made by LVM".into(),
                    name: name.clone(),
                    size_bytes: space / extent_bytes * extent_bytes,
                    devices: vec![device(&disk, *number)],
                    ..VolumeGroup::default()
                });
            }
            Action::LogicalVolume { volume: Target::Volume(_, name), size_bytes } => {
                let group = self.group();
                match group.volumes.iter_mut().find(|v| v.name == *name) {
                    Some(volume) => volume.size_bytes = *size_bytes,
                    None => group.volumes.push(LogicalVolume {
                        name: name.clone(),
                        size_bytes: *size_bytes,
                        signature: stale.clone(),
                    }),
                }
                let taken: i64 = group.volumes.iter().map(|v| v.size_bytes).sum();
                assert!(taken <= group.size_bytes, "no room for {name} in {group:?}");
            }
            Action::FileSystem { on, kind, uuid, label } => {
                *self.signature(on) = Signature {
                    kind: kind.clone(),
                    uuid: uuid.clone(),
                    label: label.clone(),
                    member_of: String::new(),
                };
            }
            _ => {}
        }
    }

    fn partition_size(&mut self, id: &DiskId, number: i32) -> i64 {
        let partitions = &self.disk_mut(id).contents.partitions;
        partitions.iter().find(|p| p.number == number).expect("it is in the table").size_bytes
    }
}

proptest! {
    #[test]
    fn every_step_can_be_the_last(mut machine in machines(), show_stale: bool) {
        let Ok(plan) = machine.try_plan() else { return Ok(()) };
        machine.install().approve.clone_from(&plan.hash);
        let expected = machine.clone().installed();
        let old = machine.groups.iter().flat_map(|g| &g.volumes).map(|v| v.signature.clone()).next();
        let stale = old.filter(|_| show_stale).unwrap_or_default();
        let mut written = false;
        for step in steps(&plan) {
            // Making a group twice would make two; its `done` tells.
            if !matches!(step.action, Action::VolumeGroup { .. }) {
                machine.apply(&step, &stale);
            }
            machine.apply(&step, &stale);
            written |= step.point_of_no_return;
            let standing = machine.standing(&plan);
            let fits = match standing {
                Ok(Standing::Untouched) => !matches!(step.action, Action::FileSystem { .. }),
                Ok(Standing::Begun) => written,
                Err(_) => false,
            };
            prop_assert!(fits, "after {}: {:?}", step.id, standing);
            prop_assert_eq!(approved(&machine.server, &plan), Ok(()));
        }
        prop_assert_eq!(short(&machine.plan()), short(&expected.plan()));
    }
}
