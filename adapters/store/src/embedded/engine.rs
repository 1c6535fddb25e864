//! redb beneath the store: one file, one table of records by revision, one of numbers about the file.
//!
//! Why redb: of the well-kept embedded engines it is the one whose every read, write and sync goes through a trait, which is what
//! lets tests fail each of them. With one writer and ascending 1 KiB records it commits durably in 320 to 380 us where a
//! bare append with `fdatasync` takes 190 to 290; the journal before it is that append, so that the engine sees one large
//! commit instead of many small ones.
//!
//! A commit is one sync (redb's checksummed one-phase commit). Compaction deletes; redb uses freed pages again.
//!
//! # Formats
//! 1: no journal; every commit went into the tables. 2: the number `journal` names the epoch of the journal whose frames
//! the tables do not have yet.

use super::record::Record;
use crate::disk::{Disk, DiskFile};
use crate::{Error, Revision};
use bytes::Bytes;
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The version of the format this build writes, and the newest it reads.
pub(crate) const FORMAT: u64 = 2;
/// The database.
pub(crate) const FILE: &str = "store.redb";
/// A database in the making; left over only by a crash.
const NEW_FILE: &str = "store.redb.new";

const RECORDS: TableDefinition<Revision, &[u8]> = TableDefinition::new("records");
const META: TableDefinition<&str, u64> = TableDefinition::new("meta");
const META_FORMAT: &str = "format";
const META_COMPACTED: &str = "compacted";
const META_JOURNAL: &str = "journal";

/// What one commit does.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    /// Records to add.
    pub puts: Vec<(Revision, Record)>,
    /// Records to remove, those just added among them.
    pub removals: Vec<Revision>,
    /// The new oldest kept revision, if it changes.
    pub compacted: Option<Revision>,
    /// What goes with the records to the taker of notes; the tables never hold it.
    pub notes: Vec<(Revision, Bytes)>,
}

impl Changes {
    /// Adds what came after. (No revision is added again after it was removed.)
    pub fn append(&mut self, later: Self) {
        self.puts.extend(later.puts);
        self.removals.extend(later.removals);
        self.compacted = later.compacted.or(self.compacted);
        self.notes.extend(later.notes);
    }
}

/// An open database.
#[derive(Debug)]
pub(crate) struct Engine {
    database: Database,
}

