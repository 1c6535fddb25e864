//! Initial RAM disks: programs with the libraries they need, kernel modules with those they depend on, and the form in which
//! the kernel takes them.
//!
//! Everything comes from a folder that holds an installed or unpacked system, so that one can be made for another machine
//! than this.

mod archive;
mod library;
mod module;

pub use library::needed;

use std::{
    collections::BTreeMap,
    fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

/// Why a RAM disk was not made.
#[derive(Debug, thiserror::Error)]
pub enum RamdiskError {
    /// A file cannot be read.
    #[error("reading {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There is no such program.
    #[error("there is no program {name} below {}", root.display())]
    NoProgram {
        /// Its name.
        name: String,
        /// Where it was looked for.
        root: PathBuf,
    },
    /// A library is missing.
    #[error("{by} needs {library}, which is not below {}", root.display())]
    NoLibrary {
        /// Who needs it.
        by: String,
        /// The library.
        library: String,
        /// Where it was looked for.
        root: PathBuf,
    },
    /// A program is none.
    #[error("{} is not a program that the kernel can start", path.display())]
    NoElf {
        /// The file.
        path: PathBuf,
        /// Why.
        source: elf::ParseError,
    },
    /// There is no such module.
    #[error("the kernel has no module {name}")]
    NoModule {
        /// Its name.
        name: String,
    },
}

/// What stands at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Content {
    Folder,
    File(Vec<u8>),
    Link(String),
}

/// A RAM disk that is being put together.
#[derive(Debug, Clone, Default)]
pub struct Ramdisk {
    /// By path, without a leading slash: folders come before what is in them.
    entries: BTreeMap<String, (u32, Content)>,
}

impl Ramdisk {
    /// One with the folders that every system has.
    pub fn new() -> Self {
        let mut ramdisk = Self::default();
        for folder in ["dev", "etc", "mnt", "proc", "run", "sys", "tmp", "usr/bin", "usr/lib", "var"] {
            ramdisk.folder(folder);
        }
        for (link, target) in [
            ("bin", "usr/bin"),
            ("sbin", "usr/bin"),
            ("usr/sbin", "bin"),
            ("lib", "usr/lib"),
            ("lib64", "usr/lib"),
            ("usr/lib64", "lib"),
        ] {
            ramdisk.link(link, target);
        }
        ramdisk
    }

    /// Has a folder, and those above it.
    pub fn folder(&mut self, path: &str) {
        let path = path.trim_matches('/');
        let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
        for end in ends.filter(|end| *end > 0) {
            self.entries.entry(path[..end].into()).or_insert((0o755, Content::Folder));
        }
    }

    /// Has a file with these mode bits.
    pub fn file(&mut self, path: &str, mode: u32, bytes: impl Into<Vec<u8>>) {
        self.put(path, mode, Content::File(bytes.into()));
    }

    /// Has a symbolic link.
    pub fn link(&mut self, path: &str, target: &str) {
        self.put(path, 0o777, Content::Link(target.into()));
    }

    fn put(&mut self, path: &str, mode: u32, content: Content) {
        let path = path.trim_matches('/');
        if let Some((folder, _)) = path.rsplit_once('/') {
            self.folder(folder);
        }
        self.entries.insert(path.into(), (mode, content));
    }

    /// Has a copy of a file of this machine.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn copy(&mut self, from: &Path, to: &str) -> Result<(), RamdiskError> {
        let unreadable = |source| RamdiskError::Unreadable { path: from.into(), source };
        let mode = fs::metadata(from).map_err(unreadable)?.permissions().mode() & 0o777;
        self.file(to, mode, fs::read(from).map_err(unreadable)?);
        Ok(())
    }

    /// Has a program by its path, with every library that it needs, both taken from below `root`.
    ///
    /// # Errors
    /// It is no program, or a library is missing.
    pub fn program(&mut self, root: &Path, program: &Path, to: &str) -> Result<(), RamdiskError> {
        self.copy(program, to)?;
        for (path, library) in library::needed(root, program)? {
            self.copy(&path, &format!("usr/lib/{library}"))?;
        }
        Ok(())
    }

    /// Has the program of this name as `/usr/bin/<name>`, looked for where programs are below `root`, with its libraries.
    ///
    /// # Errors
    /// There is none, or a library is missing.
    pub fn tool(&mut self, root: &Path, name: &str) -> Result<(), RamdiskError> {
        let folders = ["usr/sbin", "usr/bin", "sbin", "bin"];
        let path = folders.iter().map(|folder| root.join(folder).join(name)).find(|path| path.is_file());
        let missing = || RamdiskError::NoProgram { name: name.into(), root: root.into() };
        self.program(root, &path.ok_or_else(missing)?, &format!("usr/bin/{name}"))
    }

    /// Has these kernel modules and all that they depend on, from `lib/modules/<release>` below `root`, where depmod has
    /// been run. A name without a module is refused, unless it is built into the kernel.
    ///
    /// # Errors
    /// There is no such module, or depmod's files are missing.
    pub fn modules(&mut self, root: &Path, release: &str, names: &[&str]) -> Result<(), RamdiskError> {
        module::add(self, root, release, names)
    }

    /// The archive in the kernel's form (`newc`, see Documentation/driver-api/early-userspace/buffer-format.rst), not
    /// packed.
    pub fn archive(&self) -> Vec<u8> {
        archive::write(&self.entries)
    }

    /// The archive packed with zstd, which kernels since 5.9 read.
    ///
    /// # Errors
    /// There is no memory.
    pub fn packed(&self) -> io::Result<Vec<u8>> {
        zstd::encode_all(&self.archive()[..], 19)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_come_before_what_is_in_them() {
        let mut ramdisk = Ramdisk::default();
        ramdisk.file("/etc/a/b", 0o644, "x");
        ramdisk.link("etc/l", "a/b");
        let paths: Vec<_> = ramdisk.entries.keys().map(String::as_str).collect();
        assert_eq!(paths, ["etc", "etc/a", "etc/a/b", "etc/l"]);
        ramdisk.folder("etc/a");
        assert_eq!(ramdisk.entries["etc/a"].1, Content::Folder);
    }

    #[test]
    fn programs_with_their_libraries() {
        let mut ramdisk = Ramdisk::new();
        ramdisk.tool(Path::new("/"), "sh").expect("every machine has it");
        let has = |path: &str| ramdisk.entries.contains_key(path);
        assert!(has("usr/bin/sh") && has("usr/lib/libc.so.6"), "{:?}", ramdisk.entries.keys());
        let loader = ramdisk.entries.keys().any(|path| path.starts_with("usr/lib/ld-linux"));
        assert!(loader, "the kernel needs the program that loads libraries");
        let error = ramdisk.tool(Path::new("/"), "no-such-program").expect_err("there is none");
        assert_eq!(error.to_string(), "there is no program no-such-program below /");
    }
}
