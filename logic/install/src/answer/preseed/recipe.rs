//! partman-auto's recipe for a disk that is made from nothing: the plan's partitions and volumes with its sizes.
//!
//! Recipes count in megabytes of 1,000,000 bytes. Partitions are rounded up to them and volumes down, so that all fit: a volume can be
//! smaller than planned by less than one megabyte and one extent.

use super::super::Unanswerable;
use crate::plan::{BIOS_BOOT, PHYSICAL_VOLUME};
use crate::sizes::bytes;
use lab_kinds::metal::server::{DiskPlan, PartitionPlan, VolumeGroupPlan, VolumePlan};

/// The recipe's name.
pub const NAME: &str = "lab";

const MEGABYTE: u64 = 1_000_000;
/// What a partition that takes the rest gets of what is left, beside others that want nothing.
const ALL: u64 = 100_000_000;

/// A recipe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipe {
    entries: Vec<Entry>,
}

/// A partition or volume of a recipe.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    /// Least, priority and most, in megabytes; without a most, as much as there is.
    size: (u64, u64, Option<u64>),
    /// What partman calls the file system.
    kind: String,
    /// Specifiers, and their values where they have one.
    specifiers: Vec<(&'static str, String)>,
}

impl Recipe {
    /// The recipe as a debconf answer: one line.
    pub fn written(&self) -> String {
        let mut text = format!("{NAME} ::");
        for Entry { size: (least, priority, most), kind, specifiers } in &self.entries {
            let most = most.map_or_else(|| "-1".into(), |most| most.to_string());
            text += &format!(" {least} {priority} {most} {kind}");
            for (name, value) in specifiers {
                let space = if value.is_empty() { "" } else { " " };
                text += &format!(" {name}{{ {value}{space}}}");
            }
            text += " .";
        }
        text
    }
}

/// The recipe of a plan.
pub fn recipe(chosen: &DiskPlan, group: &VolumeGroupPlan) -> Result<Recipe, Unanswerable> {
    let mut entries = Vec::new();
    for partition in &chosen.partitions {
        entries.push(entry_of_partition(partition, group)?);
    }
    let rest = group.volumes.iter().rposition(|v| v.why.starts_with("It takes"));
    for (at, volume) in group.volumes.iter().enumerate() {
        entries.push(entry_of_volume(volume, group, rest == Some(at))?);
    }
    Ok(Recipe { entries })
}

fn fixed(megabytes: u64) -> (u64, u64, Option<u64>) {
    (megabytes, megabytes, Some(megabytes))
}

fn entry_of_partition(partition: &PartitionPlan, group: &VolumeGroupPlan) -> Result<Entry, Unanswerable> {
    let megabytes = bytes(partition.size_bytes).div_ceil(MEGABYTE);
    let flag = |name| (name, String::new());
    if partition.kind == BIOS_BOOT {
        let specifiers = vec![flag("$iflabel"), flag("$reusemethod"), ("method", "biosgrub".into())];
        let specifiers = labelled(specifiers);
        return Ok(Entry { size: fixed(megabytes), kind: "free".into(), specifiers });
    }
    if partition.file_system == PHYSICAL_VOLUME {
        let size = (bytes(partition.size_bytes) / MEGABYTE).saturating_sub(16);
        let specifiers = vec![
            flag("$primary"),
            flag("$defaultignore"),
            ("method", "lvm".into()),
            ("vg_name", group.name.clone()),
        ];
        return Ok(Entry { size: (size, ALL, None), kind: "ext4".into(), specifiers });
    }
    let mount = partition.mount.clone().unwrap_or_default();
    if partition.file_system == "vfat" && matches!(mount.as_str(), "/boot/efi") {
        let specifiers =
            vec![flag("$iflabel"), flag("$reusemethod"), ("method", "efi".into()), flag("format")];
        return Ok(Entry { size: fixed(megabytes), kind: "free".into(), specifiers: labelled(specifiers) });
    }
    let mut specifiers = vec![flag("$primary")];
    specifiers.extend(formatted(&partition.file_system, &mount, &[])?);
    Ok(Entry { size: fixed(megabytes), kind: partman_name(&partition.file_system).into(), specifiers })
}

/// `$iflabel{ gpt }` is the one flag that has a value.
fn labelled(specifiers: Vec<(&'static str, String)>) -> Vec<(&'static str, String)> {
    let with = |(name, value)| if name == "$iflabel" { (name, "gpt".into()) } else { (name, value) };
    specifiers.into_iter().map(with).collect()
}

fn entry_of_volume(volume: &VolumePlan, group: &VolumeGroupPlan, rest: bool) -> Result<Entry, Unanswerable> {
    let megabytes = (bytes(volume.size_bytes) / MEGABYTE).max(1);
    let mut specifiers =
        vec![("$lvmok", String::new()), ("in_vg", group.name.clone()), ("lv_name", volume.name.clone())];
    match (&volume.mount, volume.file_system.as_str()) {
        (None, "swap") => specifiers.extend([("method", "swap".into()), ("format", String::new())]),
        (mount, kind) => {
            specifiers.extend(formatted(kind, mount.as_deref().unwrap_or_default(), &volume.mount_options)?)
        }
    }
    let size = match rest {
        // partman takes a size down to whole extents of its own, and needs room for that.
        true => (megabytes.saturating_sub(64).max(1), ALL, None),
        false => fixed(megabytes),
    };
    Ok(Entry { size, kind: partman_name(&volume.file_system).into(), specifiers })
}

/// A file system that is made and mounted.
fn formatted(
    kind: &str,
    mount: &str,
    options: &[String],
) -> Result<Vec<(&'static str, String)>, Unanswerable> {
    let mut specifiers = vec![
        ("method", "format".into()),
        ("format", String::new()),
        ("use_filesystem", String::new()),
        ("filesystem", disk_name(kind).into()),
        ("mountpoint", mount.to_owned()),
    ];
    for option in options {
        // partman offers these and takes no others.
        let name = match option.as_str() {
            "noatime" => "options/noatime",
            "relatime" => "options/relatime",
            "nodev" => "options/nodev",
            "nosuid" => "options/nosuid",
            "noexec" => "options/noexec",
            "ro" => "options/ro",
            "sync" => "options/sync",
            "discard" => "options/discard",
            "usrquota" => "options/usrquota",
            "grpquota" => "options/grpquota",
            _ => {
                let what = format!("the mount option {option} of {mount}");
                return Err(Unanswerable::Layout { installer: "Debian-Installer", what });
            }
        };
        specifiers.push((name, option.clone()));
    }
    Ok(specifiers)
}

/// What partman calls a file system.
pub fn partman_name(kind: &str) -> &str {
    if kind == "swap" { "linux-swap" } else { disk_name(kind) }
}

fn disk_name(kind: &str) -> &str {
    if kind == "vfat" { "fat32" } else { kind }
}
