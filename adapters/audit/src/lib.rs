//! The append-only trail of who did what: hash-chained lines of JSON in segment files.
//!
//! [`Trail`] appends: many waiting entries become one write and one sync, and [`Trail::append`] returns once its entry is on
//! disk. What an entry says is the caller's; here it is numbered and chained to the one before it. [`chain`] and [`segment`]
//! are pure and say the format; [`Verifier`] reads it again and names every gap and change.

pub mod chain;
mod error;
pub mod folder;
mod retention;
pub mod segment;
mod trail;
pub mod verify;
mod writer;

pub use chain::{Digest, Sequence};
pub use error::Error;
pub use retention::{Obsolete, Retention};
pub use trail::{Figures, Head, Options, Segment, Trail};
pub use verify::{Report, Verifier};
