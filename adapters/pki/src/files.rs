//! Files that only their owner may read, written whole or not at all.

use crate::Error;
use std::{
    fs::{self, File, OpenOptions, Permissions},
    io::{self, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

/// Mode of files that hold secrets.
pub const PRIVATE: u32 = 0o600;
/// Mode of files that anyone may read.
pub const PUBLIC: u32 = 0o644;

/// Writes `contents` to `path` with `mode`: into a file beside it first, synced, then renamed over it.
///
/// A crash at any point leaves the old file or the new one, on disk.
pub fn write(path: &Path, contents: &[u8], mode: u32) -> Result<(), Error> {
    let beside = beside(path);
    // What an interrupted write left behind may carry another mode.
    let _ = fs::remove_file(&beside);
    let written = write_new(&beside, contents, mode)
        .and_then(|()| fs::rename(&beside, path))
        .and_then(|()| sync_directory_of(path));
    written.map_err(|source| {
        let _ = fs::remove_file(&beside);
        Error::File { action: "write", path: path.into(), source }
    })
}

/// Reads a text file; `None` when it does not exist.
pub fn read(path: &Path) -> Result<Option<String>, Error> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::File { action: "read", path: path.into(), source }),
    }
}

/// Reads a file that only its owner may read; where others may as well, warns and takes that away.
pub fn read_private(path: &Path) -> Result<Option<String>, Error> {
    let Some(text) = read(path)? else { return Ok(None) };
    let change = |action, source| Error::File { action, path: path.into(), source };
    let mode = fs::metadata(path).map_err(|e| change("examine", e))?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        tracing::warn!(
            path = %path.display(),
            mode = format!("{mode:o}"),
            "others could read this secret; setting mode 600 (replace it if they may have)"
        );
        fs::set_permissions(path, Permissions::from_mode(PRIVATE)).map_err(|e| change("protect", e))?;
    }
    Ok(Some(text))
}

/// Makes a directory, and those above it, that only its owner may enter. One that exists is left as it is.
pub fn create_private_directory(path: &Path) -> Result<(), Error> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|source| Error::File {
        action: "create",
        path: path.into(),
        source,
    })
}

fn beside(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(".new");
    path.with_file_name(name)
}

fn write_new(path: &Path, contents: &[u8], mode: u32) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    // The process's umask may have taken bits away that a public file needs.
    file.set_permissions(Permissions::from_mode(mode))?;
    file.write_all(contents)?;
    file.sync_all()
}

fn sync_directory_of(path: &Path) -> io::Result<()> {
    let directory = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_write_replaces_the_whole_file_with_its_mode() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        fs::write(&path, "something long that was there before").unwrap();
        fs::write(dir.path().join("secret.new"), "left behind").unwrap();
        write(&path, b"short", PRIVATE).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "short");
        assert_eq!(mode(&path), 0o600);
        assert!(!dir.path().join("secret.new").exists());
    }

    #[test]
    fn a_failed_write_names_the_file_and_leaves_the_old_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("missing/secret");
        let error = write(&path, b"x", PRIVATE).unwrap_err();
        assert_eq!(error.to_string(), format!("cannot write {}", path.display()));
    }

    #[test]
    fn a_secret_that_others_could_read_is_protected() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        write(&path, b"k", 0o644).unwrap();
        assert_eq!(read_private(&path).unwrap().as_deref(), Some("k"));
        assert_eq!(mode(&path), 0o600);
        assert_eq!(read_private(&dir.path().join("none")).unwrap(), None);
    }
}
