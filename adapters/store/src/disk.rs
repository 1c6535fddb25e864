//! The few operations on files that the embedded store needs, as a trait.
//!
//! [`Directory`] is the real one. Tests put a simulated disk in its place, which fails, runs full and crashes on command:
//! [`crate::Embedded::open_on`].

use std::fmt::Debug;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A place that keeps a few named files.
pub trait Disk: Debug + Send + Sync + 'static {
    /// Opens a file, to read and write. With `create` it is made when missing, and emptied when not.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`] when it does not exist and is not to be created.
    fn open(&self, name: &str, create: bool) -> io::Result<Arc<dyn DiskFile>>;

    /// Renames a file over another. When this returns `Ok`, that outlasts a loss of power; when it fails, either
    /// name's file may be found later.
    ///
    /// # Errors
    /// Whatever the operating system says.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file; it is no error when there is none.
    ///
    /// # Errors
    /// Whatever the operating system says.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Bytes that a file takes up on the disk (less than its length where it has holes).
    ///
    /// # Errors
    /// Whatever the operating system says.
    fn allocated(&self, name: &str) -> io::Result<u64>;
}

/// An open file.
pub trait DiskFile: Debug + Send + Sync + 'static {
    /// Length in bytes.
    ///
    /// # Errors
    /// Whatever the operating system says; so with the others.
    fn length(&self) -> io::Result<u64>;

    /// Fills `out` from `offset` on.
    ///
    /// # Errors
    /// [`io::ErrorKind::UnexpectedEof`] when the file ends before.
    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()>;

    /// Writes at `offset`. Until the next successful [`DiskFile::sync`] a crash may keep all, some or none of it.
    ///
    /// # Errors
    /// See [`DiskFile::length`].
    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()>;

    /// Cuts or lengthens (with zeros) the file.
    ///
    /// # Errors
    /// See [`DiskFile::length`].
    fn set_length(&self, length: u64) -> io::Result<()>;

    /// Waits until everything written is on stable storage. After an error nobody knows which of the writes since the last
    /// success are: the operating system may have marked them clean and still show them to readers.
    ///
    /// # Errors
    /// See [`DiskFile::length`].
    fn sync(&self) -> io::Result<()>;
}

/// A directory of the file system.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
}

impl Directory {
    /// Takes a directory, and makes it when it is missing, readable for its owner only.
    ///
    /// # Errors
    /// When it cannot be made, with its path.
    pub fn create(path: &Path) -> io::Result<Self> {
        use std::os::unix::fs::DirBuilderExt;
        let naming = |e: io::Error| io::Error::new(e.kind(), format!("{}: {e}", path.display()));
        if !path.is_dir() {
            std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(naming)?;
            if let Some(parent) = path.parent().filter(|p| !p.as_os_str().is_empty()) {
                sync_directory(parent)?;
            }
        }
        Ok(Self { path: path.to_owned() })
    }

    fn naming<T>(&self, name: &str, result: io::Result<T>) -> io::Result<T> {
        result.map_err(|e| io::Error::new(e.kind(), format!("{}: {e}", self.path.join(name).display())))
    }
}

/// Makes the names in a directory outlast a loss of power.
pub(crate) fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all().map_err(|e| io::Error::new(e.kind(), format!("{}: {e}", path.display())))
}

impl Disk for Directory {
    fn open(&self, name: &str, create: bool) -> io::Result<Arc<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(create).truncate(create).mode(0o600);
        let file = self.naming(name, options.open(self.path.join(name)))?;
        Ok(Arc::new(RealFile(file)))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.naming(to, std::fs::rename(self.path.join(from), self.path.join(to)))?;
        sync_directory(&self.path)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        match std::fs::remove_file(self.path.join(name)) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            other => self.naming(name, other),
        }
    }

    fn allocated(&self, name: &str) -> io::Result<u64> {
        // POSIX counts blocks of 512 bytes here, whatever the file system's own.
        self.naming(name, std::fs::metadata(self.path.join(name)).map(|m| m.blocks() * 512))
    }
}

#[derive(Debug)]
struct RealFile(File);

impl DiskFile for RealFile {
    fn length(&self) -> io::Result<u64> {
        self.0.metadata().map(|m| m.len())
    }
    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read_exact_at(out, offset)
    }
    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write_all_at(data, offset)
    }
    fn set_length(&self, length: u64) -> io::Result<()> {
        self.0.set_len(length)
    }
    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }
}
