//! The only opener of a database: revisions, compare-and-swap, watch.
//!
//! [`Store`] has etcd's semantics; its documentation says them sentence by sentence, and [`conformance`] holds any
//! implementation to them. Keys are UTF-8 paths; the first segment is the tenant. [`Embedded`] keeps everything in one
//! directory and needs no set-up; [`backup`] copies it while it runs.

pub mod backup;
pub mod conformance;
pub mod disk;
mod embedded;
mod entry;
mod error;
mod notes;
mod seal;
mod store;

pub use embedded::{Embedded, Figures, Histogram, Options};
pub use entry::{Change, Entry, Event, Expect, Listing, Range, Revision, Value, Write};
pub use error::Error;
pub use notes::Notes;
pub use seal::Seal;
pub use store::{Batch, Store, Watch};
