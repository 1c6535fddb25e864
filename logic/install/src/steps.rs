//! What carrying out a plan consists of: steps in order, as data.
//!
//! Each step can be repeated, and says how to see that it is done already, so that an installation that was cut off goes on
//! where it was. What is made bears identifiers that only its plan yields; a step that finds them has nothing to do. Before
//! the one step that [`Step::point_of_no_return`] marks, nothing is written anywhere, and the machine can be left as it is.
//!
//! What is preserved is neither written nor mounted: the system's files for such places are left out, and the installed
//! system mounts them when it starts.

use crate::fstab;
use crate::hash;
use crate::observed::DiskId;
use crate::plan::PHYSICAL_VOLUME;
use lab_kinds::metal::server::hardware::FirmwareType;
use lab_kinds::metal::server::{
    DiskPlan, Fate, FileSystemFate, MachineRole, PartitionPlan, Plan, VolumeGroupPlan,
};
use serde::Serialize;
use std::collections::BTreeSet;

/// A step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    /// A short name, unique in its plan, such as `fileSystem/labvg/root`.
    pub id: String,
    /// What is done.
    pub action: Action,
    /// How to see that it is done already.
    pub done: Done,
    /// Whether it is the first that writes: from here on the machine's old system is lost, and the way is forwards.
    pub point_of_no_return: bool,
}

/// What a step works on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Target {
    /// A whole disk: its table and everything on it.
    Disk(DiskId),
    /// Where a BIOS boot loader stands: in the disk's first sector and its BIOS boot partition.
    BootSectors(DiskId),
    /// What is in a partition.
    Partition(DiskId, i32),
    /// A volume group's own data: which volumes there are and where.
    Group(String),
    /// What is in a volume, by the names of group and volume.
    Volume(String, String),
    /// The machine's firmware settings.
    Firmware,
}

/// A partition of a new table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TableEntry {
    /// Its number.
    pub number: i32,
    /// Its name in the table.
    pub name: String,
    /// Its type, a GUID.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its identifier.
    pub uuid: String,
    /// Where it begins, in bytes.
    pub start_bytes: i64,
    /// Size in bytes.
    pub size_bytes: i64,
}

/// What a step does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Action {
    /// Looks at the disks again ([`crate::standing::still_holds`]) and at the approval ([`crate::approval::approved`]).
    Check,
    /// Takes down the groups that stand on the disk and wipes every signature on it: those in partitions first, the
    /// disk's own last.
    WipeSignatures {
        /// The disk.
        disk: DiskId,
    },
    /// Writes a GUID partition table at once, and has the kernel read it.
    PartitionTable {
        /// The disk.
        disk: DiskId,
        /// The table's identifier.
        uuid: String,
        /// Its partitions.
        partitions: Vec<TableEntry>,
    },
    /// Makes an LVM physical volume of a partition.
    PhysicalVolume {
        /// The partition.
        on: Target,
        /// Its identifier, in LVM's form.
        uuid: String,
    },
    /// Makes a volume group of one physical volume.
    VolumeGroup {
        /// Its name.
        name: String,
        /// The partition with its physical volume.
        on: Target,
        /// Size of its extents in bytes.
        extent_bytes: i64,
    },
    /// Brings up a volume group that stays. Nothing is written.
    ActivateGroup {
        /// Its name.
        name: String,
        /// Its identifier.
        uuid: String,
    },
    /// Has a volume of this size: makes it, wiping signatures in it, or gives it the size without care for what is in it.
    LogicalVolume {
        /// The volume.
        volume: Target,
        /// Size in bytes.
        size_bytes: i64,
    },
    /// Wipes signatures and makes a file system or swap space.
    FileSystem {
        /// Where.
        on: Target,
        /// Which, by blkid's name.
        kind: String,
        /// Its identifier.
        uuid: String,
        /// Its label: the layout's name for it, cut to what the kind can hold.
        label: String,
    },
    /// Mounts what the new system is written into, below one folder.
    Mount {
        /// What.
        on: Target,
        /// Where, as the installed system sees it.
        at: String,
        /// Its file system.
        kind: String,
    },
    /// Unpacks the operating system's image, verified while it is read.
    UnpackImage {
        /// Name of the OperatingSystem.
        operating_system: String,
        /// Places whose contents in the image are left out, as what is there is preserved: only empty folders are made.
        leave_out: Vec<String>,
        /// Everything that is mounted and so written into.
        into: Vec<Target>,
    },
    /// Writes `/etc/fstab`.
    Fstab {
        /// Its text.
        text: String,
    },
    /// Installs the boot loader and makes the initramfs find the volumes.
    BootLoader {
        /// How the machine starts.
        firmware: FirmwareType,
        /// Where it goes: the EFI system partition, or the disk's boot sectors.
        on: Vec<Target>,
    },
    /// Puts the network first among what the firmware starts, and the new system second.
    BootOrder,
    /// Host name, accounts and keys, network, and what the role needs.
    Identity {
        /// What the machine is for.
        role: MachineRole,
    },
    /// The agent, with its token for joining.
    Agent,
    /// Unmounts everything, what was mounted last first, and flushes the disk.
    Unmount,
    /// Reports that the installation is done.
    Report,
}

