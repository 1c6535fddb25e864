//! What becomes of each partition and volume of a disk that is installed again, told to partman by a hook.

use super::super::shell::{Statement, Word};
use super::disk;
use crate::answer::shell::words;
use crate::fstab;
use lab_kinds::metal::server::{DiskPlan, FileSystemFate, VolumeGroupPlan};

/// The hook, which is the same for every machine.
const HOOK: &str = include_str!("../shell/assign.sh");
/// Where the hook stands: after partman has found what is on the disks.
const PLACE: &str = "/lib/partman/init.d/95lab";
/// What the hook reads: a line for each, of device, method, file system, place, `format` or `keep`, and options.
const TABLE: &str = "/tmp/lab-assign";

/// Writes the table and the hook.
pub fn hook(chosen: &DiskPlan, group: &VolumeGroupPlan) -> Vec<Statement> {
    let mut lines = Vec::new();
    for p in &chosen.partitions {
        if let (Some(mount), true) = (&p.mount, disk::is_seen(p.file_system_fate)) {
            let is_efi = p.kind == crate::plan::EFI_SYSTEM;
            let device = disk::partition(p.number);
            lines.push(line(device, is_efi, &p.file_system, mount, p.file_system_fate, &[]));
        }
    }
    for v in group.volumes.iter().filter(|v| disk::is_seen(v.file_system_fate)) {
        let device = fstab::volume_path(&group.name, &v.name).into();
        let mount = v.mount.as_deref().unwrap_or("none");
        lines.push(line(device, false, &v.file_system, mount, v.file_system_fate, &v.mount_options));
    }
    vec![
        Statement::Write { path: TABLE.into(), mode: 0o600, lines },
        Statement::Write {
            path: PLACE.into(),
            mode: 0o755,
            lines: super::super::shell::lines(&HOOK.replace('\t', "  ")),
        },
        Statement::Try(words!["test", "-x", PLACE]),
    ]
}

fn line(
    device: Word,
    is_efi: bool,
    kind: &str,
    mount: &str,
    fate: Option<FileSystemFate>,
    options: &[String],
) -> Word {
    let keep = fate == Some(FileSystemFate::Reuse);
    let method = match (is_efi, kind, keep) {
        (true, ..) => "efi",
        (_, "swap", _) => "swap",
        (_, _, true) => "keep",
        _ => "format",
    };
    let kind = if kind == "vfat" { "fat32" } else { kind };
    let format = if keep { "keep" } else { "format" };
    let options = if options.is_empty() { "defaults".into() } else { options.join(",") };
    device.and(format!(" {method} {kind} {mount} {format} {options}"))
}
