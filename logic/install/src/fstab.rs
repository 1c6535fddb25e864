//! The installed system's `/etc/fstab`.
//!
//! Partitions are named by their file systems' identifiers, volumes by LVM's path, so that it holds whatever the kernel
//! calls the disks.

use lab_kinds::metal::server::Plan;

/// A line's fields: what, where, type, options, dump, check.
type Line = [String; 6];

/// Renders the table of a plan that can be approved, the root first, with aligned columns.
pub fn render(plan: &Plan) -> String {
    let mut lines: Vec<Line> = Vec::new();
    for partition in plan.disks.iter().flat_map(|disk| &disk.partitions) {
        if let Some(mount) = &partition.mount {
            let source = format!("UUID={}", partition.file_system_uuid);
            lines.push(line(source, mount, &partition.file_system, &[]));
        }
    }
    if let Some(group) = &plan.volume_group {
        for volume in &group.volumes {
            let source = volume_path(&group.name, &volume.name);
            match (&volume.mount, volume.file_system.as_str()) {
                (Some(mount), kind) => lines.push(line(source, mount, kind, &volume.mount_options)),
                (None, "swap") => lines.push(line(source, "none", "swap", &volume.mount_options)),
                (None, _) => {}
            }
        }
    }
    lines.sort_by(|a, b| order(a).cmp(&order(b)));
    lines.extend(plan.tmpfs.iter().map(|tmpfs| {
        let options =
            ["nosuid", "nodev", "mode=1777", &format!("size={}", tmpfs.size.bytes)].map(String::from);
        line("tmpfs".into(), &tmpfs.mount, "tmpfs", &options)
    }));
    aligned(&lines)
}

/// Where a volume's device appears.
pub fn volume_path(group: &str, volume: &str) -> String {
    format!("/dev/{group}/{volume}")
}

fn line(source: String, mount: &str, kind: &str, options: &[String]) -> Line {
    let options = match (options, kind) {
        ([], "vfat") => "umask=0077".into(),
        ([], "swap") => "sw".into(),
        ([], _) => "defaults".into(),
        (options, _) => options.join(","),
    };
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
