//! What is other than it was, on a disk or in a volume group, as a clause.

use lab_kinds::metal::server::VolumeGroup;
use lab_kinds::metal::server::hardware::{Contents, Partition, PartitionTable, Signature};

/// The first difference between what was on a disk and what is; the order of partitions does not matter.
pub fn difference(was: &Contents, is: &Contents) -> Option<String> {
    if was.partition_table != is.partition_table {
        let name = |table| match table {
            None => "no partition table",
            Some(PartitionTable::Gpt) => "a GPT partition table",
            Some(PartitionTable::Mbr) => "an MBR partition table",
        };
        return Some(format!(
            "there was {} and there is {}",
            name(was.partition_table),
            name(is.partition_table)
        ));
    }
    if was.uuid != is.uuid {
        return Some(format!("the partition table was {} and is {}", said(&was.uuid), said(&is.uuid)));
    }
    if let Some(what) = signature_difference(&was.signature, &is.signature) {
        return Some(format!("the whole disk {what}"));
    }
    let find = |contents: &'_ Contents, number| contents.partitions.iter().position(|p| p.number == number);
    for before in &was.partitions {
        let Some(at) = find(is, before.number) else {
            return Some(format!("partition {} has vanished", before.number));
        };
        if let Some(what) = partition_difference(before, &is.partitions[at]) {
            return Some(format!("partition {} {what}", before.number));
        }
    }
    let new = is.partitions.iter().find(|p| find(was, p.number).is_none())?;
    Some(format!("partition {} has appeared", new.number))
}

fn partition_difference(was: &Partition, is: &Partition) -> Option<String> {
    if (was.start_bytes, was.size_bytes) != (is.start_bytes, is.size_bytes) {
        return Some(format!(
            "had {} bytes from {} on and now has {} from {} on",
            was.size_bytes, was.start_bytes, is.size_bytes, is.start_bytes
        ));
    }
    if (&was.kind, &was.uuid, &was.name) != (&is.kind, &is.uuid, &is.name) {
        return Some(format!(
            "was {} ({}) and is {} ({})",
            said(&was.name),
            was.uuid,
            said(&is.name),
            is.uuid
        ));
    }
    signature_difference(&was.signature, &is.signature)
}

fn signature_difference(was: &Signature, is: &Signature) -> Option<String> {
    if was == is {
        return None;
    }
    if was.kind != is.kind {
        return Some(format!("held {} and now holds {}", said(&was.kind), said(&is.kind)));
    }
    Some(format!("held another {} ({}, now {})", said(&was.kind), said(&was.uuid), said(&is.uuid)))
}

fn said(text: &str) -> &str {
    if text.is_empty() { "nothing that is known" } else { text }
}

/// The first difference between what a group was and what it is, apart from where it lies.
pub fn group_difference(was: &VolumeGroup, is: &VolumeGroup) -> Option<String> {
    if was.name != is.name {
        return Some(format!("the name is now {}", is.name));
    }
    if was.size_bytes != is.size_bytes {
        return Some(format!("there were {} bytes and are now {}", was.size_bytes, is.size_bytes));
    }
    if was.incomplete != is.incomplete {
        return Some(
            if is.incomplete { "disks are missing now" } else { "no disk is missing any more" }.into(),
        );
    }
    for before in &was.volumes {
        let Some(after) = is.volumes.iter().find(|v| v.name == before.name) else {
            return Some(format!("volume {} has vanished", before.name));
        };
        if before.size_bytes != after.size_bytes {
            let (was, is) = (before.size_bytes, after.size_bytes);
            return Some(format!("volume {} had {was} bytes and now has {is}", before.name));
        }
        if let Some(what) = signature_difference(&before.signature, &after.signature) {
            return Some(format!("volume {} {what}", before.name));
        }
    }
    let new = is.volumes.iter().find(|v| !was.volumes.iter().any(|w| w.name == v.name))?;
    Some(format!("volume {} has appeared", new.name))
}
