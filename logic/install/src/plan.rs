//! The plan of a machine: what becomes of each disk, partition, volume and file system.
//!
//! A plan is made anew whenever the machine or the wishes change, with one exception: while an approved plan is being
//! carried out ([`crate::standing::Standing::Begun`]), it is kept and carried on with, as the half-made disk would yield
//! another one.

mod again;
mod fresh;

use crate::choose::{self, Choice};
use crate::hash;
use crate::observed::{DiskId, Observed, belongs, called, disk_of, summary};
use crate::refusal::Refusal;
use crate::sizes::{self, EXTENT, MIB, Wish, bytes};
use lab_kinds::metal::disk_layout::{
    DiskLayout, DiskLayoutSpec, FileSystem, LayoutPartition, OnReprovision, Volume,
};
use lab_kinds::metal::operating_system::{OperatingSystem, Purpose};
use lab_kinds::metal::server::hardware::{Contents, FirmwareType};
use lab_kinds::metal::server::{
    Disk, DiskPlan, DiskSelector, Fate, FileSystemFate, MachineRole, Plan, Server, VolumeGroup, VolumePlan,
};

/// GUID of an EFI system partition (UEFI 2.10, 5.3.3).
pub const EFI_SYSTEM: &str = "c12a7328-f81f-11d2-ba4b-00a0c93ec93b";
/// GUID of the partition in which GRUB keeps its core image on machines with BIOS.
pub const BIOS_BOOT: &str = "21686148-6449-6e6f-744e-656564454649";
/// GUID of a partition with an LVM physical volume.
pub const LVM: &str = "e6d6d379-f507-44c2-a23c-238f2a3df928";
/// GUID of a partition with a Linux file system.
pub const LINUX: &str = "0fc63daf-8483-4772-8e79-3d69d8477de4";
/// What blkid calls an LVM physical volume.
pub const PHYSICAL_VOLUME: &str = "LVM2_member";

/// Makes the plan of a machine, or says why there is none.
///
/// `system` and `layout` are the objects that `spec.install` names; a machine without a role is `vanilla`. The order of what
/// was observed does not matter. `made_at` is left for the caller, who has a clock.
pub fn plan(
    server: &Server,
    system: &OperatingSystem,
    layout: &DiskLayout,
    observed: &Observed,
) -> Result<Plan, Refusal> {
    let wanted = Wanted::of(server, layout, observed.firmware)?;
    let choice = choose::choose(&wanted, observed)?;
    let mut plan = empty(server, observed, Some(choice.disk));
    plan.image = system.artefact(Purpose::Image).map(|image| image.checksum.clone());
    plan.tmpfs.clone_from(&layout.spec.tmpfs);
    for disk in sorted(observed.disks) {
        let mut planned = seen(disk);
        if std::ptr::eq(disk, choice.disk) {
            planned.why.clone_from(&choice.why);
            let group = match choice.again {
                Some((group, number)) => again::divide(&wanted, disk, group, number, &mut planned)?,
                None => fresh::divide(&wanted, disk, &mut planned)?,
            };
            plan.volume_group = Some(group);
        } else {
            planned.why = choose::left_alone(disk, &choice, &wanted, observed);
        }
        plan.disks.push(planned);
    }
    plan.destructive = loses(&plan, &choice);
    let hash = hash::of(&plan);
    hash::name_what_is_new(&mut plan, &hash);
    plan.approved = server.spec.install.as_ref().and_then(|i| i.approve.as_ref()) == Some(&hash);
    plan.hash = Some(hash);
    Ok(plan)
}

/// What is shown where no plan can be made: the disks, all kept, and why.
pub fn refused(server: &Server, observed: &Observed, why: &Refusal) -> Plan {
    let mut plan = empty(server, observed, None);
    plan.refused = Some(why.to_string());
    plan.disks = sorted(observed.disks).into_iter().map(seen).collect();
    plan
}

/// Whether anything on the chosen disk is lost.
fn loses(plan: &Plan, choice: &Choice) -> bool {
    if choice.again.is_none() {
        return choice.disk.contents != Contents::default();
    }
    let partitions = plan.disks.iter().flat_map(|disk| &disk.partitions).map(|p| p.file_system_fate);
    let volumes = plan.volume_group.iter().flat_map(|group| &group.volumes).map(|v| v.file_system_fate);
    partitions.chain(volumes).any(|fate| fate == Some(FileSystemFate::Recreate))
}

/// A plan with all that does not depend on decisions.
fn empty(server: &Server, observed: &Observed, chosen: Option<&Disk>) -> Plan {
    let install = server.spec.install.as_ref();
    let relevant = |group: &&VolumeGroup| {
        let belongs_here = |device: &String| {
            disk_of(device, observed.disks).is_none_or(|(disk, _)| {
                belongs(disk.transport, disk.removable) || chosen.is_some_and(|c| std::ptr::eq(c, disk))
            })
        };
        group.devices.is_empty() || group.devices.iter().any(belongs_here)
    };
    let mut found: Vec<_> = observed.volume_groups.iter().filter(relevant).cloned().collect();
    found.sort_by(|a, b| a.uuid.cmp(&b.uuid));
    Plan {
        observed_generation: server.metadata.generation,
        operating_system: install.map(|i| i.operating_system.clone()).unwrap_or_default(),
        layout: install.map(|i| i.layout.clone()).unwrap_or_default(),
        machine: server.status.uuid.clone().or_else(|| server.spec.uuid.clone()),
        reprovision: install.and_then(|i| i.reprovision),
        role: Some(role(server)),
        firmware: Some(observed.firmware),
        found_volume_groups: found,
        ..Plan::default()
    }
}

fn role(server: &Server) -> MachineRole {
    server.spec.role.unwrap_or(MachineRole::Vanilla)
}

