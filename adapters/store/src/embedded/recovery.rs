//! Getting the engine's tables right again after a commit failed, of the journal or of the engine.
//!
//! # What is trusted after a failure
//! Everything that ought to be on disk (every current object, the whole kept history) is in memory.
//!
//! The journal is never trusted again: the tables take in what it held, and ask for another epoch.
//!
//! After a failed *sync* of the engine's file the operating system may have dropped the pages it could not write and still show
//! them in its cache: reading the file back proves nothing, and a further sync that succeeds proves nothing about them either. A
//! new file is then written from memory, synced, and renamed over the old one. Until that succeeds, the store refuses writes.
//!
//! After any other failure (a write on a full disk, say) no page was lost: what was written is still to be synced, and the
//! next sync will say so if it cannot be. The engine is opened again and compared record by record with what is in memory, and
//! one commit mends the differences. This needs little space, so that a full disk is left behind as soon as a little is free.

use super::engine::{Changes, Engine, Trouble};
use super::record::Record;
use super::state::State;
use crate::disk::Disk;
use crate::seal::Seals;
use crate::{Error, Revision};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What belongs on disk.
pub(crate) struct Expected {
    records: BTreeMap<Revision, Record>,
    compacted: Revision,
}

impl Expected {
    /// What a state wants to be on disk; shares the state's bytes.
    pub fn of(state: &State) -> Self {
        Self { records: state.records(), compacted: state.compacted() }
    }
}

/// Where it belongs, and how it is sealed there.
pub(crate) struct Place<'a> {
    pub disk: &'a dyn Disk,
    pub cache_bytes: usize,
    pub trouble: &'a Arc<Trouble>,
    /// The journal that the tables are to ask for.
    pub epoch: u64,
    pub seals: &'a Seals,
}

impl Place<'_> {
    /// Makes the engine's tables hold what they should, ask for the journal of the epoch, and be open to be written to.
    pub fn recover(&self, expected: Expected) -> Result<Engine, Error> {
        if !self.trouble.sync_failed() {
            self.trouble.clear();
            match self.mend(&expected) {
                Ok(engine) => return Ok(engine),
                Err(error) if self.trouble.io_failed() => return Err(error),
                Err(error) => tracing::warn!(%error, "the database cannot be mended; it is written anew"),
            }
        }
        let engine = self.write_anew(expected)?;
        tracing::info!("the database was written anew from memory");
        Ok(engine)
    }

    /// The same with new tables in the place of the present ones.
    pub fn write_anew(&self, expected: Expected) -> Result<Engine, Error> {
        let Expected { records, compacted } = expected;
        let close = |(revision, record)| Ok((revision, self.seals.close(revision, record)));
        let records = records.into_iter().map(close);
        Engine::replace(self.disk, self.cache_bytes, self.epoch, compacted, records)?;
        self.trouble.clear();
        Engine::reopen(self.disk, self.cache_bytes, self.trouble)
    }

    /// Opens the tables and commits what they lack and what they hold beyond what they should.
    fn mend(&self, expected: &Expected) -> Result<Engine, Error> {
        let engine = Engine::reopen(self.disk, self.cache_bytes, self.trouble)?;
        let mut missing = expected.records.clone();
        let mut removals = Vec::new();
        engine.read(|revision, found| {
            let found = self.seals.open(revision, found)?;
            match missing.get(&revision) {
                Some(wanted) if same(revision, wanted, &found, expected.compacted) => {
                    missing.remove(&revision);
                }
                Some(_) => {}
                None => removals.push(revision),
            }
            Ok(())
        })?;
        let close = |(revision, record)| (revision, self.seals.close(revision, record));
        let changes = Changes {
            puts: missing.into_iter().map(close).collect(),
            removals,
            compacted: Some(expected.compacted),
            notes: Vec::new(),
        };
        engine.commit(&changes, self.epoch).map_err(Error::unwritable)?;
        Ok(engine)
    }
}

/// Whether two records say the same. What a record before the oldest kept revision followed is no longer known.
fn same(revision: Revision, expected: &Record, found: &Record, compacted: Revision) -> bool {
    (&expected.key, expected.created, expected.mark, &expected.value)
        == (&found.key, found.created, found.mark, &found.value)
        && (revision <= compacted || expected.previous == found.previous)
}
