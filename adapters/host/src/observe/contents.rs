//! What is on a device: its partition table, and the signatures of file systems, volumes and arrays.
//!
//! Signatures are read by `blkid` and tables by `sfdisk` (both of util-linux), which know every form that there is; partitions
//! and volumes are read at their places on the whole disk, so that nothing has to be activated or have a device of its own.

use crate::command::{Call, CallError, Run};
use lab_kinds::metal::server::hardware::{Contents, Partition, PartitionTable, Signature};
use serde::Deserialize;
use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

/// Why the contents of a device could not be read.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// The device answers with an error.
    #[error("{} cannot be read", device.display())]
    Device {
        /// The device.
        device: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A tool failed.
    #[error(transparent)]
    Tool(#[from] CallError),
    /// A tool said what is not understood.
    #[error("what sfdisk says of {} is not understood", device.display())]
    Table {
        /// The device.
        device: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
}

/// A device that is looked at.
pub struct Probe<'a> {
    run: &'a dyn Run,
    device: PathBuf,
}

impl<'a> Probe<'a> {
    /// Looks at a device by its path.
    pub fn new(run: &'a dyn Run, device: impl Into<PathBuf>) -> Self {
        Self { run, device: device.into() }
    }

    /// What is on the whole device, whose sectors have so many bytes.
    ///
    /// # Errors
    /// The device cannot be read, or a tool fails on it.
    pub fn contents(&self, sector_bytes: i32) -> Result<Contents, Unreadable> {
        ends_can_be_read(&self.device)
            .map_err(|source| Unreadable::Device { device: self.device.clone(), source })?;
        let found = self.blkid(None)?;
        let mut contents = Contents { signature: found.signature, ..Contents::default() };
        contents.partition_table = match found.table.as_str() {
            "gpt" => Some(PartitionTable::Gpt),
            "dos" => Some(PartitionTable::Mbr),
            // Tables of other systems are named as what stands on the disk.
            other => {
                if contents.signature.kind.is_empty() {
                    contents.signature.kind = other.into();
                }
                None
            }
        };
        if contents.partition_table.is_some() {
            contents.uuid = found.table_uuid.to_lowercase();
            contents.partitions = self.partitions(i64::from(sector_bytes))?;
        }
        Ok(contents)
    }

    /// What stands in a range of the device: where it begins and its size, both in bytes; without one, on the whole of it.
    ///
    /// # Errors
    /// blkid cannot be started.
    pub fn signature(&self, range: Option<(i64, i64)>) -> Result<Signature, Unreadable> {
        Ok(self.blkid(range)?.signature)
    }

    fn blkid(&self, range: Option<(i64, i64)>) -> Result<Found, CallError> {
        let mut arguments = vec!["--probe".to_owned(), "--output".into(), "export".into()];
        if let Some((offset, size)) = range {
            arguments.extend(["--offset".into(), offset.to_string(), "--size".into(), size.to_string()]);
        }
        arguments.push(self.device.display().to_string());
        let ended = self.run.run(&Call::new("blkid", arguments))?;
        Ok(match ended.code {
            // Several signatures that exclude each other: somebody's data, but whose is not known.
            Some(8) => Found {
                signature: Signature { kind: "ambivalent".into(), ..Signature::default() },
                ..Found::default()
            },
            _ => parse_blkid(&ended.output),
        })
    }

    fn partitions(&self, sector_bytes: i64) -> Result<Vec<Partition>, Unreadable> {
        let device = self.device.display().to_string();
        let text = self.run.succeed(&Call::new("sfdisk", ["--json", &device]))?;
        let mut partitions = parse_sfdisk(&text, &device, sector_bytes)
            .map_err(|source| Unreadable::Table { device: self.device.clone(), source })?;
        for partition in &mut partitions {
            // An extended partition holds others, and its first sector a table that looks like a disk's.
            if !matches!(partition.kind.as_str(), "5" | "f" | "85") {
                partition.signature = self.signature(Some((partition.start_bytes, partition.size_bytes)))?;
            }
        }
        Ok(partitions)
    }
}

/// Whether the first and the last 4 KiB can be read: tables and signatures stand there, and blkid does not tell an empty
/// disk from one that it cannot read.
fn ends_can_be_read(device: &Path) -> io::Result<()> {
    let mut file = File::open(device)?;
    let mut block = [0; 4096];
    let size = file.seek(SeekFrom::End(0))?;
    for at in [0, size.saturating_sub(4096)] {
        file.seek(SeekFrom::Start(at))?;
        let wanted = block.len().min(usize::try_from(size).unwrap_or(usize::MAX));
        file.read_exact(&mut block[..wanted])?;
    }
    Ok(())
}

/// What blkid says.
#[derive(Debug, Default, PartialEq)]
struct Found {
    table: String,
    table_uuid: String,
    signature: Signature,
}

/// Reads blkid's `export` form: lines of NAME=value, special characters behind backslashes.
fn parse_blkid(text: &str) -> Found {
    let mut found = Found::default();
    for (name, value) in text.lines().filter_map(|line| line.split_once('=')) {
        let place = match name {
            "TYPE" => &mut found.signature.kind,
            "LABEL" => &mut found.signature.label,
            "UUID" => &mut found.signature.uuid,
            "PTTYPE" => &mut found.table,
            "PTUUID" => &mut found.table_uuid,
            _ => continue,
        };
        *place = unescaped(value);
    }
    if found.signature.kind.ends_with("_raid_member") {
        found.signature.member_of.clone_from(&found.signature.label);
    }
    found
}

fn unescaped(value: &str) -> String {
    let (mut text, mut escaped) = (String::new(), false);
    for c in value.chars() {
        escaped = c == '\\' && !escaped;
        if !escaped {
            text.push(c);
        }
    }
    text
}

#[derive(Deserialize)]
struct Sfdisk {
    partitiontable: Table,
}

#[derive(Deserialize)]
struct Table {
    #[serde(default)]
    partitions: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    node: String,
    start: i64,
    size: i64,
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    uuid: String,
    #[serde(default)]
    name: String,
}

/// Reads `sfdisk --json`, whose numbers are sectors.
fn parse_sfdisk(text: &str, device: &str, sector_bytes: i64) -> Result<Vec<Partition>, serde_json::Error> {
    let table = serde_json::from_str::<Sfdisk>(text)?.partitiontable;
    let number = |node: &str| node.strip_prefix(device)?.trim_start_matches('p').parse().ok();
    let entries = table.partitions.into_iter().filter_map(|entry| {
        Some(Partition {
            number: number(&entry.node)?,
            name: entry.name,
            kind: entry.kind.to_lowercase(),
            uuid: entry.uuid.to_lowercase(),
            start_bytes: entry.start.saturating_mul(sector_bytes),
            size_bytes: entry.size.saturating_mul(sector_bytes),
            signature: Signature::default(),
        })
    });
    Ok(entries.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_blkid_says() {
        let check = |text: &str, expected: [&str; 6]| {
            let found = parse_blkid(text);
            let signature = &found.signature;
            let fields = [&signature.kind, &signature.label, &signature.uuid, &signature.member_of];
            let all = fields.into_iter().chain([&found.table, &found.table_uuid]);
            assert_eq!(all.collect::<Vec<_>>(), expected, "{text}");
        };
        check("", [""; 6]);
        check(
            "DEVNAME=/dev/sda\nPTUUID=ee1cbc00-3523\nPTTYPE=gpt\n",
            ["", "", "", "", "gpt", "ee1cbc00-3523"],
        );
        check(
            "LABEL=a\\ b\\\"c\\$\\\\\nUUID=1\nTYPE=ext4\nUSAGE=filesystem\n",
            ["ext4", "a b\"c$\\", "1", "", "", ""],
        );
        check(
            "UUID=9a\nLABEL=host:0\nTYPE=linux_raid_member\n",
            ["linux_raid_member", "host:0", "9a", "host:0", "", ""],
        );
    }

    #[test]
    fn what_sfdisk_says() {
        let text = r#"{"partitiontable": {"label": "gpt", "id": "6C4A", "device": "/dev/nvme0n1", "unit": "sectors",
            "sectorsize": 512, "partitions": [
            {"node": "/dev/nvme0n1p1", "start": 2048, "size": 204800, "type": "C12A7328", "uuid": "EE1C", "name": "efi"},
            {"node": "/dev/nvme0n1p12", "start": 206848, "size": 8, "type": "E6D6", "uuid": "EE1D"}]}}"#;
        let found = parse_sfdisk(text, "/dev/nvme0n1", 4096).unwrap();
        let efi = Partition {
            number: 1,
            name: "efi".into(),
            kind: "c12a7328".into(),
            uuid: "ee1c".into(),
            start_bytes: 2048 * 4096,
            size_bytes: 204800 * 4096,
            signature: Signature::default(),
        };
        assert_eq!(found[0], efi);
        assert_eq!((found[1].number, found[1].name.as_str()), (12, ""));
        let empty = r#"{"partitiontable": {"label": "gpt", "device": "/dev/sda"}}"#;
        assert_eq!(parse_sfdisk(empty, "/dev/sda", 512).unwrap(), []);
        assert!(parse_sfdisk("", "/dev/sda", 512).is_err());
    }
}
