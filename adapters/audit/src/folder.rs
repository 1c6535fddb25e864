//! The files that a trail is written to, behind a trait, so that tests can fail every step.

use std::{
    fmt::Debug,
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::PathBuf,
    sync::Arc,
};

/// Where segments are written.
pub trait Folder: Debug + Send + Sync {
    /// Opens a file for writing; with `create` an empty one, in the place of any that has the name.
    fn open(&self, name: &str, create: bool) -> io::Result<Arc<dyn Sheet>>;
    /// Gives a file another name, durably, in the place of any that has it.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Removes a file, durably.
    fn remove(&self, name: &str) -> io::Result<()>;
}

/// One file that is written.
pub trait Sheet: Debug + Send + Sync {
    /// Its length.
    fn length(&self) -> io::Result<u64>;
    /// Writes at an offset.
    fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;
    /// Cuts it.
    fn set_length(&self, length: u64) -> io::Result<()>;
    /// When this returns, what was written is on disk.
    fn sync(&self) -> io::Result<()>;
}

/// A directory of this machine.
#[derive(Debug)]
pub struct Directory(pub PathBuf);

impl Folder for Directory {
    fn open(&self, name: &str, create: bool) -> io::Result<Arc<dyn Sheet>> {
        let file = OpenOptions::new()
            .write(true)
            .create(create)
            .truncate(create)
            .mode(0o600)
            .open(self.0.join(name))?;
        Ok(Arc::new(RealFile(file)))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.0.join(from), self.0.join(to))?;
        File::open(&self.0)?.sync_all()
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.0.join(name))?;
        File::open(&self.0)?.sync_all()
    }
}

#[derive(Debug)]
struct RealFile(File);

impl Sheet for RealFile {
    fn length(&self) -> io::Result<u64> {
        self.0.metadata().map(|metadata| metadata.len())
    }
    fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }
    fn set_length(&self, length: u64) -> io::Result<()> {
        self.0.set_len(length)
    }
    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }
}
