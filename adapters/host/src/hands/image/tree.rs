//! The files of a new system, as archives bring them: one archive of all, or layers of which each changes those below.

use std::{
    collections::BTreeSet,
    ffi::OsStr,
    fs,
    io::{self, ErrorKind, Read},
    path::{Component, Path, PathBuf},
};

/// What stands before the name of a file that a layer takes away (OCI image specification, "Whiteouts").
const WHITEOUT: &str = ".wh.";
/// Says that nothing of lower layers is left in its folder.
const OPAQUE: &str = ".wh..wh..opq";

/// Where the new system is mounted.
pub struct Tree {
    target: PathBuf,
    left_out: BTreeSet<PathBuf>,
}

impl Tree {
    /// The system below a folder. What an archive has below places in `leave_out` is left out.
    pub fn new(target: &Path, leave_out: &[String]) -> Self {
        let left_out = leave_out.iter().map(|place| relative(Path::new(place))).collect();
        Self { target: target.into(), left_out }
    }

    /// Unpacks an archive that has all of the system.
    pub fn whole(&self, archive: impl Read) -> io::Result<()> {
        for entry in archive_of(archive).entries()? {
            let mut entry = entry?;
            let path = relative(&entry.path()?);
            if self.is_left_out(&path) || !is_kept(entry.header().entry_type(), &path) {
                continue;
            }
            if entry.header().entry_type().is_hard_link() {
                clear(&self.target.join(&path))?;
            }
            self.unpack(&mut entry, &path)?;
        }
        Ok(())
    }

    /// Unpacks a layer over those that were unpacked before: what it takes away is removed, and what it has replaces what is there.
    pub fn layer(&self, layer: impl Read) -> io::Result<()> {
        let mut own = BTreeSet::new();
        for entry in archive_of(layer).entries()? {
            let mut entry = entry?;
            let path = relative(&entry.path()?);
            let kind = entry.header().entry_type();
            if self.is_left_out(&path) || !is_kept(kind, &path) {
                continue;
            }
            let folder = path.parent().unwrap_or(Path::new(""));
            let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
            if name == OPAQUE {
                self.clear_below(folder, &own)?;
            } else if let Some(hidden) = name.strip_prefix(WHITEOUT) {
                if matches!(hidden, "" | "." | "..") {
                    return Err(invalid(format!("{} takes no file away", path.display())));
                }
                self.place(&folder.join(hidden))?.map_or(Ok(()), |place| remove(&place))?;
            } else {
                self.make_way(&path, kind.is_dir())?;
                self.unpack(&mut entry, &path)?;
                own.insert(path);
            }
        }
        Ok(())
    }

    fn is_left_out(&self, path: &Path) -> bool {
        path.ancestors().skip(1).any(|above| self.left_out.contains(above))
    }

    fn unpack<R: Read>(&self, entry: &mut tar::Entry<'_, R>, path: &Path) -> io::Result<()> {
        if entry.unpack_in(&self.target)? { Ok(()) } else { Err(leads_out(path)) }
    }

    /// Where a path of the image is, links in it followed; nothing where its folder is not there.
    fn place(&self, path: &Path) -> io::Result<Option<PathBuf>> {
        let (Some(name), Some(folder)) = (path.file_name(), path.parent()) else {
            return Err(leads_out(path));
        };
        match self.target.join(folder).canonicalize() {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
            Ok(real) if real.starts_with(self.target.canonicalize()?) => Ok(Some(real.join(name))),
            Ok(_) => Err(leads_out(path)),
        }
    }

    /// A folder goes into a folder; everything else takes the place of what is there, which may have other names that stay.
    fn make_way(&self, path: &Path, is_folder: bool) -> io::Result<()> {
        let Some(place) = self.place(path)? else { return Ok(()) };
        match fs::symlink_metadata(&place) {
            Ok(data) if !(is_folder && data.is_dir()) => remove(&place),
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Removes what lower layers have in a folder, but not what this layer brought (`own`).
    fn clear_below(&self, folder: &Path, own: &BTreeSet<PathBuf>) -> io::Result<()> {
        let Some(place) =
            self.place(&folder.join("x"))?.and_then(|inside| inside.parent().map(PathBuf::from))
        else {
            return Ok(());
        };
        for entry in fs::read_dir(&place)? {
            let entry = entry?;
            let path = folder.join(entry.file_name());
            let is_own = own.range(path.clone()..).next().is_some_and(|next| next.starts_with(&path));
            match (is_own, entry.file_type()?.is_dir()) {
                (true, true) => self.clear_below(&path, own)?,
                (true, false) => {}
                (false, _) if self.left_out.contains(&path) => {}
                (false, _) => remove(&entry.path())?,
            }
        }
        Ok(())
    }
}

fn archive_of<R: Read>(bytes: R) -> tar::Archive<R> {
    let mut archive = tar::Archive::new(bytes);
    archive.set_preserve_permissions(true);
    archive.set_preserve_ownerships(rustix::process::geteuid().is_root());
    archive.set_unpack_xattrs(true);
    archive.set_overwrite(true);
    archive
}

/// Devices are made by the running kernel, and pipes and sockets by programs.
fn is_kept(kind: tar::EntryType, path: &Path) -> bool {
    let special = kind.is_block_special() || kind.is_character_special() || kind.is_fifo();
    !special && path != Path::new("")
}

/// A path of the image without leading slash or dot.
pub fn relative(path: &Path) -> PathBuf {
    path.components().filter(|part| !matches!(part, Component::RootDir | Component::CurDir)).collect()
}

fn invalid(why: String) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, why)
}

fn leads_out(path: &Path) -> io::Error {
    invalid(format!("{} leads out of the image", path.display()))
}

/// An earlier attempt may have left a file where a link is to be.
fn clear(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Removes a file, or a folder with all in it. Links are not followed, and where something is mounted the folder stays, empty.
fn remove(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
        Ok(data) if !data.is_dir() => return fs::remove_file(path),
        Ok(_) => {}
    }
    for entry in fs::read_dir(path)? {
        remove(&entry?.path())?;
    }
    match fs::remove_dir(path) {
        Err(error) if error.kind() != ErrorKind::ResourceBusy => Err(error),
        _ => Ok(()),
    }
}