/// How to see that a step is done already.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Done {
    /// It is done each time; it is quick and harmless.
    Never,
    /// There is no signature on the disk, or its partition table has this identifier and so was made after the wiping.
    EmptyOrTable(String),
    /// The disk's partition table has this identifier.
    Table(String),
    /// What stands there has this identifier.
    Identifier(String),
    /// A volume group of this name stands on the physical volume with this identifier.
    Group(String, String),
    /// The volume has this size in bytes.
    Size(i64),
    /// It is mounted there.
    Mounted(String),
    /// The new system has `/var/lib/lab/installed/<step's id>` with this text: the plan's hash. Written and flushed last.
    Marked(String),
}

impl Step {
    /// What the step opens for writing. Mounting counts, as a journal may be replayed.
    pub fn writes(&self) -> Vec<Target> {
        match &self.action {
            Action::Check | Action::ActivateGroup { .. } | Action::Unmount | Action::Report => Vec::new(),
            // Written into what an earlier step mounted: the root file system.
            Action::Fstab { .. } | Action::Identity { .. } | Action::Agent => Vec::new(),
            Action::WipeSignatures { disk } | Action::PartitionTable { disk, .. } => {
                vec![Target::Disk(disk.clone())]
            }
            Action::PhysicalVolume { on, .. } | Action::FileSystem { on, .. } | Action::Mount { on, .. } => {
                vec![on.clone()]
            }
            Action::VolumeGroup { name, on, .. } => vec![on.clone(), Target::Group(name.clone())],
            Action::LogicalVolume { volume, .. } => match volume {
                Target::Volume(group, _) => vec![Target::Group(group.clone()), volume.clone()],
                other => vec![other.clone()],
            },
            Action::UnpackImage { into, .. } => into.clone(),
            Action::BootLoader { on, .. } => on.clone(),
            Action::BootOrder => vec![Target::Firmware],
        }
    }

    /// The file that marks a step of this kind as done, in the installed system.
    pub fn mark(&self) -> String {
        format!("/var/lib/lab/installed/{}", self.id.replace('/', "_"))
    }
}

/// The steps of a plan, in order; none for a plan that was refused.
pub fn steps(plan: &Plan) -> Vec<Step> {
    let (Some(hash), None) = (&plan.hash, &plan.refused) else { return Vec::new() };
    let Some(disk) = plan.disks.iter().find(|disk| hash::is_worked_on(disk)) else { return Vec::new() };
    let Some(group) = &plan.volume_group else { return Vec::new() };
    let mut steps = List { steps: Vec::new(), hash };
    steps.add("check", Action::Check, Done::Never);
    match group.fate {
        Fate::Keep | Fate::Again => steps.stands(group),
        Fate::Create | Fate::Wipe => steps.made_new(disk, group),
    }
    steps.volumes(plan, group);
    steps.file_systems(disk, group);
    steps.system(plan, disk, group);
    let mut steps = steps.steps;
    if let Some(first) = steps.iter_mut().find(|step| !step.writes().is_empty()) {
        first.point_of_no_return = true;
    }
    steps
}

