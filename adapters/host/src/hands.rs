//! What carrying out a disk plan consists of: partition tables, volumes, file systems, mounts, and the files of a new system.
//!
//! Every act that writes to a device first looks whether that device is in the write set, and refuses it otherwise
//! ([`HandsError::Protected`]); LVM is shown nothing but the device that its group lies on. Beneath that,
//! [`Hands::protect`] has the kernel itself refuse writes to all that is kept.
//!
//! An act either says that it is done already, or leaves what it made complete and flushed: whatever is cut off half-way is
//! seen as not done by the act's own check.

mod boot_order;
mod file_system;
mod image;
mod inside;
mod mount;
mod system;
mod table;
mod volume;

pub use boot_order::network_first;
pub use image::{Digest, UnpackError};
pub use table::partition_device;
pub use volume::volume_device;

use crate::command::{Call, CallError, Run};
use std::{
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
};

/// Why something was not done to the machine.
#[derive(Debug, thiserror::Error)]
pub enum HandsError {
    /// The device is not among those that the plan writes to.
    #[error("{} is not written to by this plan, so it is not opened for writing", device.display())]
    Protected {
        /// The device.
        device: PathBuf,
    },
    /// A tool failed.
    #[error(transparent)]
    Tool(#[from] CallError),
    /// The device cannot be read.
    #[error(transparent)]
    Unreadable(#[from] crate::observe::Unreadable),
    /// A file or folder of the new system, or a mount, could not be had.
    #[error("{doing} {}", path.display())]
    File {
        /// What was being done, such as `writing`.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// A tool said that it succeeded, but what it should have made is not there.
    #[error("{what} is not there after it was made")]
    Missing {
        /// What was to be made.
        what: String,
    },
    /// No tool makes a file system of this kind.
    #[error("there is no tool here that makes {kind}")]
    UnknownKind {
        /// The kind, by blkid's name.
        kind: String,
    },
    /// The image was not written, or is not the one that was asked for.
    #[error(transparent)]
    Image(#[from] UnpackError),
}

/// The hands of an installation, on one machine.
pub struct Hands<'a> {
    run: &'a dyn Run,
    /// Devices that may be opened for writing, by path.
    writable: BTreeSet<PathBuf>,
    /// The disk whose boot sectors, and nothing else of it, may be written.
    boot_sectors: Option<PathBuf>,
    /// The folder below which the new system is mounted.
    target: PathBuf,
}

impl<'a> Hands<'a> {
    /// Hands that write to these devices and no others, and mount the new system below `target`.
    pub fn new(
        run: &'a dyn Run,
        writable: impl IntoIterator<Item = PathBuf>,
        target: impl Into<PathBuf>,
    ) -> Self {
        Self { run, writable: writable.into_iter().collect(), boot_sectors: None, target: target.into() }
    }

    /// The same, also putting a boot loader into the boot sectors of this disk.
    pub fn writing_boot_sectors_of(self, disk: Option<PathBuf>) -> Self {
        Self { boot_sectors: disk, ..self }
    }

    /// The folder below which the new system is mounted.
    pub fn target(&self) -> &Path {
        &self.target
    }

    /// Has the kernel refuse to write to a device, until it is shut down. Nothing is written by this itself.
    ///
    /// # Errors
    /// The device does not exist.
    pub fn protect(&self, device: &Path) -> Result<(), HandsError> {
        self.run.succeed(&Call::new("blockdev", ["--setro", &shown(device)]))?;
        Ok(())
    }

    /// The guard before everything that writes.
    fn may_write(&self, device: &Path) -> Result<(), HandsError> {
        if self.writable.contains(device) {
            return Ok(());
        }
        Err(HandsError::Protected { device: device.into() })
    }

    fn succeed<S: Into<String>>(
        &self,
        program: &str,
        arguments: impl IntoIterator<Item = S>,
    ) -> Result<String, HandsError> {
        Ok(self.run.succeed(&Call::new(program, arguments))?)
    }

    /// Where a path of the new system is.
    fn inside(&self, path: &str) -> PathBuf {
        self.target.join(path.trim_start_matches('/'))
    }
}

/// A path as an argument.
fn shown(path: &Path) -> String {
    path.display().to_string()
}
