//! A disk that is made from nothing.
//!
//! GPT, with 1 MiB to start from on machines with BIOS, the layout's partitions in its order, and all the rest as the only
//! physical volume of the layout's volume group.

use super::{
    BIOS_BOOT, EFI_SYSTEM, LINUX, LVM, PHYSICAL_VOLUME, Wanted, file_system_name, is_efi_system, new_volume,
    size_reason,
};
use crate::refusal::Refusal;
use crate::sizes::{EXTENT, MIB, bytes, share, signed};
use lab_kinds::metal::server::hardware::{Contents, FirmwareType};
use lab_kinds::metal::server::{Disk, DiskPlan, Fate, FileSystemFate, PartitionPlan, VolumeGroupPlan};

/// Divides a disk on which nothing is kept.
pub fn divide(wanted: &Wanted, disk: &Disk, planned: &mut DiskPlan) -> Result<VolumeGroupPlan, Refusal> {
    if let Some(refusal) = wanted.shortfall(disk) {
        return Err(refusal);
    }
    let size = bytes(disk.size_bytes) / MIB * MIB;
    let extents = size.saturating_sub(wanted.overhead()) / EXTENT;
    let shares = share(extents, &wanted.wishes()).unwrap_or_default();
    let (partitions, volumes) = shares.split_at(wanted.partitions.len().min(shares.len()));
    let taken: u64 = partitions.iter().chain(volumes).sum();

    planned.fate = if disk.contents == Contents::default() { Fate::Create } else { Fate::Wipe };
    planned.partitions = table(wanted, partitions, size);
    let named = wanted.volumes.iter().zip(volumes);
    Ok(VolumeGroupPlan {
        name: wanted.layout.volume_group.clone(),
        fate: Fate::Create,
        extent_bytes: signed(EXTENT),
        free_bytes: signed((extents - taken) * EXTENT),
        volumes: named
            .map(|(volume, extents)| {
                let size = extents * EXTENT;
                new_volume(volume, size, size_reason(volume, size))
            })
            .collect(),
        ..VolumeGroupPlan::default()
    })
}

/// The partitions of a disk of this size, of which the layout's have so many extents.
fn table(wanted: &Wanted, extents: &[u64], disk_size: u64) -> Vec<PartitionPlan> {
    let mut table = Table { partitions: Vec::new(), next: MIB };
    if wanted.firmware == FirmwareType::Bios {
        let why = "BIOS starts from it.".into();
        table.add(MIB, PartitionPlan { name: "bios".into(), kind: BIOS_BOOT.into(), why, ..new() });
    }
    for (partition, extents) in wanted.partitions.iter().zip(extents) {
        let size = extents * EXTENT;
        let scaled = size < partition.size.bytes;
        table.add(
            size,
            PartitionPlan {
                name: partition.name.clone(),
                kind: if is_efi_system(partition) { EFI_SYSTEM } else { LINUX }.into(),
                file_system: file_system_name(partition.file_system).into(),
                file_system_fate: Some(FileSystemFate::Create),
                mount: Some(partition.mount.clone()),
                why: if scaled {
                    format!("Scaled down from {} to fit.", partition.size)
                } else {
                    String::new()
                },
                ..new()
            },
        );
    }
    let rest = disk_size - MIB - table.next;
    table.add(
        rest,
        PartitionPlan {
            name: wanted.layout.volume_group.chars().take(36).collect(),
            kind: LVM.into(),
            file_system: PHYSICAL_VOLUME.into(),
            ..new()
        },
    );
    table.partitions
}

fn new() -> PartitionPlan {
    PartitionPlan { fate: Fate::Create, ..PartitionPlan::default() }
}

/// Partitions, one after the other.
struct Table {
    partitions: Vec<PartitionPlan>,
    next: u64,
}

impl Table {
    fn add(&mut self, size: u64, partition: PartitionPlan) {
        // A layout has at most 16 partitions.
        let number = i32::try_from(self.partitions.len() + 1).unwrap_or(i32::MAX);
        let (start_bytes, size_bytes) = (signed(self.next), signed(size));
        self.partitions.push(PartitionPlan { number, start_bytes, size_bytes, ..partition });
        self.next += size;
    }
}
