//! What a plan is approved by, and the identifiers of all that it makes.
//!
//! # The canonical form, version 2
//!
//! The hash is SHA-256 over lines `name=length:value` and a newline, where `length` counts the value's bytes, so that no
//! value can pass for another field. The first line names the form and its version. In this order:
//!
//! - the machine's UUID, the reprovision number, the operating system and its image's checksum, the layout, role
//!   and firmware;
//! - every disk that belongs to the machine (neither removable nor USB nor on the network, unless it is taken), sorted by
//!   WWN, serial, size and contents: its identity, size, fate, all that was seen on it, and all that its partitions will
//!   be;
//! - every volume group that was seen, sorted by identifier, on which disks' partitions it lies, and its volumes by name;
//! - the volume group that will be, and its volumes in their order; the file systems in memory.
//!
//! Left out is what does not matter: the kernel's names of disks, the order they were found in, sentences for people, the
//! time, the object's generation, and the identifiers of what is made, which are derived from the hash itself.

use crate::observed::{DiskId, belongs, place};
use crate::plan::{PHYSICAL_VOLUME, role_name};
use lab_kinds::metal::server::hardware::{Contents, FirmwareType, PartitionTable, Signature};
use lab_kinds::metal::server::{
    DiskPlan, Fate, FileSystemFate, PartitionPlan, Plan, VolumeGroup, VolumeGroupPlan,
};
use sha2::{Digest, Sha256};
use std::fmt::{Display, Write};

/// The form's name and version; another version yields other hashes, so that every plan needs approval again.
pub const FORM: &str = "lab-disk-plan/2";

/// The hash of a plan: `sha256:` and 64 hexadecimal digits. It does not look at `plan.hash`.
pub fn of(plan: &Plan) -> String {
    format!("sha256:{}", hex(&Sha256::digest(canonical(plan))))
}

/// The plan's canonical form.
pub fn canonical(plan: &Plan) -> String {
    let mut form = Form::default();
    form.put("form", FORM);
    form.put("machine", plan.machine.as_deref().unwrap_or_default());
    form.put("reprovision", plan.reprovision.unwrap_or_default());
    form.put("operatingSystem", &plan.operating_system);
    form.put("image", plan.image.as_deref().unwrap_or_default());
    form.put("layout", &plan.layout);
    form.put("role", plan.role.map(role_name).unwrap_or_default());
    form.put("firmware", plan.firmware.map(firmware).unwrap_or_default());
    let mut disks: Vec<_> = plan.disks.iter().filter(|disk| matters(disk)).map(disk_form).collect();
    disks.sort();
    disks.iter().for_each(|disk| form.put("disk", disk));
    let mut groups: Vec<_> = plan.found_volume_groups.iter().map(|g| found_form(g, &plan.disks)).collect();
    groups.sort();
    groups.iter().for_each(|group| form.put("found", group));
    if let Some(group) = &plan.volume_group {
        form.put("volumeGroup", group_form(group));
    }
    for tmpfs in &plan.tmpfs {
        form.put("tmpfs", format_args!("{} {}", tmpfs.size.bytes, tmpfs.mount));
    }
    form.0
}

/// Whether a disk's coming or going changes the plan: one that belongs to the machine, or that the plan works on.
pub fn matters(disk: &DiskPlan) -> bool {
    belongs(disk.transport, disk.removable) || is_worked_on(disk)
}

/// Whether the plan does anything to the disk.
pub fn is_worked_on(disk: &DiskPlan) -> bool {
    disk.fate != Fate::Keep
}

/// Lines of `name=length:value`.
#[derive(Default)]
struct Form(String);

impl Form {
    fn put(&mut self, name: &str, value: impl Display) {
        let value = value.to_string();
        // Writing to a String cannot fail.
        let _ = writeln!(self.0, "{name}={}:{value}", value.len());
    }
}

fn disk_form(disk: &DiskPlan) -> String {
    let mut form = Form::default();
    let id = DiskId::from(disk);
    form.put("wwn", id.wwn);
    form.put("serial", id.serial);
    form.put("size", disk.size_bytes);
    form.put("contents", contents_form(&disk.contents));
    form.put("fate", fate(disk.fate));
    disk.partitions.iter().for_each(|p| form.put("partition", partition_form(p)));
    form.0
}

fn contents_form(contents: &Contents) -> String {
    let mut form = Form::default();
    form.put(
        "table",
        match contents.partition_table {
            None => "",
            Some(PartitionTable::Gpt) => "gpt",
            Some(PartitionTable::Mbr) => "mbr",
        },
    );
    form.put("uuid", &contents.uuid);
    put_signature(&mut form, &contents.signature);
    let mut partitions: Vec<_> = contents.partitions.iter().collect();
    partitions.sort_by_key(|p| p.number);
    for partition in partitions {
        form.put("number", partition.number);
        form.put("name", &partition.name);
        form.put("type", &partition.kind);
        form.put("uuid", &partition.uuid);
        form.put("start", partition.start_bytes);
        form.put("size", partition.size_bytes);
        put_signature(&mut form, &partition.signature);
    }
    form.0
}

fn put_signature(form: &mut Form, signature: &Signature) {
    form.put("signature", &signature.kind);
    form.put("label", &signature.label);
    form.put("id", &signature.uuid);
    form.put("memberOf", &signature.member_of);
}

fn partition_form(partition: &PartitionPlan) -> String {
    let mut form = Form::default();
    form.put("number", partition.number);
    form.put("name", &partition.name);
    form.put("fate", fate(partition.fate));
    form.put("type", &partition.kind);
    form.put("start", partition.start_bytes);
    form.put("size", partition.size_bytes);
    form.put("fileSystem", &partition.file_system);
    form.put("fileSystemFate", file_system_fate(partition.file_system_fate));
    form.put("mount", partition.mount.as_deref().unwrap_or_default());
    form.0
}

