//! Mounting what the new system is written into, below one folder.

use super::{Hands, HandsError};
use rustix::mount::MountPropagationFlags;
use rustix::mount::{MountFlags, UnmountFlags, mount, mount_bind_recursive, mount_change, unmount};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

impl Hands<'_> {
    /// Mounts a file system at a place of the new system. Mounting counts as writing, as a journal may be replayed.
    ///
    /// # Errors
    /// The device is not to be written to, or the file system cannot be mounted.
    pub fn mount(&self, device: &Path, at: &str, kind: &str) -> Result<(), HandsError> {
        self.may_write(device)?;
        let place = self.inside(at);
        self.folder(&place)?;
        // FAT has neither owners nor modes; `quiet` lets them be set without effect.
        let data = if kind == "vfat" { Some(c"quiet,umask=0077") } else { None };
        mount(device, &place, kind, MountFlags::empty(), data).map_err(|error| HandsError::File {
            doing: "mounting at",
            path: place,
            source: error.into(),
        })
    }

    /// Whether something is mounted at a place of the new system.
    ///
    /// # Errors
    /// `/proc` cannot be read.
    pub fn is_mounted(&self, at: &str) -> Result<bool, HandsError> {
        let place = self.inside(at);
        // The root's path would otherwise end with a slash.
        let place: PathBuf = place.components().collect();
        Ok(self.mounts()?.contains(&place))
    }

    /// Mounts `/dev`, `/proc`, `/sys` and an empty `/run` of the new system, for programs that run inside it.
    ///
    /// # Errors
    /// One of them cannot be mounted.
    pub fn mount_kernel_file_systems(&self) -> Result<(), HandsError> {
        for name in ["dev", "proc", "sys"] {
            let place = self.inside(name);
            if self.is_mounted(name)? {
                continue;
            }
            self.folder(&place)?;
            mount_bind_recursive(Path::new("/").join(name), &place).map_err(failed("mounting at", &place))?;
            // What is unmounted here has to stay mounted there.
            let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
            mount_change(&place, private).map_err(failed("mounting at", &place))?;
        }
        let run = self.inside("run");
        if !self.is_mounted("run")? {
            self.folder(&run)?;
            mount("tmpfs", &run, "tmpfs", MountFlags::empty(), Some(c"mode=0755"))
                .map_err(failed("mounting at", &run))?;
        }
        Ok(())
    }

    /// Unmounts everything of the new system, what was mounted last first, after all that was written has reached the disk.
    ///
    /// # Errors
    /// Something is still in use.
    pub fn unmount_all(&self) -> Result<(), HandsError> {
        rustix::fs::sync();
        let mut mounts = self.mounts()?;
        mounts.retain(|place| place.starts_with(&self.target));
        for place in mounts.iter().rev() {
            unmount(place, UnmountFlags::empty()).map_err(failed("unmounting", place))?;
        }
        Ok(())
    }

    /// Where something is mounted, in the order in which it was mounted.
    fn mounts(&self) -> Result<Vec<PathBuf>, HandsError> {
        let path = Path::new("/proc/self/mountinfo");
        let text = fs::read_to_string(path).map_err(failed("reading", path))?;
        // The fifth field; see proc_pid_mountinfo(5).
        Ok(text
            .lines()
            .filter_map(|line| line.split(' ').nth(4))
            .map(|field| unescaped(field).into())
            .collect())
    }

    pub(super) fn folder(&self, path: &Path) -> Result<(), HandsError> {
        fs::create_dir_all(path).map_err(failed("making the folder", path))
    }
}

/// Names what was being done, to what.
pub(super) fn failed<E: Into<io::Error>>(doing: &'static str, path: &Path) -> impl FnOnce(E) -> HandsError {
    let path = path.to_owned();
    move |error| HandsError::File { doing, path, source: error.into() }
}

/// Spaces and backslashes are written as octal numbers.
fn unescaped(field: &str) -> String {
    field.replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\")
}
