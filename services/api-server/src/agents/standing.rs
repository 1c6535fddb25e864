//! What somebody was admitted to for longer than a request takes, looked at again for as long as it goes on.

use crate::{authorizer::Authorizer, caller::Caller};
use jiff::Timestamp;
use lab_access::Access;
use std::{sync::Arc, time::Duration};
use tokio::{sync::watch, time::Instant};

/// A caller with what they showed and might do when they were admitted.
pub(super) struct Standing {
    authorizer: Arc<dyn Authorizer>,
    changes: Option<watch::Receiver<u64>>,
    caller: Caller,
    tenant: String,
    access: Arc<Access>,
    /// The end of what they showed.
    end: Option<Instant>,
}

impl Standing {
    pub(super) fn new(
        authorizer: Arc<dyn Authorizer>,
        caller: Caller,
        tenant: String,
        access: Arc<Access>,
        now: Timestamp,
    ) -> Self {
        let mut changes = authorizer.changes();
        // What changed since the caller was admitted is looked at as well.
        if let Some(changes) = &mut changes {
            changes.mark_changed();
        }
        let left = caller.shown.expires().map(|end| Duration::try_from(end.duration_since(now)));
        let end = left.map(|left| Instant::now() + left.unwrap_or_default());
        Self { authorizer, changes, caller, tenant, access, end }
    }

    /// Ready when it holds no longer; why, as a clause.
    pub(super) async fn lost(&mut self) -> &'static str {
        let end = self.end;
        let expired = async {
            match end {
                Some(end) => tokio::time::sleep_until(end).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = expired => "the credentials have run out",
            why = self.withdrawn() => why,
        }
    }

    async fn withdrawn(&mut self) -> &'static str {
        loop {
            let Some(changes) = &mut self.changes else { return std::future::pending().await };
            if changes.changed().await.is_err() {
                return std::future::pending().await;
            }
            changes.borrow_and_update();
            if self.authorizer.holds(&self.caller, Timestamp::now()).is_err() {
                return "the credentials were revoked";
            }
            if *self.authorizer.access(&self.caller, &self.tenant) != *self.access {
                return "the permissions have changed";
            }
        }
    }
}
