//! Programs of the new system, run inside it, and what makes it start.

use super::{Hands, HandsError, boot_order, mount::failed, shown};
use crate::command::{Call, Ended};
use lab_kinds::metal::server::hardware::FirmwareType;
use std::{fs, path::Path};

impl Hands<'_> {
    /// Runs a program of the new system inside it; it has to succeed.
    ///
    /// # Errors
    /// There is no such program in it, or it fails.
    pub fn run_inside(&self, program: &str, arguments: &[&str]) -> Result<String, HandsError> {
        let target = shown(&self.target);
        self.succeed("chroot", [target.as_str(), program].into_iter().chain(arguments.iter().copied()))
    }

    fn try_inside(&self, program: &str, arguments: &[&str]) -> Result<Ended, HandsError> {
        let target = shown(&self.target);
        let all = [target.as_str(), program].into_iter().chain(arguments.iter().copied());
        Ok(self.run.run(&Call::new("chroot", all))?)
    }

    /// Installs GRUB from the new system: into the EFI system partition mounted at `efi`, also where firmware looks that has
    /// forgotten its entries; or into the boot sectors of `disk`.
    ///
    /// # Errors
    /// The disk or partition (`on`) is not to be written to, or GRUB cannot be installed.
    pub fn boot_loader(&self, firmware: FirmwareType, on: &Path, efi: &str) -> Result<(), HandsError> {
        if firmware == FirmwareType::Uefi || self.boot_sectors.as_deref() != Some(on) {
            self.may_write(on)?;
        }
        self.remove_strange_kernels()?;
        match firmware {
            FirmwareType::Bios => {
                self.run_inside("grub-install", &["--target=i386-pc", &shown(on)])?;
            }
            FirmwareType::Uefi => {
                let efi = format!("--efi-directory={efi}");
                let target = if cfg!(target_arch = "aarch64") { "arm64-efi" } else { "x86_64-efi" };
                let target = format!("--target={target}");
                self.run_inside("grub-install", &[&target, &efi, "--force-extra-removable"])?;
            }
        }
        self.run_inside("update-grub", &[])?;
        rustix::fs::sync();
        Ok(())
    }

    /// A `/boot` that is reused still has the kernels of the system before: without their modules they would be started, as
    /// GRUB takes the newest.
    fn remove_strange_kernels(&self) -> Result<(), HandsError> {
        let folder = self.inside("boot");
        for entry in fs::read_dir(&folder).map_err(failed("reading", &folder))?.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let release = ["vmlinuz-", "initrd.img-", "System.map-", "config-"]
                .iter()
                .find_map(|prefix| name.strip_prefix(prefix));
            let Some(release) = release else { continue };
            if !self.inside("lib/modules").join(release).exists() {
                fs::remove_file(entry.path()).map_err(failed("removing", &entry.path()))?;
            }
        }
        Ok(())
    }

    /// Puts the network first among what the firmware starts, and the new system (by the name GRUB gave it) second.
    /// Returns whether the order was changed; firmware that shows no entries is left alone.
    ///
    /// # Errors
    /// The firmware refuses the new order.
    pub fn boot_order(&self, system: &str) -> Result<bool, HandsError> {
        let ended = self.try_inside("efibootmgr", &[])?;
        if ended.code != Some(0) {
            return Ok(false);
        }
        match boot_order::network_first(&ended.output, system) {
            Some(order) => {
                self.run_inside("efibootmgr", &["--bootorder", &order])?;
                Ok(true)
            }
            None => Ok(false),
        }
    }
}
