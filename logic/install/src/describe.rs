//! A plan as people read it before they approve it.

use crate::approval::losses;
use crate::choose::transport;
use crate::observed::DiskId;
use crate::plan::role_name;
use crate::sizes::{bytes, said};
use lab_kinds::metal::server::hardware::FirmwareType;
use lab_kinds::metal::server::{DiskPlan, Fate, FileSystemFate, PartitionPlan, Plan, VolumePlan};
use std::fmt::Write;

/// The whole plan: a line on what it is for, then every disk with its fate and reason, the volumes, what is lost, and the
/// hash. Sizes are exact. Lines end with a newline; nothing is coloured.
pub fn text(plan: &Plan) -> String {
    let mut text = heading(plan);
    if let Some(why) = &plan.refused {
        text.push_str(&format!("\nRefused: {why}.\n"));
    }
    for disk in &plan.disks {
        text.push('\n');
        text.push_str(&of_disk(disk));
    }
    if let Some(group) = &plan.volume_group {
        let free = match group.free_bytes {
            0 => String::new(),
            free => format!(", {} stay free", said(free)),
        };
        text.push_str(&format!("\nvolume group {}: {}{free}\n", group.name, fate(group.fate)));
        text.push_str(&columns(group.volumes.iter().map(volume_row)));
    }
    if !plan.tmpfs.is_empty() {
        text.push_str("\nin memory\n");
        text.push_str(&columns(plan.tmpfs.iter().map(|t| row([&t.mount, &t.size.to_string(), "tmpfs"]))));
    }
    text.push_str(&ending(plan));
    text
}

fn heading(plan: &Plan) -> String {
    let firmware = match plan.firmware {
        Some(FirmwareType::Uefi) => ", UEFI",
        Some(FirmwareType::Bios) => ", BIOS",
        None => "",
    };
    let role = plan.role.map(|role| format!(", role {}", role_name(role))).unwrap_or_default();
    format!("{} with layout {}{role}{firmware}\n", plan.operating_system, plan.layout)
}

fn of_disk(disk: &DiskPlan) -> String {
    let mut text = format!("{}  {}\n", disk.name, fate(disk.fate));
    let mut line = |name: &str, value: &str| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  {name:<9} {value}");
    };
    line("identity", &DiskId::from(disk).to_string());
    let transport = disk.transport.map(|t| format!(", {}", transport(Some(t)))).unwrap_or_default();
    // As it stands on the disk's label, by which people find it.
    let size = bytes(disk.size_bytes);
    line("size", &format!("{:.1} GB ({size} bytes){transport}", size as f64 / 1e9));
    line("now", &disk.now);
    if !disk.why.is_empty() {
        line("why", &disk.why);
    }
    text.push_str(&columns(disk.partitions.iter().map(partition_row)));
    text
}

/// A fate in a word or two.
pub fn fate(fate: Fate) -> &'static str {
    match fate {
        Fate::Keep => "keep",
        Fate::Again => "install again",
        Fate::Create => "create",
        Fate::Wipe => "wipe",
    }
}

/// The fate of a file system in a word; where there is none, that of what it would stand in.
pub fn part_fate(part: Fate, file_system: Option<FileSystemFate>) -> &'static str {
    match file_system {
        Some(FileSystemFate::Create) => "create",
        Some(FileSystemFate::Recreate) => "recreate",
        Some(FileSystemFate::Reuse) => "reuse",
        Some(FileSystemFate::Preserve) => "preserve",
        None => fate(part),
    }
}

fn partition_row(partition: &PartitionPlan) -> Vec<String> {
    row([
        &format!("{} {}", partition.number, partition.name),
        &said(partition.size_bytes).to_string(),
        &partition.file_system,
        partition.mount.as_deref().unwrap_or_default(),
        part_fate(partition.fate, partition.file_system_fate),
        &partition.why,
    ])
}

fn volume_row(volume: &VolumePlan) -> Vec<String> {
    row([
        &volume.name,
        &said(volume.size_bytes).to_string(),
        &volume.file_system,
        volume.mount.as_deref().unwrap_or_default(),
        part_fate(volume.fate, volume.file_system_fate),
        &volume.why,
    ])
}

fn row<const N: usize>(cells: [&str; N]) -> Vec<String> {
    cells.map(|cell| if cell.is_empty() { "-".into() } else { cell.to_owned() }).into()
}

/// Rows with aligned columns, the second to the right; nothing trails.
fn columns(rows: impl Iterator<Item = Vec<String>>) -> String {
    let rows: Vec<_> = rows.collect();
    let longest = rows.iter().map(Vec::len).max().unwrap_or_default();
    let width = |at: usize| rows.iter().filter_map(|row| row.get(at)).map(|c| c.chars().count()).max();
    let widths: Vec<_> = (0..longest).map(|at| width(at).unwrap_or_default()).collect();
    let mut text = String::new();
    for row in &rows {
        let mut line = String::from("  ");
        for (at, (cell, &width)) in row.iter().zip(&widths).enumerate() {
            let _ = match at {
                1 => write!(line, "  {cell:>width$}"),
                _ => write!(line, "  {cell:width$}"),
            };
        }
        let line = line.trim_end();
        text.push_str(line.strip_suffix("  -").map_or(line, str::trim_end));
        text.push('\n');
    }
    text
}

fn ending(plan: &Plan) -> String {
    let mut text = String::new();
    let lost = losses(plan);
    if plan.hash.is_some() {
        match lost.as_slice() {
            [] => text.push_str("\nNothing that is on a disk now is lost.\n"),
            lost => {
                text.push_str("\nLost when this is carried out:\n");
                lost.iter().for_each(|what| text.push_str(&format!("  {what}\n")));
            }
        }
    }
    if let Some(hash) = &plan.hash {
        let state = if plan.approved { "approved" } else { "not approved" };
        text.push_str(&format!("\nhash {hash}\n{state}\n"));
    }
    text
}
