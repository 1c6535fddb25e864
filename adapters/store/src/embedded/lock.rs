//! One process per directory: an advisory lock that the operating system gives back when the process ends, however it
//! ends.

use crate::Error;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::Path;

/// A directory that no other process may open.
#[derive(Debug)]
pub(crate) struct DirectoryLock {
    _file: File,
}

impl DirectoryLock {
    /// Its file's name.
    pub const FILE: &str = "lock";

    /// Takes the lock, and leaves this process's ID in it for the next one to name.
    pub fn take(dir: &Path) -> Result<Self, Error> {
        let path = dir.join(Self::FILE);
        let failed = |e: std::io::Error| Error::unwritable(format_args!("{}: {e}", path.display()));
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let dir = dir.display().to_string().into();
                return Err(Error::InUse { dir, holder: holder(&mut file).into() });
            }
            Err(TryLockError::Error(e)) => return Err(failed(e)),
        }
        // The lock holds without the ID; a full disk must not keep the store from being read.
        let named = file
            .set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| writeln!(file, "{}", std::process::id()));
        if let Err(e) = named {
            tracing::debug!(path = %path.display(), error = %e, "cannot leave the process ID in the lock");
        }
        Ok(Self { _file: file })
    }
}

fn holder(file: &mut File) -> String {
    let mut text = String::new();
    let pid = file.read_to_string(&mut text).ok().and_then(|_| text.trim().parse::<u32>().ok());
    let Some(pid) = pid else { return "another process".into() };
    match std::fs::read_to_string(format!("/proc/{pid}/comm")) {
        Ok(name) => format!("process {pid} ({})", name.trim()),
        Err(_) => format!("process {pid}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_told_who_is_first() {
        let dir = tempfile::tempdir().expect("a directory");
        let first = DirectoryLock::take(dir.path()).expect("free");
        let refused = DirectoryLock::take(dir.path()).expect_err("held").to_string();
        assert!(refused.contains(&format!("process {}", std::process::id())), "{refused}");
        assert!(refused.contains(&dir.path().display().to_string()), "{refused}");
        drop(first);
        DirectoryLock::take(dir.path()).expect("free again");
    }
}
