//! A disk that is installed again: its table, its volume group and what is preserved stay.
//!
//! - A partition that the layout reuses is found by its name in the table, then by its type (EFI) or by being the only one
//!   with the layout's file system that has no other use. Its file system is made anew if it is another one.
//! - A preserved volume stays exactly as found, also in size. It may be ext4 where the layout has xfs and the other way
//!   round; anything else is refused, as the new system could not use it and its data may matter.
//! - A volume of the layout that is missing is made. One that the layout of this role does not have is kept and not mounted.
//! - What is made anew shares the room that what is kept leaves, by the same rules as on a new disk.

use super::{
    BIOS_BOOT, EFI_SYSTEM, PHYSICAL_VOLUME, Wanted, file_system_name, is_efi_system, is_preserved,
    new_volume, role_name, size_reason,
};
use crate::observed::called;
use crate::refusal::Refusal;
use crate::sizes::{EXTENT, Wish, bytes, least, said, share, signed};
use lab_kinds::metal::disk_layout::{FileSystem, LayoutPartition, OnReprovision, Volume};
use lab_kinds::metal::server::hardware::{
    FirmwareType, LogicalVolume, Partition, PartitionTable, Signature, VolumeGroup,
};
use lab_kinds::metal::server::{
    Disk, DiskPlan, Fate, FileSystemFate, PartitionPlan, VolumeGroupPlan, VolumePlan,
};

/// Divides a disk whose partition `number` holds `group`.
pub fn divide(
    wanted: &Wanted,
    disk: &Disk,
    group: &VolumeGroup,
    number: i32,
    planned: &mut DiskPlan,
) -> Result<VolumeGroupPlan, Refusal> {
    planned.fate = Fate::Again;
    planned.partitions = partitions(wanted, disk, group, number)?;
    volumes(wanted, group)
}

fn partitions(
    wanted: &Wanted,
    disk: &Disk,
    group: &VolumeGroup,
    number: i32,
) -> Result<Vec<PartitionPlan>, Refusal> {
    let mut found: Vec<&Partition> = disk.contents.partitions.iter().collect();
    found.sort_by_key(|p| p.number);
    let missing = |partition: &str, what: &str| Refusal::NoPartition {
        disk: called(&disk.name, &disk.into()),
        group: group.name.clone(),
        partition: partition.into(),
        what: what.into(),
    };
    if disk.contents.partition_table != Some(PartitionTable::Gpt) {
        return Err(missing("any", "its partition table is not GPT"));
    }
    let mut planned: Vec<PartitionPlan> = found.iter().map(|p| kept(p, number, wanted)).collect();
    if !found.iter().any(|p| p.number == number) {
        return Err(missing("the volume group", &format!("its table has no number {number}")));
    }
    let bios = found.iter().any(|p| same_type(&p.kind, BIOS_BOOT));
    if wanted.firmware == FirmwareType::Bios && !bios {
        return Err(missing("BIOS to start from", "a partition of GRUB's type"));
    }
    let mut free: Vec<&Partition> =
        found.iter().filter(|p| p.number != number && !same_type(&p.kind, BIOS_BOOT)).copied().collect();
    let mut matched = vec![None; wanted.partitions.len()];
    for by in [by_name, by_type, by_file_system] {
        for (at, partition) in wanted.partitions.iter().enumerate() {
            if matched[at].is_none()
                && let Some(found) = by(partition, &free)
            {
                matched[at] = Some(found);
                free.retain(|p| p.number != found.number);
            }
        }
    }
    for (partition, found) in wanted.partitions.iter().zip(matched) {
        let what = format!("named so, or with {}", file_system_name(partition.file_system));
        let found = found.ok_or_else(|| missing(&partition.name, &what))?;
        let reused = reuse(partition, found, disk)?;
        if let Some(place) = planned.iter_mut().find(|p| p.number == found.number) {
            *place = reused;
        }
    }
    Ok(planned)
}

fn by_name<'a>(partition: &LayoutPartition, free: &[&'a Partition]) -> Option<&'a Partition> {
    free.iter().find(|p| p.name == partition.name).copied()
}

fn by_type<'a>(partition: &LayoutPartition, free: &[&'a Partition]) -> Option<&'a Partition> {
    free.iter().find(|p| is_efi_system(partition) && same_type(&p.kind, EFI_SYSTEM)).copied()
}

