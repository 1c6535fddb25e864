//! Doing what a step consists of.

use super::{Install, StepError, done::partition};
use lab_host::hands::{Digest, HandsError, UnpackError, partition_device};
use lab_install::steps::{Action, Step, Target};
use lab_install::{agent, identity};
use lab_kinds::metal::operating_system::Purpose;
use lab_kinds::metal::server::hardware::FirmwareType;
use lab_kinds::metal::server::status::StageOutcome;
use lab_wire::site::Joining;

/// Where the marks of what was done stand in the new system.
const MARKS: [&str; 5] = ["unpackImage", "fstab", "identity", "bootLoader", "agent"];

impl Install<'_> {
    pub(super) fn act(&self, step: &Step, steps: &[Step]) -> Result<StageOutcome, StepError> {
        let (hands, devices) = (&self.hands, &self.devices);
        match &step.action {
            Action::Check | Action::Report => {}
            // Only those volumes are brought up, one by one, that a step works on.
            Action::ActivateGroup { .. } => return Ok(StageOutcome::Skipped),
            Action::WipeSignatures { .. } => {
                let partitions: Vec<_> =
                    devices.found.iter().map(|number| partition_device(devices.disk(), *number)).collect();
                hands.wipe_signatures(devices.disk(), &partitions)?;
            }
            Action::PartitionTable { uuid, partitions, .. } => {
                let partitions: Vec<_> = partitions.iter().map(partition).collect();
                hands.partition_table(devices.disk(), uuid, &partitions, devices.sector_bytes.into())?;
            }
            Action::PhysicalVolume { on, uuid } => hands.physical_volume(&devices.path(on)?, uuid)?,
            Action::VolumeGroup { name, on, extent_bytes } => {
                hands.volume_group(&devices.path(on)?, name, *extent_bytes)?;
            }
            Action::LogicalVolume { volume, size_bytes } => self.volume(volume, *size_bytes)?,
            Action::FileSystem { on, kind, uuid, label } => {
                hands.make_file_system(&devices.path(on)?, kind, uuid, label)?;
            }
            Action::Mount { on, at, kind } => self.mount(on, at, kind, steps)?,
            Action::UnpackImage { operating_system, leave_out, .. } => {
                self.unpack(step, operating_system, leave_out)?;
            }
            Action::Fstab { text } => hands.write_file("/etc/fstab", 0o644, text)?,
            Action::BootLoader { firmware, on } => self.boot_loader(*firmware, on, steps)?,
            Action::BootOrder => {
                hands.mount_kernel_file_systems()?;
                if !hands.boot_order(identity::boot_entry(&self.given.operating_system))? {
                    return Ok(StageOutcome::Skipped);
                }
            }
            Action::Identity { .. } => self.identity()?,
            // Without a token for joining there is nothing that an agent could do on the machine.
            Action::Agent => match &self.given.agent {
                Some(joining) => self.agent(joining)?,
                None => return Ok(StageOutcome::Skipped),
            },
            Action::Unmount => {
                hands.unmount_all()?;
                hands.take_down(devices.group())?;
            }
        }
        Ok(StageOutcome::Done)
    }

    fn volume(&self, volume: &Target, size_bytes: i64) -> Result<(), StepError> {
        if let Target::Volume(group, volume) = volume {
            self.hands.volume(self.devices.group(), group, volume, size_bytes)?;
            self.hands.bring_up(self.devices.group(), group, volume)?;
        }
        Ok(())
    }

    /// Mounts a file system; one that this plan makes and that cannot be mounted was cut off while it was made, and is made
    /// again.
    fn mount(&self, on: &Target, at: &str, kind: &str, steps: &[Step]) -> Result<(), StepError> {
        if let Target::Volume(group, volume) = on {
            self.hands.bring_up(self.devices.group(), group, volume)?;
        }
        let device = self.devices.path(on)?;
        let Err(error) = self.hands.mount(&device, at, kind) else { return Ok(()) };
        let made = steps.iter().find_map(|step| match &step.action {
            Action::FileSystem { on: place, kind, uuid, label } if place == on => Some((kind, uuid, label)),
            _ => None,
        });
        let (Some((kind, uuid, label)), HandsError::File { .. }) = (made, &error) else {
            return Err(error.into());
        };
        tracing::warn!(%error, device = %device.display(), "the file system cannot be mounted and is made again");
        self.hands.make_file_system(&device, kind, uuid, label)?;
        self.hands.mount(&device, at, kind)?;
        // What was written into it before is gone, so that nothing is done any more.
        for id in MARKS {
            let marked = steps.iter().find(|step| step.id == id);
            marked.map(|step| self.hands.remove_file(&step.mark())).transpose()?;
        }
        Ok(())
    }

    fn unpack(&self, step: &Step, operating_system: &str, leave_out: &[String]) -> Result<(), StepError> {
        let named = || operating_system.to_owned();
        let artefact = self.given.operating_system.artefact(Purpose::Image);
        if artefact.is_none() {
            return Err(StepError::HasNoImage { operating_system: named() });
        }
        // The digest is the plan's, which was approved, not that of the object, which may have changed since.
        let text = self.given.plan.image.clone().unwrap_or_default();
        let digest: Digest = text.parse().map_err(|error: UnpackError| HandsError::from(error))?;
        let image =
            self.site.image(0).map_err(|source| StepError::NoImage { operating_system: named(), source })?;
        let again = |from| self.site.image(from);
        let told = &mut |bytes| self.teller.bytes(&step.id, bytes);
        self.hands.unpack(image, &again, &digest, leave_out, told)?;
        Ok(())
    }

    /// Leaves the agent in the new system, with what it joins by.
    fn agent(&self, joining: &Joining) -> Result<(), StepError> {
        self.hands.copy_in(&self.machine.agent, agent::PROGRAM, 0o755)?;
        for file in agent::files(&joining.server, &joining.ca_hash, &joining.token) {
            self.hands.write_file(&file.path, file.mode, &file.text)?;
        }
        self.hands.mount_kernel_file_systems()?;
        self.hands.run_inside("systemctl", &["enable", agent::SERVICE])?;
        Ok(())
    }

    fn identity(&self) -> Result<(), StepError> {
        let (server, system) = (&self.given.server, &self.given.operating_system);
        for file in identity::files(server, system) {
            self.hands.write_file(&file.path, file.mode, &file.text)?;
        }
        self.hands.mount_kernel_file_systems()?;
        let account = identity::account(server, system);
        let known = self.hands.read_file("/etc/passwd").unwrap_or_default();
        if !known.lines().any(|line| line.split(':').next() == Some(account.name.as_str())) {
            let uid = account.uid.to_string();
            let home = format!("/home/{}", account.name);
            let arguments = [
                "--uid",
                &uid,
                "--user-group",
                "--groups",
                account.group,
                "--home-dir",
                &home,
                "--no-create-home",
                "--shell",
                "/bin/bash",
                &account.name,
            ];
            self.hands.run_inside("useradd", &arguments)?;
        }
        if self.hands.has_file("/usr/bin/ssh-keygen") {
            self.hands.run_inside("ssh-keygen", &["-A"])?;
        }
        Ok(())
    }

    fn boot_loader(&self, firmware: FirmwareType, on: &[Target], steps: &[Step]) -> Result<(), StepError> {
        self.hands.mount_kernel_file_systems()?;
        for target in on {
            let at = steps.iter().find_map(|step| match &step.action {
                Action::Mount { on, at, .. } if on == target => Some(at.as_str()),
                _ => None,
            });
            self.hands.boot_loader(firmware, &self.devices.path(target)?, at.unwrap_or("/boot/efi"))?;
        }
        Ok(())
    }

    /// Bytes that a step will have read at its end, where that is known.
    pub(super) fn total(&self, action: &Action) -> i64 {
        match action {
            Action::UnpackImage { .. } => self
                .given
                .operating_system
                .artefact(Purpose::Image)
                .and_then(|image| image.size_bytes)
                .unwrap_or(0),
            _ => 0,
        }
    }
}
