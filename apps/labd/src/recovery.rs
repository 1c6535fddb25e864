//! Finds out when a store or an audit trail that could not be written can be again.

use lab_audit::Trail;
use lab_store::{Embedded, Store};
use std::{sync::Arc, time::Duration};

/// How often it is looked whether they can be written, and tried when they could not.
const INTERVAL: Duration = Duration::from_secs(5);

/// While the store cannot write, makes it try: a server that is not ready for want of disk space gets no writes from
/// others that would show that there is space again. The least that can be written is the end of one revision's history.
pub async fn watch(store: Arc<Embedded>, trail: Arc<Trail>) {
    let mut ticks = tokio::time::interval(INTERVAL);
    loop {
        ticks.tick().await;
        if trail.check_writable().is_err() && trail.probe().await.is_err() {
            tracing::debug!("the audit trail cannot be written yet");
        }
        let figures = store.figures();
        if !figures.writable() && store.compact(figures.compacted + 1).await.is_ok() {
            tracing::info!("the store can write again");
        }
    }
}