fn by_file_system<'a>(partition: &LayoutPartition, free: &[&'a Partition]) -> Option<&'a Partition> {
    let kind = file_system_name(partition.file_system);
    let mut fitting = free.iter().filter(|p| p.signature.kind == kind && !is_efi_system(partition));
    let first = fitting.next()?;
    fitting.next().is_none().then_some(*first)
}

fn same_type(found: &str, guid: &str) -> bool {
    found.eq_ignore_ascii_case(guid)
}

/// A partition as it is.
fn kept(found: &Partition, physical_volume: i32, wanted: &Wanted) -> PartitionPlan {
    let why = if found.number == physical_volume {
        format!("It holds volume group {}.", wanted.layout.volume_group)
    } else if same_type(&found.kind, BIOS_BOOT) {
        "BIOS starts from it.".into()
    } else {
        "It is not in the layout.".into()
    };
    PartitionPlan {
        number: found.number,
        name: found.name.clone(),
        fate: Fate::Keep,
        kind: found.kind.to_lowercase(),
        uuid: found.uuid.clone(),
        start_bytes: found.start_bytes,
        size_bytes: found.size_bytes,
        file_system: found.signature.kind.clone(),
        file_system_uuid: found.signature.uuid.clone(),
        file_system_fate: is_file_system(&found.signature).then_some(FileSystemFate::Preserve),
        mount: None,
        why,
    }
}

fn is_file_system(signature: &Signature) -> bool {
    !signature.kind.is_empty() && signature.kind != PHYSICAL_VOLUME
}

/// A partition of the layout, in the one that was found for it.
fn reuse(partition: &LayoutPartition, found: &Partition, disk: &Disk) -> Result<PartitionPlan, Refusal> {
    let smallest = partition.min_size.unwrap_or(partition.size);
    if bytes(found.size_bytes) < smallest.bytes {
        return Err(Refusal::SmallPartition {
            disk: called(&disk.name, &disk.into()),
            partition: partition.name.clone(),
            found: bytes(found.size_bytes),
            least: smallest,
        });
    }
    let kind = file_system_name(partition.file_system);
    let same = found.signature.kind == kind && !found.signature.uuid.is_empty();
    let (fate, why) = match partition.on_reprovision {
        OnReprovision::Preserve if same => (FileSystemFate::Preserve, String::new()),
        OnReprovision::Preserve => {
            return Err(Refusal::Unusable {
                group: called(&disk.name, &disk.into()),
                volume: partition.name.clone(),
                found: held(&found.signature),
                wanted: kind,
            });
        }
        OnReprovision::Reuse if same => (FileSystemFate::Reuse, String::new()),
        OnReprovision::Reuse => (FileSystemFate::Recreate, format!("It holds {}.", held(&found.signature))),
        OnReprovision::Recreate => (FileSystemFate::Recreate, String::new()),
    };
    let stays = matches!(fate, FileSystemFate::Reuse | FileSystemFate::Preserve);
    Ok(PartitionPlan {
        number: found.number,
        name: partition.name.clone(),
        fate: Fate::Keep,
        kind: found.kind.to_lowercase(),
        uuid: found.uuid.clone(),
        start_bytes: found.start_bytes,
        size_bytes: found.size_bytes,
        file_system: kind.into(),
        file_system_uuid: if stays { found.signature.uuid.clone() } else { String::new() },
        file_system_fate: Some(fate),
        mount: Some(partition.mount.clone()),
        why,
    })
}

fn held(signature: &Signature) -> String {
    match signature.kind.as_str() {
        "" => "nothing that is known".into(),
        kind => kind.into(),
    }
}