/// In the order in which they are shown: it does not depend on how they were found, except among disks that have no
/// identity.
fn sorted(disks: &[Disk]) -> Vec<&Disk> {
    let mut sorted: Vec<_> = disks.iter().collect();
    sorted.sort_by_key(|disk| (DiskId::from(*disk), disk.name.clone()));
    sorted
}

/// A disk that is kept.
fn seen(disk: &Disk) -> DiskPlan {
    DiskPlan {
        name: disk.name.clone(),
        serial: disk.serial.clone(),
        wwn: disk.wwn.clone(),
        size_bytes: disk.size_bytes,
        transport: disk.transport,
        removable: disk.removable,
        fate: Fate::Keep,
        now: summary(&disk.contents),
        contents: disk.contents.clone(),
        ..DiskPlan::default()
    }
}

/// What a machine is to get: its layout, cut to its role and firmware.
#[derive(Debug)]
pub struct Wanted<'a> {
    /// The layout.
    pub layout: &'a DiskLayoutSpec,
    /// Its name.
    pub layout_name: String,
    /// Which disk is asked for.
    pub selector: &'a DiskSelector,
    /// What the machine is for.
    pub role: MachineRole,
    /// How it starts.
    pub firmware: FirmwareType,
    /// The partitions before the volume group.
    pub partitions: Vec<&'a LayoutPartition>,
    /// The volumes.
    pub volumes: Vec<&'a Volume>,
}

impl<'a> Wanted<'a> {
    fn of(server: &'a Server, layout: &'a DiskLayout, firmware: FirmwareType) -> Result<Self, Refusal> {
        let install = server.spec.install.as_ref().ok_or(Refusal::NothingToInstall)?;
        let role = role(server);
        let wanted = Self {
            layout: &layout.spec,
            layout_name: install.layout.clone(),
            selector: &install.disk_selector,
            role,
            firmware,
            partitions: layout
                .spec
                .partitions
                .iter()
                .filter(|p| p.firmware.is_none_or(|only| only == firmware))
                .collect(),
            volumes: layout.spec.volumes.iter().filter(|volume| volume.is_for(role)).collect(),
        };
        let starts = |p: &LayoutPartition| is_efi_system(p) && p.on_reprovision != OnReprovision::Preserve;
        if firmware == FirmwareType::Uefi && !wanted.partitions.iter().any(|p| starts(p)) {
            return Err(Refusal::NoEfiPartition { layout: wanted.layout_name });
        }
        Ok(wanted)
    }

    /// What partitions and volumes want of a new disk, in extents.
    fn wishes(&self) -> Vec<Wish> {
        let partitions = self.partitions.iter().map(|p| Wish::of(Some(p.size), p.min_size, EXTENT));
        partitions.chain(self.volumes.iter().map(|v| Wish::of(v.size, v.min_size, EXTENT))).collect()
    }

    /// Bytes of a new disk that no partition or volume can have: 1 MiB before the first partition, 1 MiB at the end for
    /// the table's copy, 1 MiB for LVM's own data, and 1 MiB to start from with BIOS.
    fn overhead(&self) -> u64 {
        match self.firmware {
            FirmwareType::Uefi => 3 * MIB,
            FirmwareType::Bios => 4 * MIB,
        }
    }

    /// What the disk lacks for the least sizes.
    pub fn shortfall(&self, disk: &Disk) -> Option<Refusal> {
        let available = bytes(disk.size_bytes) / MIB * MIB;
        let needed = sizes::least(&self.wishes()).saturating_mul(EXTENT).saturating_add(self.overhead());
        (available < needed).then(|| Refusal::TooSmall {
            disk: called(&disk.name, &disk.into()),
            layout: self.layout_name.clone(),
            role: role_name(self.role),
            available,
            needed,
            shortfall: needed - available,
        })
    }
}

/// Whether the firmware can start from the partition.
fn is_efi_system(partition: &LayoutPartition) -> bool {
    partition.file_system == FileSystem::Vfat
        && matches!(partition.mount.as_str(), "/boot/efi" | "/efi" | "/boot")
}

/// A role as people write it.
pub fn role_name(role: MachineRole) -> &'static str {
    match role {
        MachineRole::Vanilla => "vanilla",
        MachineRole::Worker => "worker",
        MachineRole::Infra => "infra",
        MachineRole::Labcontroller => "labcontroller",
    }
}

/// What blkid calls a file system.
pub fn file_system_name(file_system: FileSystem) -> &'static str {
    match file_system {
        FileSystem::Vfat => "vfat",
        FileSystem::Ext4 => "ext4",
        FileSystem::Xfs => "xfs",
        FileSystem::Swap => "swap",
    }
}

/// A volume that is made where nothing was.
fn new_volume(volume: &Volume, size_bytes: u64, why: String) -> VolumePlan {
    VolumePlan {
        name: volume.name.clone(),
        fate: Fate::Create,
        size_bytes: sizes::signed(size_bytes),
        file_system: file_system_name(volume.file_system).into(),
        file_system_fate: Some(FileSystemFate::Create),
        mount: volume.mount.clone(),
        mount_options: volume.mount_options.clone(),
        why,
        ..VolumePlan::default()
    }
}

/// Why a volume has the size it has.
fn size_reason(volume: &Volume, size_bytes: u64) -> String {
    match volume.size {
        None => "It takes what the others leave.".into(),
        Some(size) if size_bytes < size.bytes => format!("Scaled down from {size} to fit."),
        Some(_) => String::new(),
    }
}

/// Whether what stands in a part is not to be opened for writing.
fn is_preserved(volume: &Volume) -> bool {
    volume.on_reprovision == OnReprovision::Preserve
}
