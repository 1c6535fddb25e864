//! Files of the new system.

use super::{Hands, HandsError, mount::failed};
use std::{
    fs::{self, File, Permissions},
    io::Write,
    os::unix::fs::PermissionsExt,
    path::Path,
};

impl Hands<'_> {
    /// Writes a file of the new system, complete or not at all: beside its place first, flushed, then put there.
    ///
    /// # Errors
    /// The disk is full or fails.
    pub fn write_file(&self, path: &str, mode: u32, text: &str) -> Result<(), HandsError> {
        let path = self.inside(path);
        let folder = path.parent().unwrap_or(&path);
        self.folder(folder)?;
        let beside = path.with_added_extension("new");
        let write = || {
            let mut file = File::create(&beside)?;
            file.set_permissions(Permissions::from_mode(mode))?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&beside, &path)?;
            File::open(folder)?.sync_all()
        };
        write().map_err(failed("writing", &path))
    }

    /// Copies a file of this system into the new one, complete or not at all.
    ///
    /// # Errors
    /// It cannot be read, or the disk is full or fails.
    pub fn copy_in(&self, from: &Path, path: &str, mode: u32) -> Result<(), HandsError> {
        let path = self.inside(path);
        let folder = path.parent().unwrap_or(&path);
        self.folder(folder)?;
        let beside = path.with_added_extension("new");
        let copy = || {
            fs::copy(from, &beside)?;
            let file = File::open(&beside)?;
            file.set_permissions(Permissions::from_mode(mode))?;
            file.sync_all()?;
            fs::rename(&beside, &path)?;
            File::open(folder)?.sync_all()
        };
        copy().map_err(failed("writing", &path))
    }

    /// A file of the new system; nothing where there is none.
    pub fn read_file(&self, path: &str) -> Option<String> {
        fs::read_to_string(self.inside(path)).ok()
    }

    /// Removes a file of the new system, where there is one.
    ///
    /// # Errors
    /// The disk fails.
    pub fn remove_file(&self, path: &str) -> Result<(), HandsError> {
        let path = self.inside(path);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(failed("removing", &path)(error))
            }
            _ => Ok(()),
        }
    }

    /// Whether the new system has a file or folder.
    pub fn has_file(&self, path: &str) -> bool {
        self.inside(path).exists()
    }
}