/// Steps as they are put one after the other.
struct List<'a> {
    steps: Vec<Step>,
    hash: &'a str,
}

impl List<'_> {
    fn add(&mut self, id: impl Into<String>, action: Action, done: Done) {
        self.steps.push(Step { id: id.into(), action, done, point_of_no_return: false });
    }

    fn marked(&mut self, id: &str, action: Action) {
        self.add(id, action, Done::Marked(self.hash.to_owned()));
    }

    fn stands(&mut self, group: &VolumeGroupPlan) {
        let (name, uuid) = (group.name.clone(), group.uuid.clone().unwrap_or_default());
        self.add("activateGroup", Action::ActivateGroup { name, uuid }, Done::Never);
    }

    fn made_new(&mut self, disk: &DiskPlan, group: &VolumeGroupPlan) {
        let id = DiskId::from(disk);
        let uuid = hash::table_uuid(self.hash);
        self.add(
            "wipeSignatures",
            Action::WipeSignatures { disk: id.clone() },
            Done::EmptyOrTable(uuid.clone()),
        );
        let partitions = disk.partitions.iter().map(entry).collect();
        self.add(
            "partitionTable",
            Action::PartitionTable { disk: id.clone(), uuid: uuid.clone(), partitions },
            Done::Table(uuid),
        );
        for partition in disk.partitions.iter().filter(|p| p.file_system == PHYSICAL_VOLUME) {
            let on = Target::Partition(id.clone(), partition.number);
            let uuid = partition.file_system_uuid.clone();
            self.add(
                "physicalVolume",
                Action::PhysicalVolume { on: on.clone(), uuid: uuid.clone() },
                Done::Identifier(uuid.clone()),
            );
            let (name, extent_bytes) = (group.name.clone(), group.extent_bytes);
            self.add(
                "volumeGroup",
                Action::VolumeGroup { name: name.clone(), on, extent_bytes },
                Done::Group(name, uuid),
            );
        }
    }

    /// Those that become smaller come first, so that the others find room.
    fn volumes(&mut self, plan: &Plan, group: &VolumeGroupPlan) {
        let found = plan.found_volume_groups.iter().find(|found| Some(&found.uuid) == group.uuid.as_ref());
        let before = |name: &str| {
            let volume = found.and_then(|group| group.volumes.iter().find(|v| v.name == name));
            volume.map(|v| v.size_bytes)
        };
        let mut anew: Vec<_> = group.volumes.iter().filter(|v| v.fate != Fate::Keep).collect();
        anew.sort_by_key(|v| before(&v.name).is_none_or(|size| v.size_bytes >= size));
        for volume in anew {
            let target = Target::Volume(group.name.clone(), volume.name.clone());
            self.add(
                format!("volume/{}/{}", group.name, volume.name),
                Action::LogicalVolume { volume: target, size_bytes: volume.size_bytes },
                Done::Size(volume.size_bytes),
            );
        }
    }

    fn file_systems(&mut self, disk: &DiskPlan, group: &VolumeGroupPlan) {
        let made = |fate| matches!(fate, Some(FileSystemFate::Create | FileSystemFate::Recreate));
        for partition in disk.partitions.iter().filter(|p| made(p.file_system_fate)) {
            let on = Target::Partition(DiskId::from(disk), partition.number);
            self.file_system(on, &partition.name, &partition.file_system, &partition.file_system_uuid);
        }
        for volume in group.volumes.iter().filter(|v| made(v.file_system_fate)) {
            let on = Target::Volume(group.name.clone(), volume.name.clone());
            self.file_system(on, &volume.name, &volume.file_system, &volume.file_system_uuid);
        }
    }

    fn file_system(&mut self, on: Target, name: &str, kind: &str, uuid: &str) {
        let place = match &on {
            Target::Volume(group, volume) => format!("{group}/{volume}"),
            _ => format!("partition/{name}"),
        };
        // What each kind's superblock has room for, in bytes.
        let most = match kind {
            "vfat" => 11,
            "xfs" => 12,
            _ => 16,
        };
        let label = name.chars().take(most).collect();
        self.add(
            format!("fileSystem/{place}"),
            Action::FileSystem { on, kind: kind.into(), uuid: uuid.into(), label },
            Done::Identifier(uuid.into()),
        );
    }

    fn system(&mut self, plan: &Plan, disk: &DiskPlan, group: &VolumeGroupPlan) {
        let mounts = mounts(disk, group);
        for (at, kind, on) in &mounts {
            let mount = Action::Mount { on: on.clone(), at: at.clone(), kind: kind.clone() };
            self.add(format!("mount{at}"), mount, Done::Mounted(at.clone()));
        }
        let unpack = Action::UnpackImage {
            operating_system: plan.operating_system.clone(),
            leave_out: left_out(disk, group).into_iter().collect(),
            into: mounts.iter().map(|(_, _, on)| on.clone()).collect(),
        };
        self.marked("unpackImage", unpack);
        self.marked("fstab", Action::Fstab { text: fstab::render(plan) });
        self.marked("identity", Action::Identity { role: plan.role.unwrap_or(MachineRole::Vanilla) });
        let firmware = plan.firmware.unwrap_or(FirmwareType::Uefi);
        self.marked("bootLoader", Action::BootLoader { firmware, on: boot_loader(firmware, disk, &mounts) });
        self.marked("agent", Action::Agent);
        // A BIOS keeps its order to itself; there the machine's settings have to put the network first.
        if firmware == FirmwareType::Uefi {
            self.add("bootOrder", Action::BootOrder, Done::Never);
        }
        self.add("unmount", Action::Unmount, Done::Never);
        self.add("report", Action::Report, Done::Never);
    }
}

