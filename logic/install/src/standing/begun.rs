//! Whether what is other on a plan's disk was made by carrying out the plan.

use super::Groups;
use crate::hash::table_uuid;
use crate::plan::PHYSICAL_VOLUME;
use lab_kinds::metal::server::hardware::{Contents, LogicalVolume, Partition, Signature};
use lab_kinds::metal::server::{
    Disk, DiskPlan, Fate, FileSystemFate, PartitionPlan, Plan, VolumeGroup, VolumeGroupPlan, VolumePlan,
};

/// Whether the disk is as the plan, with this hash, leaves it at some point on its way.
pub fn by(plan: &Plan, hash: &str, planned: &DiskPlan, disk: &Disk, groups: &Groups) -> bool {
    let Some(group) = &plan.volume_group else { return false };
    let old = old_signatures(planned, groups);
    if group.fate == Fate::Keep {
        return again(planned, &disk.contents, &old) && same_group(group, groups, &old);
    }
    let made = disk.contents.uuid.eq_ignore_ascii_case(&table_uuid(hash));
    if made {
        partitions_made(planned, &disk.contents, &old) && only_ours(group, groups, &old)
    } else {
        being_wiped(&planned.contents, &disk.contents) && nothing_new(groups)
    }
}

/// What may still show where the plan destroys it.
fn old_signatures<'a>(planned: &'a DiskPlan, groups: &'a Groups) -> Vec<&'a Signature> {
    let volumes = groups.was.iter().flat_map(|(group, _)| &group.volumes).map(|volume| &volume.signature);
    crate::observed::signatures(&planned.contents).chain(volumes).collect()
}

/// Nothing is known of it, or it is of this kind and bears this identifier.
fn is_made(signature: &Signature, kind: &str, uuid: &str) -> bool {
    *signature == Signature::default()
        || (signature.kind == kind && signature.uuid == uuid && !uuid.is_empty())
}

/// Every signature is as it was or gone, and nothing else is new.
fn being_wiped(was: &Contents, is: &Contents) -> bool {
    let lost = |was: &Signature, is: &Signature| was == is || *is == Signature::default();
    let same_table =
        is.partition_table.is_none() || (is.partition_table == was.partition_table && is.uuid == was.uuid);
    let known = |now: &Partition| {
        was.partitions.iter().any(|before| {
            let bare = |p: &Partition| Partition { signature: Signature::default(), ..p.clone() };
            bare(before) == bare(now) && lost(&before.signature, &now.signature)
        })
    };
    same_table && lost(&was.signature, &is.signature) && is.partitions.iter().all(known)
}

/// Every group is one that was there, unchanged in what it has.
fn nothing_new(groups: &Groups) -> bool {
    groups.is.iter().all(|now| groups.was.iter().any(|before| before == now))
}

/// The table bears the plan's identifier, and its partitions are the plan's.
fn partitions_made(planned: &DiskPlan, is: &Contents, old: &[&Signature]) -> bool {
    is.signature == Signature::default()
        && is.partitions.iter().all(|now| {
            let place = planned.partitions.iter().find(|p| p.number == now.number);
            place.is_some_and(|p| {
                (p.start_bytes, p.size_bytes) == (now.start_bytes, now.size_bytes)
                    && p.uuid.eq_ignore_ascii_case(&now.uuid)
                    && (is_made(&now.signature, &p.file_system, &p.file_system_uuid)
                        || old.contains(&&now.signature))
            })
        })
}

/// The groups are those that were elsewhere, and at most the plan's with volumes of the plan.
fn only_ours(group: &VolumeGroupPlan, groups: &Groups, old: &[&Signature]) -> bool {
    groups.is.iter().all(|now| {
        let ours = now.0.name == group.name && !now.0.incomplete && now.0.devices.len() == 1;
        groups.was.contains(now) || (ours && now.0.volumes.iter().all(|v| volume_made(group, v, old)))
    })
}

fn find<'a>(group: &'a VolumeGroupPlan, name: &str) -> Option<&'a VolumePlan> {
    group.volumes.iter().find(|volume| volume.name == name)
}

/// A volume that the plan makes, made or being made.
fn volume_made(group: &VolumeGroupPlan, now: &LogicalVolume, old: &[&Signature]) -> bool {
    find(group, &now.name).is_some_and(|planned| {
        planned.size_bytes == now.size_bytes
            && (is_made(&now.signature, &planned.file_system, &planned.file_system_uuid)
                || old.contains(&&now.signature))
    })
}

/// The table and all that is kept are as they were; what is made anew may be half-way.
fn again(planned: &DiskPlan, is: &Contents, old: &[&Signature]) -> bool {
    let was = &planned.contents;
    let plan_of = |number| planned.partitions.iter().find(|p| p.number == number);
    let made = |p: &PartitionPlan| p.file_system_fate == Some(FileSystemFate::Recreate);
    (was.partition_table, &was.uuid, &was.signature) == (is.partition_table, &is.uuid, &is.signature)
        && was.partitions.len() == is.partitions.len()
        && is.partitions.iter().all(|now| {
            let Some(before) = was.partitions.iter().find(|p| p.number == now.number) else { return false };
            let Some(plan) = plan_of(now.number) else { return before == now };
            let bare = Partition { signature: before.signature.clone(), ..now.clone() };
            let half_way = is_made(&now.signature, &plan.file_system, &plan.file_system_uuid)
                || old.contains(&&now.signature);
            bare == *before
                && (before.signature == now.signature
                    || (made(plan) && plan.file_system != PHYSICAL_VOLUME && half_way))
        })
}

/// The group stands, and its volumes are those that it had or is to have.
fn same_group(group: &VolumeGroupPlan, groups: &Groups, old: &[&Signature]) -> bool {
    let ours = |other: &VolumeGroup| group.uuid.as_deref() == Some(other.uuid.as_str());
    let others_stand = groups.was.iter().filter(|(g, _)| !ours(g)).all(|before| groups.is.contains(before))
        && groups.is.iter().filter(|(g, _)| !ours(g)).all(|now| groups.was.contains(now));
    let was = groups.was.iter().find(|(g, _)| ours(g));
    let is = groups.is.iter().find(|(g, _)| ours(g));
    let (Some((was, was_at)), Some((is, is_at))) = (was, is) else { return false };
    let kept = |volume: &VolumePlan| volume.fate == Fate::Keep;
    let before = |name: &str| was.volumes.iter().find(|v| v.name == name);
    let now_as_planned = is.volumes.iter().all(|now| match find(group, &now.name) {
        None => false,
        Some(planned) if kept(planned) => before(&now.name) == Some(now),
        // Being resized and made anew: any size that it had or will have.
        Some(planned) => {
            let sizes = [Some(planned.size_bytes), before(&now.name).map(|v| v.size_bytes)];
            sizes.contains(&Some(now.size_bytes))
                && (is_made(&now.signature, &planned.file_system, &planned.file_system_uuid)
                    || old.contains(&&now.signature))
        }
    });
    let all_there = was.volumes.iter().all(|before| is.volumes.iter().any(|now| now.name == before.name));
    others_stand
        && was_at == is_at
        && was.size_bytes == is.size_bytes
        && was.name == is.name
        && now_as_planned
        && all_there
}
