//! Why no plan can be made, and what to change so that one can.

use lab_kinds::metal::size::Size;

/// Why no plan can be made. Each says as one sentence what is in the way and what to change.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The server's spec asks for no installation.
    #[error("spec.install is not set, so nothing is to be installed")]
    NothingToInstall,
    /// The operating system is not there.
    #[error(
        "OperatingSystem {name:?}, which spec.install.operatingSystem names, does not exist: make it, or name another"
    )]
    NoOperatingSystem {
        /// Its name.
        name: String,
    },
    /// The layout is not there.
    #[error("DiskLayout {name:?}, which spec.install.layout names, does not exist: make it, or name another")]
    NoLayout {
        /// Its name.
        name: String,
    },
    /// The operating system is built for other processors.
    #[error("OperatingSystem {name:?} is built for another processor than this machine's: name another")]
    OtherProcessor {
        /// The operating system.
        name: String,
    },
    /// The installer would run out of memory.
    #[error(
        "OperatingSystem {name:?} needs {needed} of memory to be installed, and the machine has {has} bytes"
    )]
    TooLittleMemory {
        /// The operating system.
        name: String,
        /// What it needs.
        needed: Size,
        /// Bytes that the machine has.
        has: u64,
    },
    /// No disk was reported.
    #[error(
        "no disk was found in the machine: look at its controller's settings, or let discovery read it again"
    )]
    NoDisks,
    /// UEFI cannot start what the layout describes.
    #[error(
        "the machine starts by UEFI, but layout {layout:?} has no vfat partition mounted at /boot/efi, /efi or /boot that \
         may be written: add one to the layout's spec.partitions"
    )]
    NoEfiPartition {
        /// The layout.
        layout: String,
    },
    /// Every disk is ruled out.
    #[error("no disk can be taken: {reasons}: add a disk, or change spec.install.diskSelector")]
    NoDisk {
        /// Each disk and what rules it out.
        reasons: String,
    },
    /// Nothing the machine has is large enough.
    #[error(
        "{disk} is {shortfall} bytes too small: it has {available} of the {needed} bytes that layout {layout:?} needs at \
         least for role {role}: reduce sizes or minSizes in the layout, or take a larger disk"
    )]
    TooSmall {
        /// The disk that would have been taken.
        disk: String,
        /// The layout.
        layout: String,
        /// The machine's role.
        role: &'static str,
        /// Bytes that could be used.
        available: u64,
        /// Bytes that are needed.
        needed: u64,
        /// What is missing, in bytes.
        shortfall: u64,
    },
    /// What is preserved leaves too little for what is made anew.
    #[error(
        "volume group {group} is {shortfall} bytes too small: what is kept ({kept}) leaves {available} of the {needed} bytes \
         that the other volumes of layout {layout:?} need at least for role {role}: reduce their minSizes in the layout, or \
         remove a volume that is no longer needed"
    )]
    NoRoom {
        /// The volume group.
        group: String,
        /// The volumes that are kept.
        kept: String,
        /// The layout.
        layout: String,
        /// The machine's role.
        role: &'static str,
        /// Bytes that are left.
        available: u64,
        /// Bytes that are needed.
        needed: u64,
        /// What is missing, in bytes.
        shortfall: u64,
    },
    /// Two disks cannot be told apart.
    #[error(
        "{disks} cannot be told apart ({id}): they may be two ways to one disk; take another disk with \
         spec.install.diskSelector, or have only one of them attached"
    )]
    Alike {
        /// The kernel's names of the disks.
        disks: String,
        /// What they have in common.
        id: String,
    },
    /// Two volume groups have the layout's name.
    #[error(
        "two volume groups are named {group:?} ({places}), and which one to keep is not for a program to guess: detach the \
         disk of one, or rename one with vgrename and its UUID"
    )]
    TwoGroups {
        /// Their name.
        group: String,
        /// Their identifiers and devices.
        places: String,
    },
    /// A volume group has the layout's name, but cannot be installed upon.
    #[error(
        "volume group {group:?} ({place}) has the layout's name but {why}: rename or remove it, or take a layout with another \
         volumeGroup"
    )]
    ForeignGroup {
        /// Its name.
        group: String,
        /// Its devices.
        place: String,
        /// Why it cannot be installed upon.
        why: String,
    },
    /// The disk with the layout's group lacks a partition that the machine needs to start.
    #[error(
        "{disk} has volume group {group}, but no partition for {partition} ({what}), and there is no room to make one: take \
         another disk, or wipe this one and install anew"
    )]
    NoPartition {
        /// The disk.
        disk: String,
        /// The volume group.
        group: String,
        /// The layout's name for the partition.
        partition: String,
        /// What was looked for.
        what: String,
    },
    /// A partition that is to be reused is too small.
    #[error(
        "partition {partition} of {disk} has {found} bytes, less than the layout's {least}: reduce its minSize in the layout, \
         or wipe the disk and install anew"
    )]
    SmallPartition {
        /// The disk.
        disk: String,
        /// The layout's name for the partition.
        partition: String,
        /// Bytes it has.
        found: u64,
        /// The least it may have.
        least: Size,
    },
    /// A volume that is to be preserved could not be used afterwards.
    #[error(
        "volume {group}/{volume} is to be preserved, but holds {found} where the layout has {wanted}: keep its data elsewhere \
         and remove the volume, or change its fileSystem or onReprovision in the layout"
    )]
    Unusable {
        /// The volume group.
        group: String,
        /// The volume.
        volume: String,
        /// What it holds.
        found: String,
        /// What the layout says.
        wanted: &'static str,
    },
}