fn volumes(wanted: &Wanted, group: &VolumeGroup) -> Result<VolumeGroupPlan, Refusal> {
    let extent = group.extent_bytes.map(bytes).filter(|&size| size > 0).unwrap_or(EXTENT);
    let (mut planned, mut anew) = (Vec::new(), Vec::new());
    for volume in &wanted.volumes {
        let found = group.volumes.iter().find(|v| v.name == volume.name);
        match found {
            Some(found) if stays(volume, found) => planned.push(stayed(volume, found, group)?),
            _ => anew.push((*volume, found)),
        }
    }
    let mut others: Vec<_> = group
        .volumes
        .iter()
        .filter(|found| !wanted.volumes.iter().any(|volume| volume.name == found.name))
        .map(|found| unlisted(found, wanted))
        .collect();
    others.sort_by(|a, b| a.name.cmp(&b.name));
    planned.extend(others);

    let units = |volume: &VolumePlan| bytes(volume.size_bytes).div_ceil(extent);
    let kept = planned.iter().map(units).fold(0, u64::saturating_add);
    let available = (bytes(group.size_bytes) / extent).saturating_sub(kept);
    let wishes: Vec<_> = anew.iter().map(|(v, _)| Wish::of(v.size, v.min_size, extent)).collect();
    let shares = share(available, &wishes).ok_or_else(|| {
        let needed = least(&wishes);
        Refusal::NoRoom {
            group: group.name.clone(),
            kept: planned.iter().map(|v| v.name.as_str()).collect::<Vec<_>>().join(", "),
            layout: wanted.layout_name.clone(),
            role: role_name(wanted.role),
            available: available.saturating_mul(extent),
            needed: needed.saturating_mul(extent),
            shortfall: (needed - available).saturating_mul(extent),
        }
    })?;
    let free = available - shares.iter().sum::<u64>();
    for ((volume, found), extents) in anew.into_iter().zip(shares) {
        planned.push(made(volume, found, extents * extent));
    }
    planned
        .sort_by_key(|p| wanted.layout.volumes.iter().position(|v| v.name == p.name).unwrap_or(usize::MAX));
    Ok(VolumeGroupPlan {
        name: group.name.clone(),
        uuid: Some(group.uuid.clone()),
        fate: Fate::Keep,
        extent_bytes: signed(extent),
        free_bytes: signed(free * extent),
        volumes: planned,
    })
}

/// Whether a volume keeps what it holds.
fn stays(volume: &Volume, found: &LogicalVolume) -> bool {
    is_preserved(volume)
        || (volume.on_reprovision == OnReprovision::Reuse
            && found.signature.kind == file_system_name(volume.file_system))
}

fn stayed(volume: &Volume, found: &LogicalVolume, group: &VolumeGroup) -> Result<VolumePlan, Refusal> {
    let wanted = file_system_name(volume.file_system);
    let kind = found.signature.kind.as_str();
    let mountable = |kind: &str| matches!(kind, "ext4" | "xfs");
    let usable =
        kind == wanted || (volume.file_system != FileSystem::Swap && mountable(kind) && mountable(wanted));
    if !usable {
        return Err(Refusal::Unusable {
            group: group.name.clone(),
            volume: volume.name.clone(),
            found: held(&found.signature),
            wanted,
        });
    }
    let mut why = Vec::new();
    if let Some(size) = volume.size.filter(|size| size.bytes != bytes(found.size_bytes)) {
        why.push(format!("It keeps its size; the layout has {size}."));
    }
    if kind != wanted {
        why.push(format!("It keeps its file system; the layout has {wanted}."));
    }
    let fate = if is_preserved(volume) { FileSystemFate::Preserve } else { FileSystemFate::Reuse };
    Ok(VolumePlan {
        name: volume.name.clone(),
        fate: Fate::Keep,
        size_bytes: found.size_bytes,
        file_system: kind.into(),
        file_system_uuid: found.signature.uuid.clone(),
        file_system_fate: Some(fate),
        mount: volume.mount.clone(),
        mount_options: volume.mount_options.clone(),
        why: why.join(" "),
    })
}

/// A volume that this machine's layout does not have.
fn unlisted(found: &LogicalVolume, wanted: &Wanted) -> VolumePlan {
    let elsewhere = wanted.layout.volumes.iter().any(|v| v.name == found.name);
    let role = role_name(wanted.role);
    VolumePlan {
        name: found.name.clone(),
        fate: Fate::Keep,
        size_bytes: found.size_bytes,
        file_system: found.signature.kind.clone(),
        file_system_uuid: found.signature.uuid.clone(),
        file_system_fate: Some(FileSystemFate::Preserve),
        why: match elsewhere {
            true => format!("It is not for role {role}: kept, not mounted."),
            false => "It is not in the layout: kept, not mounted.".into(),
        },
        ..VolumePlan::default()
    }
}

/// A volume that is made, or made anew where one of its name stands.
fn made(volume: &Volume, found: Option<&LogicalVolume>, size_bytes: u64) -> VolumePlan {
    let planned = new_volume(volume, size_bytes, size_reason(volume, size_bytes));
    let Some(found) = found else { return planned };
    let mut why = planned.why;
    if bytes(found.size_bytes) != size_bytes {
        why = format!("{why} It has {} now.", said(found.size_bytes)).trim_start().into();
    }
    // What bears no known signature may still be somebody's data.
    VolumePlan { fate: Fate::Wipe, file_system_fate: Some(FileSystemFate::Recreate), why, ..planned }
}
