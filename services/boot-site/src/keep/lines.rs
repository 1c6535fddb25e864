//! A file of JSON lines under a heading.

use super::{KeepError, io};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

/// The version of the form of all files.
const VERSION: u32 = 1;

/// The first line.
#[derive(Serialize, Deserialize)]
struct Heading {
    lab: String,
    version: u32,
}

/// An open file, to the end of which lines are added.
#[derive(Debug)]
pub(super) struct Lines<T> {
    file: File,
    path: PathBuf,
    kind: &'static str,
    lines: PhantomData<fn(T)>,
}

impl<T: Serialize + DeserializeOwned> Lines<T> {
    /// Opens a file, or makes an empty one, and reads it. A last line that is not whole was being written when the power went, and is
    /// cut off; another one that is not understood is passed over.
    pub fn open(path: &Path, kind: &'static str) -> Result<(Self, Vec<T>), KeepError> {
        if !path.exists() {
            Self::create(path, kind, &[])?;
        }
        let bytes = fs::read(path).map_err(io("read", path))?;
        let whole = bytes.iter().rposition(|&b| b == b'\n').map_or(0, |last| last + 1);
        let mut lines = bytes[..whole].split(|&b| b == b'\n').filter(|line| !line.is_empty());
        let other = || KeepError::Other { path: path.to_owned(), kind };
        let heading: Heading =
            lines.next().and_then(|line| serde_json::from_slice(line).ok()).ok_or_else(other)?;
        if heading.lab != kind {
            return Err(other());
        }
        if heading.version != VERSION {
            let (path, found) = (path.to_owned(), heading.version);
            return Err(KeepError::Version { path, found, known: VERSION });
        }
        let read = |line: &[u8]| {
            serde_json::from_slice(line)
                .inspect_err(|error| tracing::warn!(path = %path.display(), %error, "a line is passed over"))
                .ok()
        };
        let stored = lines.filter_map(read).collect();
        let mut file = File::options().write(true).open(path).map_err(io("open", path))?;
        file.set_len(whole as u64).map_err(io("cut", path))?;
        file.seek(SeekFrom::End(0)).map_err(io("read", path))?;
        Ok((Self { file, path: path.to_owned(), kind, lines: PhantomData }, stored))
    }

    /// Adds lines; they are handed to the system together.
    pub fn append(&mut self, lines: &[T]) -> Result<(), KeepError> {
        self.file.write_all(&text(lines)).map_err(io("write to", &self.path))
    }

    /// Waits until what was added is on disk.
    pub fn sync(&self) -> Result<(), KeepError> {
        self.file.sync_data().map_err(io("write to", &self.path))
    }

    /// Has these lines in the place of all others. A crash leaves the one or the other.
    pub fn rewrite(&mut self, lines: &[T]) -> Result<(), KeepError> {
        Self::create(&self.path, self.kind, lines)?;
        let path = &self.path;
        self.file = File::options().append(true).open(path).map_err(io("open", path))?;
        Ok(())
    }

    /// Writes a file anew.
    pub fn create(path: &Path, kind: &'static str, lines: &[T]) -> Result<(), KeepError> {
        let heading = Heading { lab: kind.into(), version: VERSION };
        let bytes = [text(&[heading]), text(lines)].concat();
        replace(path, &bytes)
    }

    /// Adds lines to a file that is not kept open; makes it where there is none.
    pub fn add(path: &Path, kind: &'static str, lines: &[T]) -> Result<(), KeepError> {
        match File::options().append(true).open(path) {
            Ok(mut file) => file.write_all(&text(lines)).map_err(io("write to", path)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Self::create(path, kind, lines),
            Err(error) => Err(io("open", path)(error)),
        }
    }
}

fn text<T: Serialize>(lines: &[T]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for line in lines {
        // Our own structures are JSON, and memory does not refuse to be written.
        if serde_json::to_writer(&mut bytes, line).is_ok() {
            bytes.push(b'\n');
        }
    }
    bytes
}

/// Puts a file in the place of another. A crash leaves the one or the other.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> Result<(), KeepError> {
    let beside = path.with_extension("new");
    let write = || {
        let mut file = File::create(&beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&beside, path)?;
        path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
    };
    write().map_err(io("write", path))
}
