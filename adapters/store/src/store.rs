//! The [`Store`] and [`Watch`] traits, and in their words what every implementation owes its callers.

use crate::{Entry, Error, Event, Listing, Range, Revision, Write};
use async_trait::async_trait;
use bytes::Bytes;
use std::sync::Arc;

/// A store of keys and values with one global revision.
///
/// # Revisions
/// The newest revision starts at some number (0 in a new store) and rises by one with every write that is carried
/// out; each write has its own. A revision is never handed out twice, across restarts too. A refused or failed write
/// makes no revision.
///
/// # Writing
/// Writes are carried out one after the other, each wholly or not at all. When [`Store::write`] returns `Ok`, the write
/// is on disk and every read begun afterwards sees it. The condition is checked against all writes ordered before:
/// of several writes that expect the same revision of a key, one succeeds.
///
/// A write whose future is dropped before it is ready may or may not be carried out. The same holds for a write that
/// is under way when the process dies. A write answered with [`Error::Unwritable`] is not visible and will not become
/// visible while the process lives; should the process die before the store could write again, the write may be found
/// on disk at the next start, like any other that was never acknowledged.
///
/// # Reading at a revision
/// A read without a revision sees the newest; with one it sees exactly what a read at that moment saw. The history
/// reaches from an oldest kept revision (included) to the newest. Below is [`Error::Compacted`], above
/// [`Error::Future`]. Implementations bound the history by themselves; its oldest revision only ever rises, across
/// restarts too.
///
/// # Watching
/// A watch sees each change of a key under its prefix after the revision it was begun from: in the order of revisions,
/// without gap, each once. It may begin at any revision at which reading is possible. Watchers do not hold back
/// writers or one another. One that is so slow that the history has dropped an event it has not yet taken gets
/// [`Error::Compacted`]; one whose prefix is quiet is never cut off, however far the history moves on.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Reads one key, at a revision or at the newest, together with the revision it was read at: `at` when that was
    /// given.
    async fn get(&self, key: &str, at: Option<Revision>) -> Result<(Option<Entry>, Revision), Error>;

    /// Lists a range, ordered by key (bytewise), all of it at one revision. To read a long range in parts that fit
    /// together, hand the first part's `revision` back as `at` and its last key as `after`. An `after` that lies before the
    /// prefix has no effect.
    async fn list(&self, range: Range) -> Result<Listing, Error>;

    /// Carries out one write. When this returns `Ok`, it is on disk. The entry returned is the new one, or for a
    /// deletion the last value with the deletion's revision written in.
    ///
    /// [`Error::Conflict`] names the key's revision as of this write's place in the order. An update keeps `created`;
    /// a key that is created again after its deletion has a new one.
    async fn write(&self, write: Write) -> Result<Entry, Error> {
        self.write_noted(write, None).await
    }

    /// The same, with a note for the store's taker of notes ([`crate::Notes`]): it is on disk exactly if the write is.
    async fn write_noted(&self, write: Write, note: Option<Bytes>) -> Result<Entry, Error>;

    /// Watches all keys that begin with `prefix` (with an empty one all keys), from the first change after `after`.
    async fn watch(&self, prefix: &str, after: Revision) -> Result<Box<dyn Watch>, Error>;

    /// The newest revision.
    fn revision(&self) -> Revision;

    /// Forgets history up to `upto`, which becomes the oldest revision that can be read and watched from; the newest
    /// values stay. What was forgotten before needs nothing and is `Ok`; above the newest is [`Error::Future`].
    async fn compact(&self, upto: Revision) -> Result<(), Error>;
}

/// A running watch. Events come ordered by revision, without gap, each once; dropping it ends it.
#[async_trait]
pub trait Watch: Send {
    /// Waits for the next events; a batch holds at least one. Cancel-safe: what a dropped call would have returned,
    /// the next call returns. After [`Error::Compacted`] (the watcher was too slow) or [`Error::Closed`] the watch is over,
    /// and further calls say the same.
    async fn next(&mut self) -> Result<Batch, Error>;

    /// How far the watch has come: the newest revision for which every event up to it has been returned by
    /// [`Watch::next`]. It rises with writes outside the prefix too, without [`Watch::next`] returning, so that an idle
    /// watcher can tell its client from where to resume. Never beyond an event not yet returned; never falls. Cheap:
    /// no I/O, no waiting.
    fn progress(&self) -> Revision;
}

/// Some events, and how far the watch has come with them.
#[derive(Debug, Clone)]
pub struct Batch {
    /// The events, in order.
    pub events: Vec<Arc<Event>>,
    /// Every event up to this revision has been delivered with this batch or before it.
    pub progress: Revision,
}
