//! LVM: physical volumes, groups and volumes.
//!
//! Every command is shown one device only (`--devices`), so that a group of the same name elsewhere is neither seen nor
//! touched. Nothing is left to udev, which a ramdisk does not have.

use super::{Hands, HandsError, shown};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// What is set for each command that writes.
const CONFIG: &str = "activation{udev_sync=0 udev_rules=0 monitoring=0} devices{use_devicesfile=0 \
     obtain_device_list_from_udev=0 external_device_info_source=\"none\"} backup{backup=0 archive=0}";

impl Hands<'_> {
    /// Makes an LVM physical volume with this identifier.
    ///
    /// # Errors
    /// The device is not to be written to, is in use, or fails.
    pub fn physical_volume(&self, device: &Path, uuid: &str) -> Result<(), HandsError> {
        self.may_write(device)?;
        self.take_down(device)?;
        self.succeed("wipefs", ["--all", "--force", &shown(device)])?;
        let arguments = ["-ff", "--yes", "--zero=y", "--norestorefile", "--uuid", uuid];
        self.lvm("pvcreate", device, arguments.into_iter().map(String::from).chain([shown(device)]))?;
        self.flush(device)
    }

    /// Makes a volume group of one physical volume.
    ///
    /// # Errors
    /// The device is not to be written to, belongs to a group already, or fails.
    pub fn volume_group(&self, device: &Path, name: &str, extent_bytes: i64) -> Result<(), HandsError> {
        self.may_write(device)?;
        let extent = format!("--physicalextentsize={extent_bytes}b");
        self.lvm("vgcreate", device, [extent, name.into(), shown(device)])?;
        Ok(())
    }

    /// The group that a physical volume belongs to.
    ///
    /// # Errors
    /// LVM cannot read it.
    pub fn group_on(&self, device: &Path) -> Result<Option<String>, HandsError> {
        let rows = self.report("pvs", device, "pv_name,vg_name")?;
        let name = rows.iter().filter_map(|row| row["vg_name"].as_str()).find(|name| !name.is_empty());
        Ok(name.map(str::to_owned))
    }

    /// The size of a volume in bytes, where there is one.
    ///
    /// # Errors
    /// LVM cannot read the group.
    pub fn volume_size(&self, device: &Path, group: &str, volume: &str) -> Result<Option<i64>, HandsError> {
        let rows = self.report("lvs", device, "vg_name,lv_name,lv_size")?;
        let row = rows.iter().find(|row| row["vg_name"] == group && row["lv_name"] == volume);
        Ok(row.and_then(|row| row["lv_size"].as_i64().or_else(|| row["lv_size"].as_str()?.parse().ok())))
    }

    /// Has a volume of this size: makes it, wiping signatures in it, or resizes it without care for what is in it.
    ///
    /// # Errors
    /// The volume or its group is not to be written to, there is no room, or the disk fails.
    pub fn volume(
        &self,
        device: &Path,
        group: &str,
        volume: &str,
        size_bytes: i64,
    ) -> Result<(), HandsError> {
        self.may_write(device)?;
        self.may_write(&volume_device(group, volume))?;
        let size = format!("--size={size_bytes}b");
        if self.volume_size(device, group, volume)?.is_some() {
            let arguments = ["--force".into(), "--yes".into(), size, format!("{group}/{volume}")];
            self.lvm("lvresize", device, arguments)?;
        } else {
            let fixed = ["--yes", "--wipesignatures=y", "--zero=y", "--activate=y", "--name", volume];
            let arguments = fixed.into_iter().map(String::from).chain([size, group.into()]);
            self.lvm("lvcreate", device, arguments)?;
        }
        Ok(())
    }

    /// Brings up one volume, so that it has a device. Nothing is written.
    ///
    /// # Errors
    /// The volume is not to be written to, and so is not needed; or there is none.
    pub fn bring_up(&self, device: &Path, group: &str, volume: &str) -> Result<(), HandsError> {
        let path = volume_device(group, volume);
        self.may_write(&path)?;
        self.lvm("lvchange", device, ["--activate=y".into(), format!("{group}/{volume}")])?;
        if path.exists() { Ok(()) } else { Err(HandsError::Missing { what: shown(&path) }) }
    }

    /// Takes down the group on a device, where one is up.
    ///
    /// # Errors
    /// One of its volumes is in use.
    pub fn take_down(&self, device: &Path) -> Result<(), HandsError> {
        if let Some(group) = self.group_on(device)? {
            self.lvm("vgchange", device, ["--activate=n".into(), group])?;
        }
        Ok(())
    }

    fn lvm(
        &self,
        command: &str,
        device: &Path,
        arguments: impl IntoIterator<Item = String>,
    ) -> Result<String, HandsError> {
        let fixed =
            [command.to_owned(), format!("--config={CONFIG}"), format!("--devices={}", shown(device))];
        self.succeed("lvm", fixed.into_iter().chain(arguments))
    }

    fn report(&self, command: &str, device: &Path, fields: &str) -> Result<Vec<Value>, HandsError> {
        let fixed = ["--readonly", "--reportformat=json", "--units=b", "--nosuffix", "--options", fields];
        let text = self.lvm(command, device, fixed.map(String::from))?;
        let list = command.trim_end_matches('s');
        let report: Value = serde_json::from_str(&text)
            .map_err(|_| HandsError::Missing { what: format!("a report by lvm {command}") })?;
        let reports = report["report"].as_array().into_iter().flatten();
        Ok(reports.flat_map(|one| one[list].as_array().into_iter().flatten()).cloned().collect())
    }
}

/// Where a volume's device appears.
pub fn volume_device(group: &str, volume: &str) -> PathBuf {
    PathBuf::from(format!("/dev/{group}/{volume}"))
}
