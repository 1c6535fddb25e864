//! A store in one stream: written while the store runs, restored into an empty directory.
//!
//! # Format, version 2
//! Integers are little-endian. A header: the eight bytes `LABSTORE`, the version (4 bytes), the revision the backup was
//! taken at (8). Then one record per key, by ascending revision of its last change: a byte 1, the revision at which the key was
//! created (8), that of its last change (8), where in the value that revision is written (4; all ones when nowhere), the
//! lengths of key and value (4 each), the key, the value. A record that begins with 2 instead has its value sealed (see
//! [`crate::Seal`]); version 1 had none. Then the trailer: a byte 0, the number of records (8), and the
//! SHA-256 of everything before it (32). Nothing follows. What a record takes in memory is all that writing and reading need
//! beyond the store itself and the set of keys.
//!
//! # Revisions after a restore
//! Between the backup and its restoration the old store may have gone on, and clients may hold revisions that the backup
//! does not know. The restored store therefore begins [`REVISION_GAP`] above the backup's revision, with no history: no
//! revision is used twice, and whoever resumes from one of the old store is told [`Error::Compacted`] and lists anew.

use crate::disk::Directory;
use crate::embedded::{
    Database, DirectoryLock, MAX_KEY, MAX_VALUE, Mark, Options, Record, Snapshot, decimal,
};
use crate::seal::Seals;
use crate::{Embedded, Error, Revision, Seal};
use bytes::Bytes;
use sha2::{Digest, Sha256};
use std::collections::HashSet;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The version that is written, and the newest that is read.
pub const VERSION: u32 = 2;
/// How far above the backup's revision a restored store begins: more writes than the old store can have made since.
pub const REVISION_GAP: Revision = 1_000_000_000;

const MAGIC: &[u8; 8] = b"LABSTORE";
const RECORD: u8 = 1;
const SEALED: u8 = 2;
const TRAILER: u8 = 0;
const NO_MARK: u32 = u32::MAX;
/// Digits of the longest revision, by which a stored value may exceed what was written.
const MAX_DIGITS: usize = 20;
/// Most bytes by which a sealed value is longer than what it hides.
const MAX_SEAL: usize = 256;

/// What a backup holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackupSummary {
    /// The revision it was taken at.
    pub revision: Revision,
    /// Keys in it.
    pub objects: u64,
    /// Its length in bytes.
    pub bytes: u64,
}

/// Why a backup could not be made or restored.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The stream could not be written.
    #[error("the backup cannot be written")]
    Write(#[source] io::Error),
    /// The stream could not be read.
    #[error("the backup cannot be read at byte {offset}")]
    Read {
        /// Bytes read before.
        offset: u64,
        /// What the operating system says.
        #[source]
        source: io::Error,
    },
    /// The stream is something else.
    #[error("this is not a backup of a store: it does not begin with LABSTORE")]
    NotABackup,
    /// The backup was made by a newer build.
    #[error("the backup is of version {found}, and this build reads none above {VERSION}; use a newer build")]
    Newer {
        /// Its version.
        found: u32,
    },
    /// The backup is cut short, or was changed.
    #[error("the backup is damaged at byte {offset}: {what}; nothing was restored")]
    Damaged {
        /// Where it was noticed.
        offset: u64,
        /// What was noticed.
        what: String,
    },
    /// The directory to restore into holds something.
    #[error("{} is not empty; a backup is restored into an empty directory", dir.display())]
    NotEmpty {
        /// The directory.
        dir: PathBuf,
    },
    /// The directory to restore into cannot be used.
    #[error("{} cannot be used", dir.display())]
    Directory {
        /// The directory.
        dir: PathBuf,
        /// What the operating system says.
        #[source]
        source: io::Error,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] Error),
}

impl Embedded {
    /// Writes a backup of one consistent moment while the store goes on. Blocks; syncing what `out` wrote is the
    /// caller's part.
    ///
    /// # Errors
    /// [`BackupError::Write`] when `out` fails; what it took by then is no valid backup.
    pub fn backup(&self, out: impl Write) -> Result<BackupSummary, BackupError> {
        write_all(&self.snapshot()?, self.seals(), out).map_err(BackupError::Write)
    }
}

