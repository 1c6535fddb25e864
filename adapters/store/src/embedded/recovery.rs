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
//! next sync will say so if it cannot be. The database is opened again, compared record by record with what is in
//! memory, and what was never acknowledged is taken out. This needs hardly any space, so that a full disk is left
//! behind as soon as a little is free. Should the comparison fail, the file is rewritten as above.

use super::engine::{Changes, Engine, Trouble};
use super::record::Record;
use super::state::State;
use crate::disk::Disk;
use crate::{Error, Revision};
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

/// Makes the disk hold what `state` holds, and opens its database to be written to.
pub(crate) fn recover(
    disk: &dyn Disk,
    cache_bytes: usize,
    trouble: &Arc<Trouble>,
    state: &State,
) -> Result<Engine, Error> {
    if !trouble.sync_failed() {
        trouble.clear();
        match reopen(disk, cache_bytes, trouble).and_then(|engine| settle(engine, state)) {
            Ok(Some(engine)) => return Ok(engine),
            Ok(None) => tracing::warn!("the database differs from what was acknowledged; it is written anew"),
            Err(error) if trouble.io_failed() => return Err(error),
            Err(error) => tracing::warn!(%error, "the database cannot be opened again; it is written anew"),
        }
    }
    Engine::replace(disk, cache_bytes, state.compacted(), state.records().into_iter().map(Ok))?;
    trouble.clear();
    let engine = reopen(disk, cache_bytes, trouble)?;
    tracing::info!(revision = state.revision(), "the database was written anew from memory");
    Ok(engine)
}

fn reopen(disk: &dyn Disk, cache_bytes: usize, trouble: &Arc<Trouble>) -> Result<Engine, Error> {
    Engine::open(disk, cache_bytes, trouble)?.ok_or_else(|| Error::unreadable("the database file is gone"))
}

/// Takes out what was never acknowledged. `None` when the rest is not exactly what was.
fn settle(engine: Engine, state: &State) -> Result<Option<Engine>, Error> {
    let expected = state.records();
    let mut alike = 0;
    let mut unacknowledged = Vec::new();
    let mut differs = engine.compacted()? != state.compacted();
    engine.read(|revision, record| {
        if revision > state.revision() {
            unacknowledged.push(revision);
        } else if expected.get(&revision).is_some_and(|e| same(revision, e, &record, state.compacted())) {
            alike += 1;
        } else {
            differs = true;
        }
        Ok(())
    })?;
    if differs || alike != expected.len() {
        return Ok(None);
    }
    if !unacknowledged.is_empty() {
        let changes = Changes { removals: &unacknowledged, ..Changes::default() };
        engine.commit(&changes).map_err(Error::unwritable)?;
    }
    Ok(Some(engine))
}

/// Whether two records say the same. What a record before the oldest kept revision followed is no longer known.
fn same(revision: Revision, expected: &Record, found: &Record, compacted: Revision) -> bool {
    (&expected.key, expected.created, expected.mark, &expected.value)
        == (&found.key, found.created, found.mark, &found.value)
        && (revision <= compacted || expected.previous == found.previous)
}
