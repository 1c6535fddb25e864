//! What lies on disk, as one: the engine's tables, and the journal with what they have not taken in yet.

use super::engine::{Changes, Engine, Trouble};
use super::journal::Journal;
use super::record::Record;
use super::recovery::{self, Expected};
use super::state::State;
use super::{Options, engine, journal};
use crate::disk::Disk;
use crate::seal::Seals;
use crate::{Error, Notes, Revision};
use std::collections::HashSet;
use std::sync::Arc;

/// The epoch of a new store's first journal.
const FIRST_EPOCH: u64 = 1;

/// A database that can be written to. After an error it is to be dropped and recovered.
#[derive(Debug)]
pub(crate) struct Database {
    engine: Engine,
    journal: Journal,
    /// What the journal holds and the engine does not.
    pending: Changes,
    notes: Option<Arc<dyn Notes>>,
    seals: Seals,
}

impl Database {
    /// Opens the database of a disk and reads it, and makes it when there is none. Writes nothing to one that is of this
    /// format, so that a full disk can be read. Also says how many values would be sealed otherwise now.
    pub fn open(
        disk: &dyn Disk,
        options: &Options,
        trouble: &Arc<Trouble>,
    ) -> Result<(Self, State, u64), Error> {
        let (seals, mut stale) = (Seals(options.seal.clone()), 0);
        Engine::clear_unfinished(disk)?;
        let engine = match Engine::open(disk, options.cache_bytes, trouble)? {
            Some(engine) => engine,
            None => {
                Self::create(disk, options, 0, std::iter::empty())?;
                Engine::reopen(disk, options.cache_bytes, trouble)?
            }
        };
        let epoch = match engine.epoch()? {
            Some(epoch) => epoch,
            None => {
                Journal::create(disk, options.journal_bytes).map_err(Error::unwritable)?;
                engine.adopt(FIRST_EPOCH).map_err(Error::unwritable)?;
                FIRST_EPOCH
            }
        };
        let (journal, pending) = Journal::open(disk, options.journal_bytes, epoch)?;
        let removed: HashSet<Revision> = pending.removals.iter().copied().collect();
        let mut state = State::beginning(pending.compacted.map_or_else(|| engine.compacted(), Ok)?);
        let mut recall = |revision, record| match removed.contains(&revision) {
            true => Ok(()),
            false => {
                stale += u64::from(seals.is_stale(&record));
                state.recall(revision, seals.open(revision, record)?)
            }
        };
        engine.read(&mut recall)?;
        for (revision, record) in &pending.puts {
            recall(*revision, record.clone())?;
        }
        let notes = options.notes.clone();
        let mut database = Self { engine, journal, pending, notes, seals };
        database.hand_over();
        Ok((database, state, stale))
    }

    /// Makes the files of a store that begins at a revision with these records. The engine's file comes last: without it
    /// there is no store.
    pub fn create(
        disk: &dyn Disk,
        options: &Options,
        compacted: Revision,
        records: impl Iterator<Item = Result<(Revision, Record), Error>>,
    ) -> Result<(), Error> {
        Journal::create(disk, options.journal_bytes).map_err(Error::unwritable)?;
        let seals = Seals(options.seal.clone());
        let closed =
            records.map(|record| record.map(|(revision, record)| (revision, seals.close(revision, record))));
        let filled = Engine::replace(disk, options.cache_bytes, FIRST_EPOCH, compacted, closed);
        if filled.is_err() {
            disk.remove(journal::FILE).ok();
        }
        filled
    }

    /// Makes the disk hold what it should after a commit failed, or all of it `anew`, and opens it to be written to. `epoch` is the
    /// last that was used.
    pub fn recover(
        disk: &dyn Disk,
        options: &Options,
        trouble: &Arc<Trouble>,
        epoch: u64,
        expected: Expected,
        anew: bool,
    ) -> Result<Self, Error> {
        keep_notes(options.notes.as_deref())?;
        // Whatever the old journal holds or seems to hold belongs to an epoch that is over.
        let epoch = epoch + 1;
        let seals = Seals(options.seal.clone());
        let disks = recovery::Place { disk, cache_bytes: options.cache_bytes, trouble, epoch, seals: &seals };
        let engine = if anew { disks.write_anew(expected) } else { disks.recover(expected) }?;
        let journal = Journal::renew(disk, options.journal_bytes, epoch).map_err(Error::unwritable)?;
        Ok(Self { engine, journal, pending: Changes::default(), notes: options.notes.clone(), seals })
    }

    /// Makes changes durable; when this returns `Ok`, they are on disk. When the journal is full, the engine takes it in first.
    pub fn commit(&mut self, mut changes: Changes) -> Result<(), Error> {
        let close = |(revision, record)| (revision, self.seals.close(revision, record));
        changes.puts = std::mem::take(&mut changes.puts).into_iter().map(close).collect();
        if self.journal.is_full() {
            self.empty_journal()?;
        }
        self.journal.append(&changes).map_err(Error::unwritable)?;
        self.pending.append(changes);
        Ok(())
    }

    /// Hands the notes of what was committed to who takes them.
    pub fn hand_over(&mut self) {
        let taken = std::mem::take(&mut self.pending.notes);
        if let Some(notes) = &self.notes {
            taken.iter().for_each(|(revision, note)| notes.take(*revision, note));
        }
    }

    fn empty_journal(&mut self) -> Result<(), Error> {
        keep_notes(self.notes.as_deref())?;
        let epoch = self.journal.epoch() + 1;
        self.engine.commit(&self.pending, epoch).map_err(Error::unwritable)?;
        self.pending = Changes::default();
        self.journal.restart(epoch).map_err(Error::unwritable)
    }

    /// The epoch of the journal.
    pub fn epoch(&self) -> u64 {
        self.journal.epoch()
    }

    /// Closes the engine, so that the next start need not repair it. The journal may hold the newest; it is read then.
    pub fn close(self) -> Result<(), Error> {
        self.engine.close()
    }

    /// Bytes that the files of a disk take up.
    pub fn allocated(disk: &dyn Disk) -> u64 {
        [engine::FILE, journal::FILE].into_iter().filter_map(|file| disk.allocated(file).ok()).sum()
    }
}

/// Before the journal is written over: the notes in it are durable elsewhere.
fn keep_notes(notes: Option<&dyn Notes>) -> Result<(), Error> {
    notes.map_or(Ok(()), |notes| notes.keep())
}
