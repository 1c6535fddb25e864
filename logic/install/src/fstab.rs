//! The installed system's `/etc/fstab`.
//!
//! Partitions are named by their file systems' identifiers, volumes by LVM's path, so that it holds whatever the kernel
//! calls the disks.

use lab_kinds::metal::disk_layout::Tmpfs;
use lab_kinds::metal::server::{FileSystemFate, Plan};

/// A line's fields: what, where, type, options, dump, check.
type Line = [String; 6];

/// How long the system waits for a device before it gives up and asks for a person. systemd's own 90 seconds (systemd.mount(5)) are too few
/// for a slow machine that finds a hundred devices at once.
const DEVICE_TIMEOUT: &str = "x-systemd.device-timeout=10min";

/// Renders the table of a plan that can be approved, the root first, with aligned columns.
pub fn render(plan: &Plan) -> String {
    let mut lines = on_disk(plan, |_| true);
    lines.extend(in_memory(plan));
    aligned(&lines)
}

/// The lines of what a distribution's installer is not told of, and so does not write: what is preserved, which only the installed
/// system mounts, and what is in memory.
pub fn left_to_the_system(plan: &Plan) -> Vec<String> {
    let mut lines = on_disk(plan, |fate| fate == Some(FileSystemFate::Preserve));
    lines.extend(in_memory(plan));
    lines.iter().map(|line| line.join(" ")).collect()
}

/// The lines of file systems with such fates, the root first, swap last.
fn on_disk(plan: &Plan, chosen: impl Fn(Option<FileSystemFate>) -> bool) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    let partitions = plan.disks.iter().flat_map(|disk| &disk.partitions);
    for partition in partitions.filter(|p| chosen(p.file_system_fate)) {
        if let Some(mount) = &partition.mount {
            let source = format!("UUID={}", partition.file_system_uuid);
            lines.push(line(source, mount, &partition.file_system, &[]));
        }
    }
    if let Some(group) = &plan.volume_group {
        for volume in group.volumes.iter().filter(|v| chosen(v.file_system_fate)) {
            let source = volume_path(&group.name, &volume.name);
            match (&volume.mount, volume.file_system.as_str()) {
                (Some(mount), kind) => lines.push(line(source, mount, kind, &volume.mount_options)),
                (None, "swap") => lines.push(line(source, "none", "swap", &volume.mount_options)),
                (None, _) => {}
            }
        }
    }
    lines.sort_by(|a, b| order(a).cmp(&order(b)));
    lines
}

fn in_memory(plan: &Plan) -> Vec<Line> {
    let line_of = |tmpfs: &Tmpfs| {
        let options =
            ["nosuid", "nodev", "mode=1777", &format!("size={}", tmpfs.size.bytes)].map(String::from);
        line("tmpfs".into(), &tmpfs.mount, "tmpfs", &options)
    };
    plan.tmpfs.iter().map(line_of).collect()
}

/// Where a volume's device appears.
pub fn volume_path(group: &str, volume: &str) -> String {
    format!("/dev/{group}/{volume}")
}

fn line(source: String, mount: &str, kind: &str, options: &[String]) -> Line {
    let mut options = match (options, kind) {
        ([], "vfat") => "umask=0077".into(),
        ([], "swap") => "sw".into(),
        ([], _) => "defaults".into(),
        (options, _) => options.join(","),
    };
    if kind != "tmpfs" {
        options = format!("{options},{DEVICE_TIMEOUT}");
    }
    // XFS repairs itself when it is mounted; FAT and ext4 are checked before.
    let check = match (kind, mount) {
        ("ext4", "/") => "1",
        ("ext4" | "vfat", _) => "2",
        _ => "0",
    };
    [source, mount.into(), kind.into(), options, "0".into(), check.into()]
}

/// What is mounted in another follows it; swap comes last.
fn order(line: &Line) -> (bool, usize, &str) {
    let mount = line[1].as_str();
    (mount == "none", depth(mount), mount)
}

/// How many segments a path has.
pub fn depth(mount: &str) -> usize {
    mount.split('/').filter(|segment| !segment.is_empty()).count()
}

fn aligned(lines: &[Line]) -> String {
    let width = |at: usize| lines.iter().map(|line| line[at].len()).max().unwrap_or_default();
    let widths = [width(0), width(1), width(2), width(3)];
    let mut text =
        String::from("# Written by the installation. Partitions by file system, volumes by name.\n");
    for line in lines {
        for (field, width) in line.iter().zip(widths) {
            text.push_str(&format!("{field:width$}  "));
        }
        text.push_str(&format!("{} {}\n", line[4], line[5]));
    }
    text
}
