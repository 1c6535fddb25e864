//! Finds out when a store that could not write can do so again.

use lab_store::{Embedded, Store};
use std::{sync::Arc, time::Duration};

/// How often it is looked whether the store can write, and tried when it could not.
const INTERVAL: Duration = Duration::from_secs(5);

/// While the store cannot write, makes it try: a server that is not ready for want of disk space gets no writes from
/// others that would show that there is space again. The least that can be written is the end of one revision's history.
pub async fn watch(store: Arc<Embedded>) {
    let mut ticks = tokio::time::interval(INTERVAL);
    loop {
        ticks.tick().await;
        let figures = store.figures();
        if !figures.writable() && store.compact(figures.compacted + 1).await.is_ok() {
            tracing::info!("the store can write again");
        }
    }
}
