//! What an installation would do to a machine's disks, shown before it is done.

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
    /// Name of the DiskLayout object.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub layout: String,
    /// Every disk of the machine, also those that are not touched.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub disks: Vec<DiskPlan>,
    /// The volume group, where the layout has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volume_group: Option<VolumeGroupPlan>,
}

/// What happens to something on a disk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Fate {
    /// It stays as it is and is not opened for writing.
    #[default]
    Keep,
    /// It is made new, where nothing was.
    Create,
    /// What is there is lost; something new may take its place.
    Wipe,
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
    /// What happens to it.
    pub fate: Fate,
    /// Why this disk was taken, or left alone, as a sentence.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
    /// What is on it now, in a few words, such as `gpt: vfat, ext4, LVM labvg`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub now: String,
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
    /// What happens to it.
    pub fate: Fate,
    /// Size in bytes.
    #[schemars(range(min = 0))]
    pub size_bytes: i64,
    /// What will stand in it, such as `vfat` or `LVM2_member`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub file_system: String,
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
    /// Where it will be mounted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mount: Option<String>,
    /// Why, as a sentence.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
}
