//! LVM's volume groups, as `lvm` reads them from the disks without activating anything.

use super::{Probe, Tree};
use crate::command::{Call, CallError, Run};
use lab_kinds::metal::server::hardware::{LogicalVolume, Signature};
use lab_kinds::metal::server::{Disk, VolumeGroup};
use serde_json::Value;

/// Why LVM's report could not be had.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// `lvm` failed.
    #[error(transparent)]
    Tool(#[from] CallError),
    /// `lvm` said what is not understood.
    #[error("what lvm {report} says is not understood")]
    Report {
        /// Which report.
        report: &'static str,
        /// Why.
        source: serde_json::Error,
    },
}

/// What `lvm` found on the disks.
#[derive(Debug, Default)]
pub struct Found {
    groups: Vec<Value>,
    physical: Vec<Value>,
    segments: Vec<Value>,
}

/// Nothing is locked, no device is taken from what udev knows, and the device mapper is not spoken to.
pub const READING: [&str; 2] = ["--readonly", "--driverloaded=n"];

/// All physical volumes, groups, volumes and where these lie.
///
/// # Errors
/// `lvm` cannot be started, fails, or says what is not understood.
pub fn read(run: &dyn Run) -> Result<Found, Unreadable> {
    let report = |report: &'static str, list: &str, fields: &str, more: &[&str]| {
        let fixed = ["--reportformat=json", "--units=b", "--nosuffix", "--options", fields];
        let arguments = [report].into_iter().chain(READING).chain(fixed).chain(more.iter().copied());
        let text = run.succeed(&Call::new("lvm", arguments))?;
        rows(&text, list).map_err(|source| Unreadable::Report { report, source })
    };
    Ok(Found {
        groups: report(
            "vgs",
            "vg",
            "vg_uuid,vg_name,vg_size,vg_free,vg_extent_size,vg_missing_pv_count",
            &[],
        )?,
        physical: report("pvs", "pv", "pv_name,pv_uuid,vg_uuid,vg_name,pe_start", &[])?,
        segments: report(
            "lvs",
            "seg",
            "vg_uuid,lv_name,lv_size,segtype,seg_start,seg_size,seg_pe_ranges",
            &["--segments"],
        )?,
    })
}

fn rows(text: &str, list: &str) -> Result<Vec<Value>, serde_json::Error> {
    let report: Value = serde_json::from_str(text)?;
    let reports = report["report"].as_array().into_iter().flatten();
    Ok(reports.flat_map(|one| one[list].as_array().into_iter().flatten()).cloned().collect())
}

fn text<'a>(row: &'a Value, field: &str) -> &'a str {
    row[field].as_str().unwrap_or_default()
}

/// LVM writes numbers as texts, or as numbers, by its version.
fn number(row: &Value, field: &str) -> i64 {
    row[field].as_i64().or_else(|| text(row, field).parse().ok()).unwrap_or_default()
}

impl Found {
    /// Writes into the signatures of a disk's physical volumes which group they belong to.
    pub fn name_members(&self, disk: &mut Disk) {
        let whole = &mut disk.contents.signature;
        let parts = disk.contents.partitions.iter_mut().map(|partition| &mut partition.signature);
        for signature in parts.chain([whole]).filter(|s| s.kind == "LVM2_member") {
            let known = self.physical.iter().find(|row| text(row, "pv_uuid") == signature.uuid);
            signature.member_of = known.map(|row| text(row, "vg_name").to_owned()).unwrap_or_default();
        }
    }

    /// The groups, by identifier, with what stands in their volumes.
    pub fn groups(&self, run: &dyn Run, tree: &Tree) -> Vec<VolumeGroup> {
        let mut groups: Vec<_> = self.groups.iter().map(|row| self.group(row, run, tree)).collect();
        groups.sort_by(|a, b| a.uuid.cmp(&b.uuid));
        groups
    }

    fn group(&self, row: &Value, run: &dyn Run, tree: &Tree) -> VolumeGroup {
        let uuid = text(row, "vg_uuid");
        let of_group = |row: &&Value| text(row, "vg_uuid") == uuid;
        let physical = self.physical.iter().filter(of_group).map(|row| text(row, "pv_name"));
        let extent = number(row, "vg_extent_size");
        let mut volumes: Vec<LogicalVolume> = Vec::new();
        for segment in self.segments.iter().filter(of_group).filter(|row| number(row, "seg_start") == 0) {
            volumes.push(LogicalVolume {
                name: text(segment, "lv_name").into(),
                size_bytes: number(segment, "lv_size"),
                signature: self.signature(segment, extent, run, tree),
            });
        }
        volumes.sort_by(|a, b| a.name.cmp(&b.name));
        let mut devices: Vec<_> =
            physical.filter_map(|path| path.strip_prefix("/dev/")).map(str::to_owned).collect();
        devices.sort();
        VolumeGroup {
            uuid: uuid.into(),
            name: text(row, "vg_name").into(),
            size_bytes: number(row, "vg_size"),
            free_bytes: number(row, "vg_free"),
            extent_bytes: Some(extent).filter(|bytes| *bytes > 0),
            devices,
            incomplete: number(row, "vg_missing_pv_count") > 0,
            volumes,
        }
    }

    /// What stands in a volume, read where its first segment lies. Only a linear one has its contents there as they are;
    /// what a volume of another type holds stays unknown.
    fn signature(&self, segment: &Value, extent: i64, run: &dyn Run, tree: &Tree) -> Signature {
        let place = || {
            let (device, extents) = text(segment, "seg_pe_ranges").rsplit_once(':')?;
            let first: i64 = extents.split_once('-')?.0.parse().ok()?;
            let physical = self.physical.iter().find(|row| text(row, "pv_name") == device)?;
            let start = first.checked_mul(extent)?.checked_add(number(physical, "pe_start"))?;
            Some((device.strip_prefix("/dev/")?.to_owned(), start))
        };
        match place() {
            Some((device, start)) if text(segment, "segtype") == "linear" => {
                let range = (start, number(segment, "seg_size"));
                Probe::new(run, tree.device(&device)).signature(Some(range)).unwrap_or_default()
            }
            _ => Signature::default(),
        }
    }
}
