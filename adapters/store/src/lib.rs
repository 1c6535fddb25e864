//! The only opener of a database: revisions, compare-and-swap, watch.
//!
//! [`Store`] has etcd's semantics. Keys are UTF-8 paths; the first segment is the tenant.

use async_trait::async_trait;
use bytes::Bytes;
use std::sync::Arc;

/// A point in the store's history; every commit that changes something makes the next one. 0 is before the first.
pub type Revision = u64;

/// What is written: bytes, with the place where the commit's revision is to appear in them.
///
/// Objects carry their revision inside (`"resourceVersion":"42"`), yet it is known only once the commit has its place
/// in the order. The store writes it in, in decimal, at `revision_at`; what is read and watched is ready to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value {
    /// The bytes without the revision.
    pub bytes: Bytes,
    /// Offset in `bytes` at which the revision is inserted; `None` leaves them as they are.
    pub revision_at: Option<u32>,
}

/// What must hold for a write to be carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// The key does not exist.
    Absent,
    /// The key was last changed at exactly this revision.
    Revision(Revision),
}

/// One change. `value: None` deletes.
#[derive(Debug, Clone)]
pub struct Write {
    /// The key.
    pub key: Arc<str>,
    /// The new value, or `None` to delete. (Deleting with [`Expect::Absent`] is refused as [`Error::Conflict`].)
    pub value: Option<Value>,
    /// The condition.
    pub expect: Expect,
}

/// A key with its value at some revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The key.
    pub key: Arc<str>,
    /// The value, with its revision written in.
    pub value: Bytes,
    /// Revision at which the key was created.
    pub created: Revision,
    /// Revision at which it was last changed.
    pub modified: Revision,
}

/// Which part of a range to list.
#[derive(Debug, Clone, Default)]
pub struct Range {
    /// Every key that begins with this.
    pub prefix: String,
    /// Only keys after this one.
    pub after: Option<String>,
    /// At most so many; `None` for all.
    pub limit: Option<usize>,
    /// At this revision; `None` for the newest.
    pub at: Option<Revision>,
}

/// A part of a range, in the order of keys.
#[derive(Debug, Clone)]
pub struct Listing {
    /// The entries.
    pub entries: Vec<Entry>,
    /// The revision at which the list was read.
    pub revision: Revision,
    /// How many further keys the range has after the last entry (0 when the list is complete).
    pub remaining: usize,
}

/// A change as a watcher sees it.
#[derive(Debug, Clone)]
pub struct Event {
    /// The key.
    pub key: Arc<str>,
    /// The revision of the change.
    pub revision: Revision,
    /// What the change was.
    pub change: Change,
}

/// What happened to a key.
#[derive(Debug, Clone)]
pub enum Change {
    /// It came to be.
    Created {
        /// The value.
        value: Bytes,
    },
    /// It was changed.
    Updated {
        /// The new value.
        value: Bytes,
        /// The value before.
        previous: Bytes,
    },
    /// It was deleted.
    Deleted {
        /// The last value, with the revision of the deletion written in.
        last: Bytes,
        /// The last value as it was.
        previous: Bytes,
    },
}

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
    /// Writing failed; nothing of this write is stored. Reads go on.
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
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
}

/// A store of keys and values with one global revision.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Reads one key, at a revision or at the newest, together with the revision it was read at.
    async fn get(&self, key: &str, at: Option<Revision>) -> Result<(Option<Entry>, Revision), Error>;

    /// Lists a range.
    async fn list(&self, range: Range) -> Result<Listing, Error>;

    /// Carries out one write. When this returns `Ok`, it is on disk. The entry returned is the new one, or for a
    /// deletion the last value with the deletion's revision written in.
    async fn write(&self, write: Write) -> Result<Entry, Error>;

    /// Watches all keys that begin with `prefix`, from the first change after `after`.
    async fn watch(&self, prefix: &str, after: Revision) -> Result<Box<dyn Watch>, Error>;

    /// The newest revision.
    fn revision(&self) -> Revision;

    /// Forgets history up to and including `upto`; the newest values stay.
    async fn compact(&self, upto: Revision) -> Result<(), Error>;
}

/// A running watch. Events come ordered by revision, without gap, each once; dropping it ends it.
#[async_trait]
pub trait Watch: Send {
    /// Waits for the next events. An empty batch is a progress mark. After [`Error::Compacted`] (the watcher was too slow) the
    /// watch is over. Cancel-safe.
    async fn next(&mut self) -> Result<Batch, Error>;
}

/// Some events, and how far the watch has come with them.
#[derive(Debug, Clone)]
pub struct Batch {
    /// The events, in order.
    pub events: Vec<Arc<Event>>,
    /// Every event up to this revision has been delivered with this batch or before it.
    pub progress: Revision,
}