fn entry(partition: &PartitionPlan) -> TableEntry {
    TableEntry {
        number: partition.number,
        name: partition.name.clone(),
        kind: partition.kind.clone(),
        uuid: partition.uuid.clone(),
        start_bytes: partition.start_bytes,
        size_bytes: partition.size_bytes,
    }
}

/// What is mounted while the system is written: where, file system, what. The root comes first.
fn mounts(disk: &DiskPlan, group: &VolumeGroupPlan) -> Vec<(String, String, Target)> {
    let open = |fate| fate != Some(FileSystemFate::Preserve);
    let id = DiskId::from(disk);
    let partitions = disk.partitions.iter().filter(|p| open(p.file_system_fate)).filter_map(|p| {
        Some((p.mount.clone()?, p.file_system.clone(), Target::Partition(id.clone(), p.number)))
    });
    let volumes = group.volumes.iter().filter(|v| open(v.file_system_fate)).filter_map(|v| {
        let on = Target::Volume(group.name.clone(), v.name.clone());
        Some((v.mount.clone()?, v.file_system.clone(), on))
    });
    let mut mounts: Vec<_> = partitions.chain(volumes).collect();
    mounts.sort_by(|a, b| (fstab::depth(&a.0), &a.0).cmp(&(fstab::depth(&b.0), &b.0)));
    mounts
}

/// Where what is preserved will be mounted.
fn left_out(disk: &DiskPlan, group: &VolumeGroupPlan) -> BTreeSet<String> {
    let kept = |fate| fate == Some(FileSystemFate::Preserve);
    let partitions =
        disk.partitions.iter().filter(|p| kept(p.file_system_fate)).filter_map(|p| p.mount.clone());
    let volumes = group.volumes.iter().filter(|v| kept(v.file_system_fate)).filter_map(|v| v.mount.clone());
    partitions.chain(volumes).collect()
}

/// What the boot loader is written to.
fn boot_loader(firmware: FirmwareType, disk: &DiskPlan, mounts: &[(String, String, Target)]) -> Vec<Target> {
    match firmware {
        FirmwareType::Bios => vec![Target::BootSectors(disk.into())],
        FirmwareType::Uefi => {
            let efi = mounts.iter().filter(|(at, kind, _)| {
                kind == "vfat" && matches!(at.as_str(), "/boot/efi" | "/efi" | "/boot")
            });
            efi.map(|(_, _, on)| on.clone()).collect()
        }
    }
}
