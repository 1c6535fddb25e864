//! Why the store could not do something.

use crate::Revision;
use std::sync::Arc;

/// Why the store could not do it.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The write's condition does not hold.
    #[error("{key} is at revision {found:?}, not as expected")]
    Conflict {
        /// The key.
        key: Arc<str>,
        /// The key's revision, or `None` when it does not exist.
        found: Option<Revision>,
    },
    /// The write itself is malformed: an empty or too long key, a too long value, a revision's place beyond the
    /// value's end. Nothing is stored; trying again does not help.
    #[error("{key:?} cannot be written: {why}")]
    Invalid {
        /// The key; a long one is cut.
        key: Arc<str>,
        /// What is wrong with the write, for people.
        why: Arc<str>,
    },
    /// The history before `oldest` is gone.
    #[error("revision {asked} was compacted; the oldest kept is {oldest}")]
    Compacted {
        /// What was asked for.
        asked: Revision,
        /// The oldest revision that can still be read or watched from.
        oldest: Revision,
    },
    /// The revision lies ahead of the newest.
    #[error("revision {asked} lies in the future; the newest is {newest}")]
    Future {
        /// What was asked for.
        asked: Revision,
        /// The newest.
        newest: Revision,
    },
    /// Writing failed; nothing of this write is visible. Reads go on, and a later write may succeed.
    #[error("the store cannot write: {why}")]
    Unwritable {
        /// The cause, for people.
        why: Arc<str>,
    },
    /// The database is damaged, or of a version this build does not read.
    #[error("the store cannot be read: {why}")]
    Unreadable {
        /// The cause, for people.
        why: Arc<str>,
    },
    /// Another process has the directory open.
    #[error("{dir} is in use by {holder}; stop it first, or choose another data directory")]
    InUse {
        /// The directory.
        dir: Arc<str>,
        /// Who holds it: a process ID and name where they are known.
        holder: Arc<str>,
    },
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
}

impl Error {
    /// [`Error::Unwritable`] because of something.
    pub(crate) fn unwritable(why: impl std::fmt::Display) -> Self {
        Self::Unwritable { why: why.to_string().into() }
    }

    /// [`Error::Unreadable`] because of something.
    pub(crate) fn unreadable(why: impl std::fmt::Display) -> Self {
        Self::Unreadable { why: why.to_string().into() }
    }
}