fn found_form(group: &VolumeGroup, disks: &[DiskPlan]) -> String {
    let mut form = Form::default();
    form.put("uuid", &group.uuid);
    form.put("name", &group.name);
    form.put("size", group.size_bytes);
    form.put("extent", group.extent_bytes.unwrap_or_default());
    form.put("incomplete", group.incomplete);
    let mut devices: Vec<_> = group.devices.iter().map(|device| device_form(device, disks)).collect();
    devices.sort();
    devices.iter().for_each(|device| form.put("device", device));
    let mut volumes: Vec<_> = group.volumes.iter().collect();
    volumes.sort_by(|a, b| a.name.cmp(&b.name));
    for volume in volumes {
        form.put("volume", &volume.name);
        form.put("size", volume.size_bytes);
        put_signature(&mut form, &volume.signature);
    }
    form.0
}

/// A device by its disk's identity and its number there.
fn device_form(device: &str, disks: &[DiskPlan]) -> String {
    let found = disks.iter().find_map(|disk| Some((disk, place(device, &disk.name)?)));
    match found {
        None => "elsewhere".into(),
        Some((disk, number)) => format!("{} {}", DiskId::from(disk), number.unwrap_or_default()),
    }
}

fn group_form(group: &VolumeGroupPlan) -> String {
    let mut form = Form::default();
    form.put("name", &group.name);
    form.put("uuid", group.uuid.as_deref().unwrap_or_default());
    form.put("fate", fate(group.fate));
    form.put("extent", group.extent_bytes);
    for volume in &group.volumes {
        form.put("volume", &volume.name);
        form.put("fate", fate(volume.fate));
        form.put("size", volume.size_bytes);
        form.put("fileSystem", &volume.file_system);
        form.put("fileSystemFate", file_system_fate(volume.file_system_fate));
        form.put("mount", volume.mount.as_deref().unwrap_or_default());
        volume.mount_options.iter().for_each(|option| form.put("option", option));
    }
    form.0
}

fn firmware(firmware: FirmwareType) -> &'static str {
    match firmware {
        FirmwareType::Uefi => "uefi",
        FirmwareType::Bios => "bios",
    }
}

fn fate(fate: Fate) -> &'static str {
    match fate {
        Fate::Keep => "keep",
        Fate::Again => "again",
        Fate::Create => "create",
        Fate::Wipe => "wipe",
    }
}

fn file_system_fate(fate: Option<FileSystemFate>) -> &'static str {
    match fate {
        None => "",
        Some(FileSystemFate::Create) => "create",
        Some(FileSystemFate::Recreate) => "recreate",
        Some(FileSystemFate::Reuse) => "reuse",
        Some(FileSystemFate::Preserve) => "preserve",
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Sixteen bytes that only this plan yields for this name.
fn derived(hash: &str, name: &str) -> [u8; 16] {
    let digest = Sha256::digest(format!("{hash} {name}"));
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    bytes
}

/// The UUID (version 8, RFC 9562) of something that the plan makes.
pub fn uuid(hash: &str, name: &str) -> String {
    let mut bytes = derived(hash, name);
    bytes[6] = bytes[6] & 0x0f | 0x80;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let digits = hex(&bytes);
    [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]].join("-")
}

/// The UUID of the partition table that the plan makes.
pub fn table_uuid(hash: &str) -> String {
    uuid(hash, "table")
}

/// LVM's form of an identifier: 32 letters and digits in groups of 6-4-4-4-4-4-6.
fn lvm_uuid(hash: &str, name: &str) -> String {
    const LETTERS: &[u8; 62] = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    let digest = Sha256::digest(format!("{hash} {name}"));
    let mut text = String::new();
    for (at, byte) in digest.iter().enumerate() {
        if matches!(at, 6 | 10 | 14 | 18 | 22 | 26) {
            text.push('-');
        }
        text.push(char::from(LETTERS[usize::from(*byte) % LETTERS.len()]));
    }
    text
}

/// The identifier of a file system of this kind.
fn file_system_uuid(hash: &str, kind: &str, name: &str) -> String {
    match kind {
        // FAT has a serial number of 32 bits only, as blkid writes it.
        "vfat" => {
            let bytes = derived(hash, name);
            format!("{:02X}{:02X}-{:02X}{:02X}", bytes[0], bytes[1], bytes[2], bytes[3])
        }
        PHYSICAL_VOLUME => lvm_uuid(hash, name),
        _ => uuid(hash, name),
    }
}

/// Gives all that a plan makes the identifiers that follow from its hash: the executor sees by them what is done already.
pub fn name_what_is_new(plan: &mut Plan, hash: &str) {
    let made = |fate| matches!(fate, Some(FileSystemFate::Create | FileSystemFate::Recreate));
    for partition in plan.disks.iter_mut().flat_map(|disk| &mut disk.partitions) {
        let name = format!("partition {}", partition.number);
        let new = partition.fate == Fate::Create;
        if new {
            partition.uuid = uuid(hash, &name);
        }
        let holds_group = partition.file_system == PHYSICAL_VOLUME;
        if made(partition.file_system_fate) || (new && holds_group) {
            partition.file_system_uuid =
                file_system_uuid(hash, &partition.file_system, &format!("in {name}"));
        }
    }
    for volume in plan.volume_group.iter_mut().flat_map(|group| &mut group.volumes) {
        if made(volume.file_system_fate) {
            volume.file_system_uuid =
                file_system_uuid(hash, &volume.file_system, &format!("in volume {}", volume.name));
        }
    }
}