impl Engine {
    /// Opens the database of a disk; `None` when it has none yet.
    pub fn open(disk: &dyn Disk, cache_bytes: usize, trouble: &Arc<Trouble>) -> Result<Option<Self>, Error> {
        let file = match disk.open(FILE, false) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(Error::unreadable(e)),
        };
        // What a killed process wrote and did not sync would be shown, and must not vanish again.
        trouble.note_sync(file.sync()).map_err(Error::unwritable)?;
        let engine = shielded(|| Self::on(file, cache_bytes, trouble))?;
        engine.check_format()?;
        Ok(Some(engine))
    }

    /// Opens the database of a disk that has one.
    pub fn reopen(disk: &dyn Disk, cache_bytes: usize, trouble: &Arc<Trouble>) -> Result<Self, Error> {
        Self::open(disk, cache_bytes, trouble)?
            .ok_or_else(|| Error::unreadable(format_args!("{FILE} is gone; restore a backup")))
    }

    /// Writes a whole new database beside the present one and, once it is safely on disk, puts it in its place.
    pub fn replace(
        disk: &dyn Disk,
        cache_bytes: usize,
        epoch: u64,
        compacted: Revision,
        records: impl Iterator<Item = Result<(Revision, Record), Error>>,
    ) -> Result<(), Error> {
        let written = disk
            .open(NEW_FILE, true)
            .map_err(Error::unwritable)
            .and_then(|file| Self::fill(file, cache_bytes, epoch, compacted, records));
        if let Err(error) = written {
            // The unfinished file would take up the space that recovery needs; the next attempt empties it anyway.
            disk.remove(NEW_FILE).ok();
            return Err(error);
        }
        disk.rename(NEW_FILE, FILE).map_err(Error::unwritable)
    }

    /// Removes what a crash left of a database in the making.
    pub fn clear_unfinished(disk: &dyn Disk) -> Result<(), Error> {
        disk.remove(NEW_FILE).map_err(Error::unwritable)
    }

    fn fill(
        file: Arc<dyn DiskFile>,
        cache_bytes: usize,
        epoch: u64,
        compacted: Revision,
        records: impl Iterator<Item = Result<(Revision, Record), Error>>,
    ) -> Result<(), Error> {
        let trouble = Arc::new(Trouble::default());
        let engine = Self::on(file, cache_bytes, &trouble).map_err(Error::unwritable)?;
        let fill = || -> Result<Result<(), Error>, redb::Error> {
            let transaction = engine.database.begin_write()?;
            {
                let mut meta = transaction.open_table(META)?;
                meta.insert(META_FORMAT, FORMAT)?;
                meta.insert(META_COMPACTED, compacted)?;
                meta.insert(META_JOURNAL, epoch)?;
                let mut table = transaction.open_table(RECORDS)?;
                for record in records {
                    match record {
                        Ok((revision, record)) => insert(&mut table, revision, &record)?,
                        Err(error) => return Ok(Err(error)),
                    }
                }
            }
            transaction.commit()?;
            Ok(Ok(()))
        };
        fill().map_err(Error::unwritable)??;
        engine.close()?;
        if trouble.sync_failed() {
            return Err(Error::unwritable("the new database could not be synced"));
        }
        Ok(())
    }

    fn on(
        file: Arc<dyn DiskFile>,
        cache_bytes: usize,
        trouble: &Arc<Trouble>,
    ) -> Result<Self, redb::DatabaseError> {
        let backend = Backend { file, trouble: trouble.clone() };
        let database = Database::builder().set_cache_size(cache_bytes).create_with_backend(backend)?;
        Ok(Self { database })
    }

    fn check_format(&self) -> Result<(), Error> {
        match self.number(META_FORMAT)? {
            Some(1..=FORMAT) => Ok(()),
            Some(newer) if newer > FORMAT => Err(Error::unreadable(format_args!(
                "{FILE} is of format {newer}, and this build reads none above {FORMAT}; \
                 start a newer build, or restore a backup"
            ))),
            Some(other) => {
                Err(Error::unreadable(format_args!("{FILE} is of format {other}, which never existed")))
            }
            None => Err(Error::unreadable(format_args!("{FILE} is a redb file, but not of a store"))),
        }
    }

    fn number(&self, name: &str) -> Result<Option<u64>, Error> {
        let read = || -> Result<Option<u64>, redb::Error> {
            let transaction = self.database.begin_read()?;
            match transaction.open_table(META) {
                Ok(table) => Ok(table.get(name)?.map(|v| v.value())),
                Err(redb::TableError::TableDoesNotExist(_)) => Ok(None),
                Err(e) => Err(e.into()),
            }
        };
        shielded(read)
    }

    /// The oldest kept revision.
    pub fn compacted(&self) -> Result<Revision, Error> {
        self.number(META_COMPACTED)?.ok_or_else(|| {
            Error::unreadable(format_args!("{FILE} does not say from where its history is kept"))
        })
    }

    /// The epoch of the journal that goes with the tables; `None` in a database of a format that had no journal.
    pub fn epoch(&self) -> Result<Option<u64>, Error> {
        match (self.number(META_FORMAT)?, self.number(META_JOURNAL)?) {
            (Some(1), _) => Ok(None),
            (_, Some(epoch)) => Ok(Some(epoch)),
            (_, None) => {
                Err(Error::unreadable(format_args!("{FILE} does not say which journal goes with it")))
            }
        }
    }

    /// Brings a database of a format without a journal to the present one.
    pub fn adopt(&self, epoch: u64) -> Result<(), redb::Error> {
        let transaction = self.database.begin_write()?;
        {
            let mut meta = transaction.open_table(META)?;
            meta.insert(META_FORMAT, FORMAT)?;
            meta.insert(META_JOURNAL, epoch)?;
        }
        transaction.commit()?;
        Ok(())
    }

    /// Hands out every record, by ascending revision.
    pub fn read(&self, mut each: impl FnMut(Revision, Record) -> Result<(), Error>) -> Result<(), Error> {
        let read = || -> Result<Result<(), Error>, redb::Error> {
            let transaction = self.database.begin_read()?;
            for row in transaction.open_table(RECORDS)?.iter()? {
                let (revision, bytes) = row?;
                let revision = revision.value();
                if let Err(error) = Record::decode(revision, bytes.value()).and_then(|r| each(revision, r)) {
                    return Ok(Err(error));
                }
            }
            Ok(Ok(()))
        };
        shielded(read)?
    }

    /// Commits, and asks for another journal from now on; when this returns `Ok`, it is on disk. After an error the engine is
    /// to be abandoned.
    pub fn commit(&self, changes: &Changes, epoch: u64) -> Result<(), redb::Error> {
        let transaction = self.database.begin_write()?;
        {
            let mut table = transaction.open_table(RECORDS)?;
            for (revision, record) in &changes.puts {
                insert(&mut table, *revision, record)?;
            }
            for revision in &changes.removals {
                table.remove(revision)?;
            }
        }
        {
            let mut meta = transaction.open_table(META)?;
            meta.insert(META_JOURNAL, epoch)?;
            if let Some(compacted) = changes.compacted {
                meta.insert(META_COMPACTED, compacted)?;
            }
        }
        transaction.commit()?;
        Ok(())
    }

    /// Closes the database, so that the next start need not repair it.
    pub fn close(self) -> Result<(), Error> {
        self.database.close().map_err(Error::unwritable)
    }
}