fn write_all(snapshot: &Snapshot, seals: &Seals, out: impl Write) -> io::Result<BackupSummary> {
    let Snapshot { revision, objects } = snapshot;
    let mut out = Hashing::new(BufWriter::new(out));
    out.put(MAGIC)?;
    out.put(&VERSION.to_le_bytes())?;
    out.put(&revision.to_le_bytes())?;
    for (key, object) in objects {
        let sealed = seals.0.as_ref().and_then(|seal| seal.seal(key, object.modified, &object.value));
        let value = sealed.as_deref().unwrap_or(&object.value);
        out.put(&[if sealed.is_some() { SEALED } else { RECORD }])?;
        out.put(&object.created.to_le_bytes())?;
        out.put(&object.modified.to_le_bytes())?;
        out.put(&object.mark.unwrap_or(NO_MARK).to_le_bytes())?;
        out.put(&length(key.len())?.to_le_bytes())?;
        out.put(&length(value.len())?.to_le_bytes())?;
        out.put(key.as_bytes())?;
        out.put(value)?;
    }
    out.put(&[TRAILER])?;
    out.put(&(objects.len() as u64).to_le_bytes())?;
    let digest = out.digest.clone().finalize();
    out.put(&digest)?;
    out.inner.flush()?;
    Ok(BackupSummary { revision: *revision, objects: objects.len() as u64, bytes: out.offset })
}

fn length(bytes: usize) -> io::Result<u32> {
    u32::try_from(bytes).map_err(|_| io::Error::other("a key or value of more than 4 GiB"))
}

/// Restores a backup into a directory that is empty or does not exist yet. Blocks. `seal` opens what is sealed in it, and
/// seals it again.
///
/// # Errors
/// Any [`BackupError`] but [`BackupError::Write`]. The directory is then as it was before; the database only gets its name
/// once the whole backup was read, found sound and is on disk.
pub fn restore(
    input: impl Read,
    dir: &Path,
    seal: Option<Arc<dyn Seal>>,
) -> Result<BackupSummary, BackupError> {
    let unusable = |source| BackupError::Directory { dir: dir.to_owned(), source };
    let existed = dir.is_dir();
    if existed && dir.read_dir().map_err(unusable)?.next().is_some() {
        return Err(BackupError::NotEmpty { dir: dir.to_owned() });
    }
    let mut reader = Reader {
        input: Hashing::new(BufReader::new(input)),
        keys: HashSet::new(),
        last: 0,
        revision: 0,
        seals: Seals(seal),
    };
    reader.header()?;
    let disk = Directory::create(dir).map_err(unusable)?;
    let restored = DirectoryLock::take(dir).map_err(Into::into).and_then(|_lock| fill(reader, &disk));
    if restored.is_err() {
        // What cannot be removed now is only a lock nobody holds; the error at hand matters more.
        std::fs::remove_file(dir.join(DirectoryLock::FILE)).ok();
        if !existed {
            std::fs::remove_dir(dir).ok();
        }
    }
    restored
}

fn fill<R: Read>(mut reader: Reader<R>, disk: &Directory) -> Result<BackupSummary, BackupError> {
    let mut failure = None;
    let (revision, seals) = (reader.revision, reader.seals.clone());
    let records = std::iter::from_fn(|| match reader.next() {
        Ok(next) => next.map(Ok),
        Err(error) => {
            let told = Error::unreadable(&error);
            failure = Some(error);
            Some(Err(told))
        }
    });
    let oldest = revision.saturating_add(REVISION_GAP);
    let options = Options { seal: seals.0, ..Options::default() };
    let replaced = Database::create(disk, &options, oldest, records);
    match failure {
        Some(error) => Err(error),
        None => {
            replaced?;
            let (objects, bytes) = (reader.keys.len() as u64, reader.input.offset);
            Ok(BackupSummary { revision, objects, bytes })
        }
    }
}

/// A stream whose bytes are counted and digested on their way.
struct Hashing<T> {
    inner: T,
    digest: Sha256,
    offset: u64,
}

impl<T> Hashing<T> {
    fn new(inner: T) -> Self {
        Self { inner, digest: Sha256::new(), offset: 0 }
    }
    fn passed(&mut self, bytes: &[u8]) {
        self.digest.update(bytes);
        self.offset += bytes.len() as u64;
    }
}

impl<W: Write> Hashing<W> {
    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.inner.write_all(bytes)?;
        self.passed(bytes);
        Ok(())
    }
}

