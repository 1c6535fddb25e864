//! The data directory: what lies where, and that only one labd uses it.

use anyhow::{Context, bail};
use lab_pki::files;
use std::{
    fs::{File, TryLockError},
    path::{Path, PathBuf},
};

/// A data directory that this process alone uses, for as long as this lives.
pub struct DataDir {
    path: PathBuf,
    _lock: File,
}

/// Where the parts of a data directory lie.
#[derive(Debug, Clone)]
pub struct Layout<'a>(pub &'a Path);

impl Layout<'_> {
    /// The certificate authority's files.
    pub fn pki(&self) -> PathBuf {
        self.0.join("pki")
    }
    /// The embedded store.
    pub fn store(&self) -> PathBuf {
        self.0.join("store")
    }
    /// The audit trail.
    pub fn audit(&self) -> PathBuf {
        self.0.join("audit")
    }
    /// The administrator's kubeconfig.
    pub fn admin_kubeconfig(&self) -> PathBuf {
        self.0.join("admin.kubeconfig")
    }
    /// The executables that agents may be told to run.
    pub fn agents(&self) -> PathBuf {
        self.0.join("agents")
    }
    /// Held by the labd that uses the directory.
    fn lock(&self) -> PathBuf {
        self.0.join("lock")
    }
}

impl DataDir {
    /// Makes the directory if need be, and takes it for this process.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        match Self::try_open(path)? {
            Some(directory) => Ok(directory),
            None => bail!(
                "another labd is running on {}; stop it, or name another directory with --data-dir DIR",
                path.display()
            ),
        }
    }

    /// The same; `None` when another process has it.
    pub fn try_open(path: &Path) -> anyhow::Result<Option<Self>> {
        files::create_private_directory(path)?;
        let lock_path = Layout(path).lock();
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&lock_path)
            .with_context(|| format!("cannot open {}", lock_path.display()))?;
        match lock.try_lock() {
            Ok(()) => Ok(Some(Self { path: path.into(), _lock: lock })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(e)) => {
                Err(e).with_context(|| format!("cannot lock {}", lock_path.display()))
            }
        }
    }

    /// Where its parts lie.
    pub fn layout(&self) -> Layout<'_> {
        Layout(&self.path)
    }

    /// The directory itself.
    pub fn path(&self) -> &Path {
        &self.path
    }
}
