//! Where the disks, partitions and volumes of a plan are on this machine.

use lab_host::hands::{partition_device, volume_device};
use lab_install::observed::DiskId;
use lab_install::steps::{Step, Target};
use lab_kinds::metal::server::{Disk, Fate, FileSystemFate, Plan};
use std::path::{Path, PathBuf};

/// A device of the plan is not there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoDevice {
    /// No disk of this machine is the plan's.
    #[error("the disk with {id} is not there")]
    Disk {
        /// What it is recognised by.
        id: DiskId,
    },
    /// The plan works on no disk.
    #[error("the plan works on no disk")]
    None,
    /// The plan has no volume group, or its disk no partition for one.
    #[error("the plan has no partition for its volume group")]
    NoGroup,
}

/// The one disk that a plan works on, and where its volume group lies.
pub struct Devices {
    id: DiskId,
    disk: PathBuf,
    group: PathBuf,
    /// Numbers of the partitions that were found on it.
    pub found: Vec<i32>,
    /// Size of its sectors in bytes.
    pub sector_bytes: i32,
}

impl Devices {
    /// Finds the plan's disk among those that are there.
    pub fn of(plan: &Plan, disks: &[Disk]) -> Result<Self, NoDevice> {
        let planned = plan.disks.iter().find(|disk| disk.fate != Fate::Keep).ok_or(NoDevice::None)?;
        let id = DiskId::from(planned);
        // Among disks that look alike (and are refused as targets beforehand where they are) the contents decide.
        let mut same: Vec<_> = disks.iter().filter(|disk| DiskId::from(*disk) == id).collect();
        same.sort_by_key(|disk| (disk.name != planned.name, disk.size_bytes != planned.size_bytes));
        let found = same.first().ok_or_else(|| NoDevice::Disk { id: id.clone() })?;
        let disk = Path::new("/dev").join(&found.name);
        let holder = planned.partitions.iter().find(|p| p.file_system == lab_install::plan::PHYSICAL_VOLUME);
        let number = holder.map(|p| p.number).ok_or(NoDevice::NoGroup)?;
        Ok(Self {
            group: partition_device(&disk, number),
            found: found.contents.partitions.iter().map(|p| p.number).collect(),
            sector_bytes: found.sector_bytes.unwrap_or(512),
            disk,
            id,
        })
    }

    /// The whole disk.
    pub fn disk(&self) -> &Path {
        &self.disk
    }

    /// The partition with the volume group.
    pub fn group(&self) -> &Path {
        &self.group
    }

    /// The device of what a step works on; the group's stands for its own data.
    pub fn path(&self, target: &Target) -> Result<PathBuf, NoDevice> {
        let mine = |id: &DiskId| {
            if *id == self.id { Ok(()) } else { Err(NoDevice::Disk { id: id.clone() }) }
        };
        Ok(match target {
            Target::Disk(id) | Target::BootSectors(id) => mine(id).map(|()| self.disk.clone())?,
            Target::Partition(id, number) => mine(id).map(|()| partition_device(&self.disk, *number))?,
            Target::Group(_) => self.group.clone(),
            Target::Volume(group, volume) => volume_device(group, volume),
            Target::Firmware => return Err(NoDevice::None),
        })
    }

    /// Every device that a step says it writes to.
    pub fn writable(&self, steps: &[Step]) -> Vec<PathBuf> {
        let targets = steps.iter().flat_map(Step::writes);
        targets
            .filter(|target| !matches!(target, Target::BootSectors(_)))
            .filter_map(|t| self.path(&t).ok())
            .collect()
    }

    /// The disk, where a step writes to its boot sectors.
    pub fn boot_sectors(&self, steps: &[Step]) -> Option<PathBuf> {
        let mut targets = steps.iter().flat_map(Step::writes);
        targets.any(|target| matches!(target, Target::BootSectors(_))).then(|| self.disk.clone())
    }

    /// Every device that is kept as it is: other disks, and partitions of this one that hold what is preserved.
    pub fn kept(&self, plan: &Plan, disks: &[Disk]) -> Vec<PathBuf> {
        let others =
            disks.iter().map(|disk| Path::new("/dev").join(&disk.name)).filter(|disk| *disk != self.disk);
        let planned =
            plan.disks.iter().filter(|disk| disk.fate == Fate::Again).flat_map(|disk| &disk.partitions);
        let preserved = planned.filter(|p| p.file_system_fate == Some(FileSystemFate::Preserve));
        others.chain(preserved.map(|p| partition_device(&self.disk, p.number))).collect()
    }
}
