//! Values that must not be read where they lie: sealed on their way to disk and into backups, opened on their way back.
//!
//! In memory, and so in what is read and watched, values are as they were written. What is sealed, and how, is for a [`Seal`]
//! to say; the store hands it the key and the revision, to which a sealed value should be bound, so that nobody puts it in
//! the place of another, or of a later one of the same key.

use crate::embedded::Record;
use crate::{Error, Revision};
use bytes::Bytes;
use std::fmt::Debug;
use std::sync::Arc;

/// Seals values and opens them again.
pub trait Seal: Debug + Send + Sync {
    /// A value as it is to lie on disk; `None` when it may lie there as it is.
    fn seal(&self, key: &str, revision: Revision, value: &[u8]) -> Option<Vec<u8>>;

    /// The value that was sealed for this key and revision.
    ///
    /// # Errors
    /// Why it cannot be opened, for people: which key is missing, or that it was changed.
    fn open(&self, key: &str, revision: Revision, sealed: &[u8]) -> Result<Vec<u8>, String>;

    /// Whether a value that lies on disk, sealed or not, would be sealed otherwise now.
    fn is_stale(&self, key: &str, stored: &[u8], sealed: bool) -> bool;
}

/// A seal, or none.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seals(pub Option<Arc<dyn Seal>>);

impl Seals {
    /// A record as it is to lie on disk.
    pub fn close(&self, revision: Revision, mut record: Record) -> Record {
        if let (Some(seal), Some(value), false) = (&self.0, &record.value, record.sealed)
            && let Some(sealed) = seal.seal(&record.key, revision, value)
        {
            record.value = Some(Bytes::from(sealed));
            record.sealed = true;
        }
        record
    }

    /// A record as it is in memory.
    pub fn open(&self, revision: Revision, mut record: Record) -> Result<Record, Error> {
        let Some(sealed) = record.value.as_ref().filter(|_| record.sealed) else { return Ok(record) };
        let failed =
            |why: &str| Error::unreadable(format_args!("{} at revision {revision}: {why}", record.key));
        let Some(seal) = &self.0 else { return Err(failed("it is encrypted, and no key was given")) };
        let value = seal.open(&record.key, revision, sealed).map_err(|why| failed(&why))?;
        record.value = Some(Bytes::from(value));
        record.sealed = false;
        record.check_mark(revision)?;
        Ok(record)
    }

    /// Whether a record that lies on disk would lie there otherwise now.
    pub fn is_stale(&self, record: &Record) -> bool {
        match (&self.0, &record.value) {
            (Some(seal), Some(value)) => seal.is_stale(&record.key, value, record.sealed),
            _ => false,
        }
    }
}
