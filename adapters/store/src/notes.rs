//! Notes: what a write leaves with somebody else, made durable by the write's own sync.

use crate::{Error, Revision};
use std::fmt::Debug;

/// Who takes the notes that go with writes ([`crate::Store::write_noted`]), such as an audit trail.
///
/// A note is on disk with its write, in the same sync. It is handed over once the write is shown, in the order of the writes, and the store
/// keeps it until [`Notes::keep`] has said that it is durable where it went. After a crash it may be handed over again.
pub trait Notes: Debug + Send + Sync + 'static {
    /// Takes the note of the write that made `revision`; it need not be durable yet. One that was taken before, as its
    /// revision shows, is ignored. Called by the thread that writes: it must not wait for the store.
    fn take(&self, revision: Revision, note: &[u8]);

    /// Makes everything taken so far durable.
    ///
    /// # Errors
    /// [`Error::Unwritable`]: the store then refuses writes rather than forget a note.
    fn keep(&self) -> Result<(), Error>;
}
