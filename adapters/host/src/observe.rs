//! What a machine consists of, and what is on its disks. Nothing here writes anything, not even by activating a volume.

mod bytes;
mod contents;
mod disk;
mod firmware;
mod lvm;
mod nic;
mod processor;
mod smbios;
mod tree;

pub use contents::{Probe, Unreadable};
pub use smbios::{Smbios, parse as parse_smbios};
pub use tree::Tree;

use crate::command::Run;
use lab_kinds::metal::server::hardware::{Architecture, Contents, Hardware};
use lab_kinds::metal::server::{Disk, Nic, VolumeGroup};
use lab_object::mac::MacAddress;
use std::path::Path;

/// Everything that was read from a machine.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Observation {
    /// SMBIOS UUID, in lower case; absent where the firmware has none.
    pub uuid: Option<String>,
    /// What it consists of, besides disks and NICs.
    pub hardware: Hardware,
    /// Its disks, by name.
    pub disks: Vec<Disk>,
    /// The LVM volume groups on them, by identifier.
    pub volume_groups: Vec<VolumeGroup>,
    /// Its network interfaces, by name.
    pub nics: Vec<Nic>,
    /// What could not be read, a sentence each.
    pub problems: Vec<String>,
}

/// Reads this machine.
///
/// `root` is `/`, or a folder that holds a recorded machine's `/sys` and `/proc`. `boot` is the NIC that the machine booted
/// over, where that is known. What cannot be read is left out and named in [`Observation::problems`]; a disk whose contents
/// cannot be read is never taken for an empty one.
pub fn observe(root: &Path, run: &dyn Run, boot: Option<MacAddress>) -> Observation {
    let tree = Tree::new(root);
    let tables = smbios::parse(&tree.bytes("sys/firmware/dmi/tables/DMI").unwrap_or_default());
    let mut problems = Vec::new();
    let (disks, volume_groups) = disks(&tree, run, &mut problems);
    let hardware = Hardware {
        manufacturer: tables.manufacturer.clone(),
        product: tables.product.clone(),
        serial: tables.serial.clone(),
        architecture: architecture(),
        cpu: processor::read(&tree),
        memory_bytes: processor::memory(&tree),
        dimms: tables.dimms.clone(),
        firmware: firmware::read(&tree, &tables),
        tpm: firmware::tpm(&tree),
        bmc: firmware::bmc(&tree, &tables),
    };
    Observation { uuid: tables.uuid, hardware, disks, volume_groups, nics: nic::read(&tree, boot), problems }
}

/// Reads the disks alone, as before each look at a plan.
pub fn disks(tree: &Tree, run: &dyn Run, problems: &mut Vec<String>) -> (Vec<Disk>, Vec<VolumeGroup>) {
    let mut disks = disk::read(tree);
    let lvm = lvm::read(run).unwrap_or_else(|error| {
        problems.push(format!("LVM's volume groups cannot be read: {error}"));
        lvm::Found::default()
    });
    for disk in &mut disks {
        let probe = Probe::new(run, tree.device(&disk.name));
        match probe.contents(disk.sector_bytes.unwrap_or(512)) {
            Ok(contents) => disk.contents = contents,
            Err(error) => {
                problems.push(format!("what is on {} cannot be read: {error}", disk.name));
                disk.contents = Contents::unreadable();
            }
        }
        lvm.name_members(disk);
    }
    let groups = lvm.groups(run, tree);
    (disks, groups)
}

fn architecture() -> Option<Architecture> {
    match std::env::consts::ARCH {
        "x86_64" => Some(Architecture::Amd64),
        "aarch64" => Some(Architecture::Arm64),
        _ => None,
    }
}