fn insert(
    table: &mut redb::Table<'_, Revision, &'static [u8]>,
    revision: Revision,
    record: &Record,
) -> Result<(), redb::StorageError> {
    let mut space = table.insert_reserve(revision, record.encoded_len())?;
    record.encode(space.as_mut());
    Ok(())
}

/// Runs something that reads a file which may be damaged: redb may then panic, and that must not end the process.
fn shielded<T, E: std::fmt::Display>(read: impl FnOnce() -> Result<T, E>) -> Result<T, Error> {
    match catch_unwind(AssertUnwindSafe(read)) {
        Ok(result) => result.map_err(|e| Error::unreadable(format_args!("{FILE}: {e}"))),
        Err(_) => Err(Error::unreadable(format_args!("{FILE} is damaged; restore a backup"))),
    }
}

/// What went wrong with the database file since it was last known to be good.
#[derive(Debug, Default)]
pub(crate) struct Trouble {
    sync: AtomicBool,
    io: AtomicBool,
}

impl Trouble {
    /// Whether a sync failed: then what the operating system shows of the file may not be on the disk.
    pub fn sync_failed(&self) -> bool {
        self.sync.load(Ordering::Acquire)
    }

    /// Whether the disk refused anything: then an error says nothing about the file's contents.
    pub fn io_failed(&self) -> bool {
        self.io.load(Ordering::Acquire)
    }

    /// Forgets what went wrong; the file is another, or its contents were compared.
    pub fn clear(&self) {
        self.sync.store(false, Ordering::Release);
        self.io.store(false, Ordering::Release);
    }

    fn note_sync(&self, result: io::Result<()>) -> io::Result<()> {
        self.note(result.inspect_err(|_| self.sync.store(true, Ordering::Release)))
    }

    fn note<T>(&self, result: io::Result<T>) -> io::Result<T> {
        result.inspect_err(|_| self.io.store(true, Ordering::Release))
    }
}

/// A [`DiskFile`] as redb wants it.
#[derive(Debug)]
struct Backend {
    file: Arc<dyn DiskFile>,
    trouble: Arc<Trouble>,
}

impl redb::StorageBackend for Backend {
    fn len(&self) -> io::Result<u64> {
        self.trouble.note(self.file.length())
    }
    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.trouble.note(self.file.read(offset, out))
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.trouble.note(self.file.set_length(len))
    }
    fn sync_data(&self) -> io::Result<()> {
        self.trouble.note_sync(self.file.sync())
    }
    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.trouble.note(self.file.write(offset, data))
    }
}
