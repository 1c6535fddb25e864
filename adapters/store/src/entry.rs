//! What is written, read and watched: values, writes, entries, ranges, events.

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
    /// The new value, or `None` to delete. (Deleting with [`Expect::Absent`] is refused as [`crate::Error::Conflict`].)
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
