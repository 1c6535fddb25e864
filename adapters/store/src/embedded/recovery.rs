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

/// Makes the engine's tables hold what they should, ask for the journal of `epoch`, and be open to be written to.
pub(crate) fn recover(
    disk: &dyn Disk,
    cache_bytes: usize,
    trouble: &Arc<Trouble>,
    epoch: u64,
    expected: Expected,
) -> Result<Engine, Error> {
    if !trouble.sync_failed() {
        trouble.clear();
        match mend(disk, cache_bytes, trouble, epoch, &expected) {
            Ok(engine) => return Ok(engine),
            Err(error) if trouble.io_failed() => return Err(error),
            Err(error) => tracing::warn!(%error, "the database cannot be mended; it is written anew"),
        }
    }
    let Expected { records, compacted } = expected;
    Engine::replace(disk, cache_bytes, epoch, compacted, records.into_iter().map(Ok))?;
    trouble.clear();
    let engine = Engine::reopen(disk, cache_bytes, trouble)?;
    tracing::info!("the database was written anew from memory");
    Ok(engine)
}

/// Opens the tables and commits what they lack and what they hold beyond what they should.
fn mend(
    disk: &dyn Disk,
    cache_bytes: usize,
    trouble: &Arc<Trouble>,
    epoch: u64,
    expected: &Expected,
) -> Result<Engine, Error> {
    let engine = Engine::reopen(disk, cache_bytes, trouble)?;
    let mut missing = expected.records.clone();
    let mut removals = Vec::new();
    engine.read(|revision, found| {
        match missing.get(&revision) {
            Some(wanted) if same(revision, wanted, &found, expected.compacted) => {
                missing.remove(&revision);
            }
            Some(_) => {}
            None => removals.push(revision),
        }
        Ok(())
    })?;
    let changes = Changes {
        puts: missing.into_iter().collect(),
        removals,
        compacted: Some(expected.compacted),
        notes: Vec::new(),
    };
    engine.commit(&changes, epoch).map_err(Error::unwritable)?;
    Ok(engine)
}

/// Whether two records say the same. What a record before the oldest kept revision followed is no longer known.
fn same(revision: Revision, expected: &Record, found: &Record, compacted: Revision) -> bool {
    (&expected.key, expected.created, expected.mark, &expected.value)
        == (&found.key, found.created, found.mark, &found.value)
        && (revision <= compacted || expected.previous == found.previous)
}
