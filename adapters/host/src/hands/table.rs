//! Signatures and partition tables.

use super::{Hands, HandsError, shown};
use crate::command::Call;
use crate::observe::Probe;
use lab_kinds::metal::server::hardware::{Partition, PartitionTable, Signature};
use std::{
    path::{Path, PathBuf},
    thread::sleep,
    time::Duration,
};

impl Hands<'_> {
    /// Wipes every signature on a disk: those in its partitions first, its own last. Groups that are up on it are taken down
    /// before.
    ///
    /// # Errors
    /// The disk is not to be written to, is in use, or fails.
    pub fn wipe_signatures(&self, disk: &Path, partitions: &[PathBuf]) -> Result<(), HandsError> {
        self.may_write(disk)?;
        for partition in partitions.iter().filter(|partition| partition.exists()) {
            self.take_down(partition)?;
            self.succeed("wipefs", ["--all", "--force", &shown(partition)])?;
        }
        self.take_down(disk)?;
        self.succeed("wipefs", ["--all", "--force", &shown(disk)])?;
        self.flush(disk)
    }

    /// Writes a GUID partition table with these partitions (their signatures do not matter), and waits until the kernel has
    /// read it.
    ///
    /// # Errors
    /// The disk is not to be written to, is in use, or fails.
    pub fn partition_table(
        &self,
        disk: &Path,
        uuid: &str,
        partitions: &[Partition],
        sector_bytes: i64,
    ) -> Result<(), HandsError> {
        self.may_write(disk)?;
        let script = script(uuid, partitions, sector_bytes);
        let arguments = ["--wipe=always", "--wipe-partitions=always", "--quiet", &shown(disk)];
        self.run.succeed(&Call::new("sfdisk", arguments).reading(script))?;
        self.flush(disk)?;
        let missing = || partitions.iter().map(|p| partition_device(disk, p.number)).find(|p| !p.exists());
        for _ in 0..100 {
            if missing().is_none() {
                return Ok(());
            }
            sleep(Duration::from_millis(100));
        }
        match missing() {
            Some(device) => Err(HandsError::Missing { what: shown(&device) }),
            None => Ok(()),
        }
    }

    /// Whether a disk has this very table, and the kernel knows its partitions.
    ///
    /// # Errors
    /// The disk cannot be read.
    pub fn has_table(
        &self,
        disk: &Path,
        uuid: &str,
        partitions: &[Partition],
        sector_bytes: i32,
    ) -> Result<bool, HandsError> {
        let contents = Probe::new(self.run, disk).contents(sector_bytes)?;
        let bare = |p: &Partition| Partition { signature: Signature::default(), ..p.clone() };
        let found: Vec<_> = contents.partitions.iter().map(bare).collect();
        Ok(contents.partition_table == Some(PartitionTable::Gpt)
            && contents.uuid.eq_ignore_ascii_case(uuid)
            && found == partitions.iter().map(bare).collect::<Vec<_>>()
            && partitions.iter().all(|p| partition_device(disk, p.number).exists()))
    }

    /// Whether nothing is on a disk, neither table nor signature.
    ///
    /// # Errors
    /// The disk cannot be read.
    pub fn is_empty(&self, disk: &Path, sector_bytes: i32) -> Result<bool, HandsError> {
        Ok(Probe::new(self.run, disk).contents(sector_bytes)? == Default::default())
    }

    /// The identifier of a disk's partition table; empty where there is none.
    ///
    /// # Errors
    /// The disk cannot be read.
    pub fn table_uuid(&self, disk: &Path, sector_bytes: i32) -> Result<String, HandsError> {
        Ok(Probe::new(self.run, disk).contents(sector_bytes)?.uuid)
    }

    /// The identifier of what stands on a device; empty where nothing is known.
    ///
    /// # Errors
    /// The device cannot be read.
    pub fn identifier(&self, device: &Path) -> Result<String, HandsError> {
        Ok(Probe::new(self.run, device).signature(None)?.uuid)
    }

    /// Has everything that was written to a device reach it.
    pub(super) fn flush(&self, device: &Path) -> Result<(), HandsError> {
        self.succeed("blockdev", ["--flushbufs", &shown(device)])?;
        Ok(())
    }
}

/// The device of a disk's partition: `/dev/sda3`, `/dev/nvme0n1p3`.
pub fn partition_device(disk: &Path, number: i32) -> PathBuf {
    let disk = shown(disk);
    let separator = if disk.ends_with(|c: char| c.is_ascii_digit()) { "p" } else { "" };
    PathBuf::from(format!("{disk}{separator}{number}"))
}

/// What sfdisk reads.
fn script(uuid: &str, partitions: &[Partition], sector_bytes: i64) -> String {
    let mut script = format!("label: gpt\nlabel-id: {uuid}\nunit: sectors\n");
    for partition in partitions {
        let (start, size) = (partition.start_bytes / sector_bytes, partition.size_bytes / sector_bytes);
        script.push_str(&format!(
            "{}: start={start}, size={size}, type={}, uuid={}, name=\"{}\"\n",
            partition.number, partition.kind, partition.uuid, partition.name
        ));
    }
    script
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_sfdisk_reads() {
        let partition = Partition {
            number: 2,
            name: "boot".into(),
            kind: "0fc63daf".into(),
            uuid: "ee1c".into(),
            start_bytes: 1 << 20,
            size_bytes: 3 << 30,
            signature: Signature::default(),
        };
        let expected = "label: gpt\nlabel-id: 6c4a\nunit: sectors\n2: start=256, size=786432, type=0fc63daf, uuid=ee1c, name=\"boot\"\n";
        assert_eq!(script("6c4a", &[partition], 4096), expected);
        assert_eq!(partition_device(Path::new("/dev/nvme0n1"), 3), Path::new("/dev/nvme0n1p3"));
        assert_eq!(partition_device(Path::new("/dev/vda"), 12), Path::new("/dev/vda12"));
    }
}
