//! The kernel's file systems `/sys` and `/proc`, below a folder.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// A root folder: `/`, or one that holds what was recorded of a machine.
#[derive(Debug, Clone)]
pub struct Tree {
    root: PathBuf,
}

impl Tree {
    /// What stands below this folder.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Where a path, without its leading slash, stands.
    pub fn path(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    /// A file's bytes, where it is there and can be read.
    pub fn bytes(&self, path: &str) -> Option<Vec<u8>> {
        fs::read(self.path(path)).ok()
    }

    /// A file's text without white space around it; empty where it is not there.
    pub fn text(&self, path: &str) -> String {
        let bytes = self.bytes(path).unwrap_or_default();
        String::from_utf8_lossy(&bytes).trim_matches(|c: char| c.is_whitespace() || c == '\0').to_owned()
    }

    /// A file's text as a number.
    pub fn number(&self, path: &str) -> Option<i64> {
        self.text(path).parse().ok()
    }

    /// Whether a file's text is `1`, as the kernel writes what is so.
    pub fn is_set(&self, path: &str) -> bool {
        self.text(path) == "1"
    }

    /// Whether there is something.
    pub fn has(&self, path: &str) -> bool {
        self.path(path).exists()
    }

    /// The names in a folder, sorted; none where it is not there.
    pub fn names(&self, path: &str) -> Vec<String> {
        let entries = fs::read_dir(self.path(path)).into_iter().flatten().flatten();
        let mut names: Vec<_> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort();
        names
    }

    /// The last segment of what a link points to.
    pub fn link_name(&self, path: &str) -> Option<String> {
        let target = fs::read_link(self.path(path)).ok()?;
        Some(target.file_name()?.to_str()?.to_owned())
    }

    /// What a link points to, as it is written.
    pub fn link(&self, path: &str) -> Option<String> {
        fs::read_link(self.path(path)).ok()?.to_str().map(str::to_owned)
    }

    /// Where the device of a disk or partition is, such as `/dev/sda1`.
    pub fn device(&self, name: &str) -> PathBuf {
        // In /sys a slash in a device's name is written as an exclamation mark, as in cciss!c0d0.
        self.root.join("dev").join(name.replace('!', "/"))
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }
}
