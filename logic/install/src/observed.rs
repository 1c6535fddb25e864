//! The disks as they are now, and how one of them is recognised.

use lab_kinds::metal::server::hardware::{Contents, FirmwareType, PartitionTable, Signature};
use lab_kinds::metal::server::{Disk, DiskPlan, Server, Transport, VolumeGroup};
use serde::{Deserialize, Serialize};
use std::fmt;

/// What was read from a machine.
#[derive(Debug, Clone, Copy)]
pub struct Observed<'a> {
    /// Its disks, in any order.
    pub disks: &'a [Disk],
    /// The volume groups on them.
    pub volume_groups: &'a [VolumeGroup],
    /// How its firmware starts a system.
    pub firmware: FirmwareType,
}

impl<'a> Observed<'a> {
    /// What a machine reported last; `None` while its firmware is not known.
    pub fn of(server: &'a Server) -> Option<Self> {
        let status = &server.status;
        let booted = status.boot.as_ref().and_then(|boot| boot.firmware);
        Some(Self {
            disks: &status.disks,
            volume_groups: &status.volume_groups,
            firmware: status.hardware.firmware.kind.or(booted)?,
        })
    }
}

/// What a disk is recognised by. Both are empty for a disk that has neither, as virtual ones can be.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DiskId {
    /// World wide name.
    pub wwn: String,
    /// Serial number.
    pub serial: String,
}

impl DiskId {
    /// Whether the disk has neither.
    pub fn is_empty(&self) -> bool {
        self.wwn.is_empty() && self.serial.is_empty()
    }
}

impl From<&Disk> for DiskId {
    fn from(disk: &Disk) -> Self {
        Self { wwn: disk.wwn.clone(), serial: disk.serial.clone() }
    }
}

impl From<&DiskPlan> for DiskId {
    fn from(disk: &DiskPlan) -> Self {
        Self { wwn: disk.wwn.clone(), serial: disk.serial.clone() }
    }
}

impl fmt::Display for DiskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.serial.as_str(), self.wwn.as_str()) {
            ("", "") => f.write_str("no serial number"),
            (serial, "") => write!(f, "serial {serial}"),
            ("", wwn) => write!(f, "wwn {wwn}"),
            (serial, wwn) => write!(f, "serial {serial}, wwn {wwn}"),
        }
    }
}

/// A disk as people are told of it: `nvme0n1 (serial S1)`.
pub fn called(name: &str, id: &DiskId) -> String {
    format!("{name} ({id})")
}

/// Whether a disk is part of the machine: one that is not can come and go without changing any plan.
pub fn belongs(transport: Option<Transport>, removable: bool) -> bool {
    !removable && !matches!(transport, Some(Transport::Usb | Transport::Network))
}

/// Which partition of the disk a device is: `Some(Some(3))` for its third, `Some(None)` for the whole disk.
pub fn place(device: &str, disk: &str) -> Option<Option<i32>> {
    let device = device.strip_prefix("/dev/").unwrap_or(device);
    let rest = device.strip_prefix(disk)?;
    if rest.is_empty() {
        return Some(None);
    }
    let number = if disk.ends_with(|c: char| c.is_ascii_digit()) { rest.strip_prefix('p')? } else { rest };
    let plain = number.bytes().all(|b| b.is_ascii_digit()) && !number.starts_with('0');
    number.parse().ok().filter(|_| plain).map(Some)
}

/// The disk that a device lies on, and which partition of it it is.
pub fn disk_of<'a>(device: &str, disks: &'a [Disk]) -> Option<(&'a Disk, Option<i32>)> {
    disks.iter().find_map(|disk| Some((disk, place(device, &disk.name)?)))
}

/// Whether a group lies on the disk, if only in part.
pub fn lies_on(group: &VolumeGroup, disk: &str) -> bool {
    group.devices.iter().any(|device| place(device, disk).is_some())
}

/// All signatures on a disk.
pub fn signatures(contents: &Contents) -> impl Iterator<Item = &Signature> {
    let partitions = contents.partitions.iter().map(|p| &p.signature);
    std::iter::once(&contents.signature).chain(partitions).filter(|s| **s != Signature::default())
}

/// What is on a disk in a few words: `gpt: vfat, ext4, LVM labvg`.
pub fn summary(contents: &Contents) -> String {
    let word = |s: &Signature| match (s.kind.as_str(), s.member_of.as_str()) {
        ("", _) => "unknown".to_owned(),
        ("LVM2_member", "") => "LVM".into(),
        ("LVM2_member", group) => format!("LVM {group}"),
        (kind, "") => kind.into(),
        (kind, array) => format!("{kind} {array}"),
    };
    let whole = (contents.signature != Signature::default()).then(|| word(&contents.signature));
    let table = contents.partition_table.map(|table| match table {
        PartitionTable::Gpt => "gpt",
        PartitionTable::Mbr => "mbr",
    });
    let mut partitions: Vec<_> = contents.partitions.iter().collect();
    partitions.sort_by_key(|p| p.number);
    let parts: Vec<_> = partitions.iter().map(|p| word(&p.signature)).collect();
    let divided = match (table, parts.as_slice()) {
        (None, []) => None,
        (Some(table), []) => Some(format!("{table} without partitions")),
        (table, parts) => Some(format!("{}: {}", table.unwrap_or("partitions"), parts.join(", "))),
    };
    let said: Vec<_> = whole.into_iter().chain(divided).collect();
    if said.is_empty() { "empty".into() } else { said.join("; ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places() {
        for (device, disk, expected) in [
            ("sda", "sda", Some(None)),
            ("sda3", "sda", Some(Some(3))),
            ("/dev/sda3", "sda", Some(Some(3))),
            ("sdaa3", "sda", None),
            ("nvme0n1p12", "nvme0n1", Some(Some(12))),
            ("nvme0n12", "nvme0n1", None),
            ("nvme0n1p", "nvme0n1", None),
            ("md0", "sda", None),
            ("sda+3", "sda", None),
            ("sda0", "sda", None),
        ] {
            assert_eq!(place(device, disk), expected, "{device} on {disk}");
        }
    }
}
