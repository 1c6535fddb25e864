//! The disk of the approved plan, in installers' scripts: found, looked at, divided.
//!
//! What is done is what [`crate::steps`] says, up to the point where the installer itself makes file systems.

use super::shell::{Statement, Word, output, variable};
use super::{Given, Unanswerable};
use crate::answer::shell::words;
use crate::hash;
use crate::steps::{Action, TableEntry, Target, steps};
use lab_kinds::metal::server::hardware::{PartitionTable, Signature};
use lab_kinds::metal::server::{DiskPlan, Fate, FileSystemFate, Plan, VolumeGroupPlan, VolumePlan};

/// The disk that is worked on, and the group that it gets.
pub fn chosen(plan: &Plan) -> Result<(&DiskPlan, &VolumeGroupPlan), Unanswerable> {
    let no = |why: &str| Unanswerable::NoPlan { why: why.into() };
    if let Some(why) = &plan.refused {
        return Err(no(why));
    }
    if plan.hash.is_none() {
        return Err(no("it has no hash"));
    }
    let disk = plan.disks.iter().find(|disk| hash::is_worked_on(disk));
    let disk = disk.ok_or_else(|| no("it takes no disk"))?;
    Ok((disk, plan.volume_group.as_ref().ok_or_else(|| no("it has no volume group"))?))
}

/// Whether a disk is installed again, keeping its table and its group.
pub fn is_again(group: &VolumeGroupPlan) -> bool {
    matches!(group.fate, Fate::Keep | Fate::Again)
}

/// The disk as a device.
pub fn device() -> Word {
    variable("lab_dev").and("/").and(variable("lab_disk"))
}

/// A partition of the disk as a device.
pub fn partition(number: i32) -> Word {
    output("lab_partition", number)
}

/// Finds the disk, and looks whether it is as it was when the plan was made.
pub fn find(given: &Given) -> Result<Vec<Statement>, Unanswerable> {
    let (disk, group) = chosen(given.plan)?;
    let size = disk.size_bytes.to_string();
    let find = words!["lab_find_disk", disk.serial.clone(), disk.wwn.clone(), size];
    Ok(vec![
        Statement::Stage("disk", vec![Statement::Call(find)]),
        Statement::Stage("check", check(given, disk, group)),
    ])
}

fn check(given: &Given, disk: &DiskPlan, group: &VolumeGroupPlan) -> Vec<Statement> {
    let mut contents = words!["lab_check_contents", expected(disk)];
    if !is_again(group) {
        // A table that only this plan makes: it was begun before, and broke off.
        let hash = given.plan.hash.clone().unwrap_or_default();
        contents.push(format!("gpt:{}:*", hash::table_uuid(&hash)).into());
        if given.begun {
            contents.push("*".into());
        }
        return vec![Statement::Call(contents)];
    }
    let mut statements = vec![Statement::Call(contents)];
    let uuid = group.uuid.clone().unwrap_or_default();
    statements.push(Statement::Try(lvm("vgchange", words!["--activate", "y", group.name.clone()])));
    statements.push(Statement::Call(words!["lab_check_group", group.name.clone(), uuid]));
    for volume in group.volumes.iter().filter(|v| v.fate == Fate::Keep) {
        let words = words![
            "lab_check_volume",
            format!("{}/{}", group.name, volume.name),
            volume.size_bytes.to_string(),
            volume.file_system_uuid.clone(),
        ];
        statements.push(Statement::Call(words));
    }
    statements
}

/// What stood on the disk when the plan was made, as `lab_contents` says it. What is made anew may be different by now: its loss is
/// approved.
fn expected(disk: &DiskPlan) -> String {
    let table = match disk.contents.partition_table {
        None => "",
        Some(PartitionTable::Gpt) => "gpt",
        Some(PartitionTable::Mbr) => "dos",
    };
    let said = |signature: &Signature| format!("{}:{}", signature.kind, signature.uuid);
    let mut text = format!("{table}:{}:{}", disk.contents.uuid, said(&disk.contents.signature));
    let mut found: Vec<_> = disk.contents.partitions.iter().collect();
    found.sort_by_key(|p| p.number);
    for partition in found {
        let planned = disk.partitions.iter().find(|p| p.number == partition.number);
        let lost = disk.fate == Fate::Again
            && planned.is_some_and(|p| p.file_system_fate == Some(FileSystemFate::Recreate));
        let what = if lost { "*".into() } else { said(&partition.signature) };
        text.push_str(&format!(";{}:{what}", partition.number));
    }
    text.to_lowercase()
}

