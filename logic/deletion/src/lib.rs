//! What is to be deleted, what waits, and what may be let go: pure decisions over metadata.
//!
//! [`ownership`] is garbage collection by owner references, [`namespace`] the end of a namespace with all that is in it,
//! and [`expiry`] the age at which events go.

pub mod expiry;
pub mod namespace;
pub mod ownership;
