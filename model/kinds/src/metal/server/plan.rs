//! What an installation would do to a machine's disks, shown before it is done.

use super::MachineRole;
use super::hardware::{Contents, FirmwareType, Transport, VolumeGroup};
use crate::metal::disk_layout::Tmpfs;
use crate::typed::unset;
use lab_object::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What an installation will do to every disk. It is approved by its hash in `spec.install.approve`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Plan {
    /// SHA-256 over all that the plan does and the disks it was made for: `sha256:` and 64 hexadecimal digits. Absent when
    /// the plan was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^sha256:[0-9a-f]{64}$"))]
    pub hash: Option<String>,
    /// Why no plan can be made, as a sentence with what is missing, such as the shortfall in bytes. Absent for a plan that
    /// can be approved.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// When the plan was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub made_at: Option<Time>,
    /// The `metadata.generation` it was made for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Whether `spec.install.approve` names this plan.
    #[serde(skip_serializing_if = "unset")]
    pub approved: bool,
    /// Whether anything that is on a disk now will be lost.
    #[serde(skip_serializing_if = "unset")]
    pub destructive: bool,
    /// Name of the OperatingSystem object.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub operating_system: String,
    /// Checksum of the operating system's image: `sha256:` and 64 hexadecimal digits. Absent for one that its
    /// distribution's installer installs.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^sha256:[0-9a-f]{64}$"))]
    pub image: Option<String>,
    /// Name of the DiskLayout object.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub layout: String,
    /// SMBIOS UUID of the machine it was made for, in lower case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub machine: Option<String>,
    /// The `spec.install.reprovision` it was made for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reprovision: Option<i64>,
    /// The machine's role, which decides which volumes of the layout it gets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<MachineRole>,
    /// The firmware that the disk is made to be started by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub firmware: Option<FirmwareType>,
    /// Every disk of the machine, also those that are not touched.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub disks: Vec<DiskPlan>,
    /// The volume group, where the layout has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volume_group: Option<VolumeGroupPlan>,
    /// The file systems in memory that the installed system will have.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub tmpfs: Vec<Tmpfs>,
    /// The volume groups that stood on the disks when the plan was made.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub found_volume_groups: Vec<VolumeGroup>,
}

/// What happens to something on a disk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Fate {
    /// It stays as it is, and is not opened for writing.
    #[default]
    Keep,
    /// A disk is installed again: its partition table stays, and each of its parts has its own fate.
    Again,
    /// It is made new, where nothing was.
    Create,
    /// What is there is lost; something new may take its place.
    Wipe,
}

/// What happens to a file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum FileSystemFate {
    /// It is made, where nothing was.
    Create,
    /// It is made anew; what was there is lost.
    Recreate,
    /// It stays, and the new system's files are written into it.
    Reuse,
    /// It is not opened for writing; its data are there afterwards.
    Preserve,
}

/// What happens to a disk.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DiskPlan {
    /// The kernel's name for it when the plan was made; for people only.
    pub name: String,
    /// Serial number; with the WWN, what the disk is recognised by when the plan is carried out.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub serial: String,
    /// World wide name.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub wwn: String,
    /// Size in bytes.
    #[schemars(range(min = 0))]
    pub size_bytes: i64,
    /// How it is attached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transport: Option<Transport>,
    /// Whether its medium can be taken out.
    #[serde(default, skip_serializing_if = "unset")]
    pub removable: bool,
    /// What happens to it.
    pub fate: Fate,
    /// Why this disk was taken, or left alone, as a sentence.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
    /// What is on it now, in a few words, such as `gpt: vfat, ext4, LVM labvg`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub now: String,
    /// What was on it when the plan was made. The plan is not carried out on anything else.
    #[serde(default, skip_serializing_if = "unset")]
    pub contents: Contents,
    /// The partitions it will have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub partitions: Vec<PartitionPlan>,
}

/// What happens to a partition.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PartitionPlan {
    /// Number in the table, from 1.
    #[schemars(range(min = 1))]
    pub number: i32,
    /// The layout's name for it, such as `efi`.
    pub name: String,
    /// What happens to its entry in the table.
    pub fate: Fate,
    /// Type in the table, as a GUID in lower case.
    #[serde(rename = "type", default, skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// Identifier in the table.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub uuid: String,
    /// Where it begins, in bytes from the disk's beginning.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub start_bytes: i64,
    /// Size in bytes.
    #[schemars(range(min = 0))]
    pub size_bytes: i64,
    /// What will stand in it, such as `vfat` or `LVM2_member`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub file_system: String,
    /// Identifier that the file system or physical volume has, or will have.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub file_system_uuid: String,
    /// What happens to the file system; absent where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_system_fate: Option<FileSystemFate>,
    /// Where it will be mounted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mount: Option<String>,
    /// Why, as a sentence.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
}

/// What happens to a volume group.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VolumeGroupPlan {
    /// Its name.
    pub name: String,
    /// Its identifier, when it exists already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uuid: Option<String>,
    /// What happens to it.
    pub fate: Fate,
    /// Size of its extents in bytes, of which every volume has a whole number.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub extent_bytes: i64,
    /// What is left for volumes to come, in bytes.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub free_bytes: i64,
    /// The volumes it will have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub volumes: Vec<VolumePlan>,
}

/// What happens to a logical volume.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VolumePlan {
    /// Its name.
    pub name: String,
    /// What happens to it.
    pub fate: Fate,
    /// Size in bytes.
    #[schemars(range(min = 0))]
    pub size_bytes: i64,
    /// What will stand in it, such as `xfs` or `swap`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub file_system: String,
    /// Identifier that the file system has, or will have.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub file_system_uuid: String,
    /// What happens to the file system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_system_fate: Option<FileSystemFate>,
    /// Where it will be mounted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mount: Option<String>,
    /// Mount options, one per entry.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    pub mount_options: Vec<String>,
    /// Why, as a sentence.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
}
