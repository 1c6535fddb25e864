//! Getting a database to write to: at the start, and again after a commit failed.
//!
//! # What is trusted after a failure
//! After a failed *sync* the operating system may have dropped the pages it could not write and still show them in its cache:
//! reading the file back proves nothing, and a further sync that succeeds proves nothing about them either. The database
//! file is then not trusted at all. Everything it ought to hold (every current object, the whole kept history) is in
//! memory, so a new file is written from there, synced, and renamed over the old one. Until that succeeds, the store
//! refuses writes.
//!
//! After any other failure (a write on a full disk, say) no page was lost: what was written is still to be synced, and the
//! next sync will say so if it cannot be. The database is opened again and compared record by record with what is in
//! memory. This needs hardly any space, so that a full disk is left behind as soon as a little is free. Should the file
//! hold anything less, else or more (a batch that failed at the last moment), it is written anew as above.

use super::engine::{Engine, Trouble};
use super::record::Record;
use super::state::State;
use crate::disk::Disk;
use crate::{Error, Revision};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Opens the database of a disk, making one when there is none, and reads it.
pub(crate) fn open(
    disk: &dyn Disk,
    cache_bytes: usize,
    trouble: &Arc<Trouble>,
) -> Result<(Engine, State), Error> {
    Engine::clear_unfinished(disk)?;
    let engine = match Engine::open(disk, cache_bytes, trouble)? {
        Some(engine) => engine,
        None => {
            Engine::replace(disk, cache_bytes, 0, std::iter::empty())?;
            reopen(disk, cache_bytes, trouble)?
        }
    };
    let mut state = State::beginning(engine.compacted()?);
    engine.read(|revision, record| state.recall(revision, record))?;
    Ok((engine, state))
}

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

/// Makes the disk hold what it should, and opens its database to be written to.
pub(crate) fn recover(
    disk: &dyn Disk,
    cache_bytes: usize,
    trouble: &Arc<Trouble>,
    expected: Expected,
) -> Result<Engine, Error> {
    if !trouble.sync_failed() {
        trouble.clear();
        match reopen(disk, cache_bytes, trouble).and_then(|engine| Ok((agrees(&engine, &expected)?, engine)))
        {
            Ok((true, engine)) => return Ok(engine),
            Ok((false, _)) => {
                tracing::warn!("the database differs from what was acknowledged; it is written anew")
            }
            Err(error) if trouble.io_failed() => return Err(error),
            Err(error) => tracing::warn!(%error, "the database cannot be opened again; it is written anew"),
        }
    }
    Engine::replace(disk, cache_bytes, expected.compacted, expected.records.into_iter().map(Ok))?;
    trouble.clear();
    let engine = reopen(disk, cache_bytes, trouble)?;
    tracing::info!("the database was written anew from memory");
    Ok(engine)
}

fn reopen(disk: &dyn Disk, cache_bytes: usize, trouble: &Arc<Trouble>) -> Result<Engine, Error> {
    Engine::open(disk, cache_bytes, trouble)?.ok_or_else(|| Error::unreadable("the database file is gone"))
}

/// Whether a database holds exactly what it should.
fn agrees(engine: &Engine, expected: &Expected) -> Result<bool, Error> {
    let mut missing = expected.records.len();
    let mut agrees = engine.compacted()? == expected.compacted;
    engine.read(|revision, record| {
        let known = expected.records.get(&revision);
        agrees &= known.is_some_and(|known| same(revision, known, &record, expected.compacted));
        missing = missing.saturating_sub(1);
        Ok(())
    })?;
    Ok(agrees && missing == 0)
}

/// Whether two records say the same. What a record before the oldest kept revision followed is no longer known.
fn same(revision: Revision, expected: &Record, found: &Record, compacted: Revision) -> bool {
    (&expected.key, expected.created, expected.mark, &expected.value)
        == (&found.key, found.created, found.mark, &found.value)
        && (revision <= compacted || expected.previous == found.previous)
}