struct Reader<R> {
    input: Hashing<BufReader<R>>,
    keys: HashSet<Arc<str>>,
    /// Revision of the record before.
    last: Revision,
    /// Revision of the backup.
    revision: Revision,
    seals: Seals,
}

impl<R: Read> Reader<R> {
    fn header(&mut self) -> Result<(), BackupError> {
        let magic = self.bytes(MAGIC.len()).map_err(|e| match e {
            BackupError::Damaged { .. } => BackupError::NotABackup,
            other => other,
        })?;
        if magic != MAGIC {
            return Err(BackupError::NotABackup);
        }
        let found = self.u32()?;
        if found > VERSION {
            return Err(BackupError::Newer { found });
        }
        if found == 0 {
            return Err(self.damaged("version 0 never existed"));
        }
        self.revision = self.u64()?;
        Ok(())
    }

    /// The next record; `None` after the trailer was found to be right.
    fn next(&mut self) -> Result<Option<(Revision, Record)>, BackupError> {
        match self.bytes(1)?[0] {
            RECORD => self.record(false).map(Some),
            SEALED => self.record(true).map(Some),
            TRAILER => self.trailer().map(|()| None),
            _ => Err(self.damaged("neither a record nor the end")),
        }
    }

    fn record(&mut self, sealed: bool) -> Result<(Revision, Record), BackupError> {
        let (created, modified) = (self.u64()?, self.u64()?);
        let mark: Mark = Some(self.u32()?).filter(|mark| *mark != NO_MARK);
        let (key_len, value_len) = (self.u32()? as usize, self.u32()? as usize);
        if modified <= self.last || modified > self.revision || created == 0 || created > modified {
            return Err(self.damaged("a record's revisions are out of order"));
        }
        if key_len == 0 || key_len > MAX_KEY || value_len > MAX_VALUE + MAX_DIGITS + MAX_SEAL {
            return Err(self.damaged("a key's or value's length is impossible"));
        }
        let key = String::from_utf8(self.bytes(key_len)?).map_err(|_| self.damaged("a key is not UTF-8"))?;
        let key: Arc<str> = key.into();
        let value = Bytes::from(self.bytes(value_len)?);
        let record = Record { key: key.clone(), created, previous: 0, mark, value: Some(value), sealed };
        let record = self.seals.open(modified, record)?;
        let value = record.value.as_deref().unwrap_or_default();
        if let Some(at) = mark
            && !value.get(at as usize..).is_some_and(|rest| rest.starts_with(decimal(modified).as_bytes()))
        {
            return Err(self.damaged("a value does not carry its revision where it should"));
        }
        if !self.keys.insert(key) {
            return Err(self.damaged("a key comes twice"));
        }
        self.last = modified;
        Ok((modified, record))
    }

    fn trailer(&mut self) -> Result<(), BackupError> {
        let count = self.u64()?;
        if count != self.keys.len() as u64 {
            return Err(self.damaged(&format!("it says {count} records, and {} were found", self.keys.len())));
        }
        let expected = self.input.digest.clone().finalize();
        if self.bytes(expected.len())? != expected[..] {
            return Err(self.damaged("its digest is another"));
        }
        let offset = self.input.offset;
        match self.input.inner.fill_buf() {
            Ok([]) => Ok(()),
            Ok(_) => Err(self.damaged("something follows its end")),
            Err(source) => Err(BackupError::Read { offset, source }),
        }
    }

    fn damaged(&self, what: &str) -> BackupError {
        BackupError::Damaged { offset: self.input.offset, what: what.into() }
    }

    fn bytes(&mut self, count: usize) -> Result<Vec<u8>, BackupError> {
        let mut bytes = vec![0; count];
        match self.input.inner.read_exact(&mut bytes) {
            Ok(()) => {
                self.input.passed(&bytes);
                Ok(bytes)
            }
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Err(self.damaged("it is cut short")),
            Err(source) => Err(BackupError::Read { offset: self.input.offset, source }),
        }
    }

    fn u64(&mut self) -> Result<u64, BackupError> {
        Ok(u64::from_le_bytes(self.bytes(8)?.try_into().expect("eight bytes were read")))
    }

    fn u32(&mut self) -> Result<u32, BackupError> {
        Ok(u32::from_le_bytes(self.bytes(4)?.try_into().expect("four bytes were read")))
    }
}