/// Divides the disk: wipes it, writes its table, makes the group and its volumes; or makes anew those volumes of a group that stays
/// whose contents are lost.
pub fn prepare(given: &Given) -> Result<Vec<Statement>, Unanswerable> {
    let (_, group) = chosen(given.plan)?;
    let (mut partition, mut volumes) = (Vec::new(), Vec::new());
    let gone = group.volumes.iter().filter(|v| v.fate == Fate::Wipe);
    // All that go, go first, so that those that become larger find room.
    volumes.extend(gone.filter(|_| is_again(group)).map(|volume| remove(group, volume)));
    for step in steps(given.plan) {
        match step.action {
            Action::WipeSignatures { .. } => partition.push(Statement::Try(words!["lab_wipe_disk"])),
            Action::PartitionTable { uuid, partitions, .. } => partition.extend(table(&uuid, &partitions)),
            Action::PhysicalVolume { on: Target::Partition(_, number), uuid } => {
                let words = words!["--yes", "--force", "--norestorefile", "--uuid", uuid];
                volumes
                    .push(Statement::Try([lvm("pvcreate", words), vec![self::partition(number)]].concat()));
            }
            Action::VolumeGroup { name, on: Target::Partition(_, number), extent_bytes } => {
                let words = words!["--yes", "--physicalextentsize", format!("{extent_bytes}b"), name];
                volumes
                    .push(Statement::Try([lvm("vgcreate", words), vec![self::partition(number)]].concat()));
            }
            Action::LogicalVolume { volume: Target::Volume(group, name), size_bytes } => {
                let size = format!("{size_bytes}b");
                let words = words!["--yes", "--wipesignatures", "y", "--size", size, "--name", name, group];
                volumes.push(Statement::Try(lvm("lvcreate", words)));
            }
            _ => {}
        }
    }
    Ok(vec![Statement::Stage("partition", partition), Statement::Stage("volumes", volumes)])
}

/// An LVM command that sees every disk: Fedora's keeps a list of those it may see, which a new one is not on.
fn lvm(command: &str, rest: Vec<Word>) -> Vec<Word> {
    [words![command, "--devicesfile", ""], rest].concat()
}

fn remove(group: &VolumeGroupPlan, volume: &VolumePlan) -> Statement {
    let name = format!("{}/{}", group.name, volume.name);
    let gone = Statement::Try(lvm("lvremove", words!["--yes", "--force", name.clone()]));
    Statement::If(lvm("lvs", words!["--noheadings", name]), vec![gone])
}

fn table(uuid: &str, partitions: &[TableEntry]) -> Vec<Statement> {
    let mut lines = words!["label: gpt", format!("label-id: {uuid}")];
    for p in partitions {
        let (start, size) = (p.start_bytes / 1024, p.size_bytes / 1024);
        lines.push(
            format!(
                "{} : start={start}KiB, size={size}KiB, type={}, uuid={}, name=\"{}\"",
                p.number, p.kind, p.uuid, p.name
            )
            .into(),
        );
    }
    let path = variable("lab_dir").and("/table");
    let sfdisk = words!["sfdisk", "--wipe", "always", "--wipe-partitions", "always", device()];
    let mut statements =
        vec![Statement::Write { path: path.clone(), mode: 0o600, lines }, Statement::TryFrom(sfdisk, path)];
    statements
        .extend(partitions.iter().map(|p| Statement::Try(words!["lab_await", self::partition(p.number)])));
    statements
}

/// Whether the installer is to know of it: of what is preserved it is not.
pub fn is_seen(fate: Option<FileSystemFate>) -> bool {
    matches!(fate, Some(FileSystemFate::Create | FileSystemFate::Recreate | FileSystemFate::Reuse))
}
