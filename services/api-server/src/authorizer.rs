//! Who decides what callers may do.

use crate::caller::{Caller, MASTERS};
use async_trait::async_trait;
use jiff::Timestamp;
use lab_access::{
    Access,
    credentials::{Lapsed, Token},
};
use lab_store::Revision;
use std::sync::Arc;
use tokio::sync::watch;

/// Knows what callers may do. It is asked anew for every request, so that what was taken away is gone at once.
#[async_trait]
pub trait Authorizer: Send + Sync + 'static {
    /// What a caller who is known may do in a tenant, as things are now.
    fn access(&self, caller: &Caller, tenant: &str) -> Arc<Access>;

    /// Every group of a caller.
    fn groups(&self, caller: &Caller) -> Vec<String> {
        caller.groups.clone()
    }

    /// The API token with a hash (`sha256:` and 64 hexadecimal digits).
    ///
    /// # Errors
    /// There is none, or it has expired.
    fn token(&self, _hash: &str, _now: Timestamp) -> Result<Arc<Token>, Lapsed> {
        Err(Lapsed::Unknown)
    }

    /// The name of the join token with a hash.
    fn join_token(&self, _hash: &str) -> Option<String> {
        None
    }

    /// Whether what a caller showed still counts.
    ///
    /// # Errors
    /// It has expired, was revoked, or is gone.
    fn holds(&self, _caller: &Caller, _now: Timestamp) -> Result<(), Lapsed> {
        Ok(())
    }

    /// A number that changes whenever [`Self::access`] or [`Self::holds`] may answer differently; `None` where they never
    /// do. Watches that are running look again when it changes.
    fn changes(&self) -> Option<watch::Receiver<u64>> {
        None
    }

    /// Waits until what was stored up to a revision is decided by.
    async fn settled(&self, _: Revision) {}
}

/// The policy without any roles: whoever is of [`MASTERS`] may do everything, and nobody else anything.
#[derive(Debug, Clone, Copy)]
pub struct MastersOnly;

impl Authorizer for MastersOnly {
    fn access(&self, caller: &Caller, _: &str) -> Arc<Access> {
        Arc::new(match caller.is_in(MASTERS) {
            true => Access::EVERYTHING,
            false => Access::nothing("only members of group \"system:masters\" have access"),
        })
    }
}
