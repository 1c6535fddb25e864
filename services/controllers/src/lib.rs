//! Watch, decide, act: one file per controller.
//!
//! Controllers are clients of the API like any other. Each watches, hands what it sees to a pure decision in `logic`,
//! and carries that out. They take no input, may be killed and started at any point, and several may run at once: each
//! write says which state of the object it was decided for.

mod bastions;
mod boot_once;
mod events;
mod garbage;
mod looked_at;
mod namespaces;
mod plans;
mod seen;
mod served;
mod wiping;

use jiff::SignedDuration;
use lab_client::{Backoff, Client};
use lab_kinds::Registry;
use std::sync::Arc;
use tokio::{sync::watch, task::JoinSet};

/// What can be set about the controllers.
#[derive(Debug, Clone)]
pub struct Options {
    /// How long an event is kept after it was last seen.
    pub keep_events: SignedDuration,
    /// Spreads the waits after failures; any random number.
    pub seed: u64,
}

/// The running controllers. Dropping this stops them where they are.
pub struct Controllers {
    synced: watch::Receiver<bool>,
    tasks: JoinSet<()>,
}

/// Starts all controllers, in tasks of the current runtime. `client` may do everything.
pub fn start(client: &Client, registry: &Registry, options: &Options) -> Controllers {
    let served = Arc::new(served::Served::new(registry));
    let backoff = Backoff::reconcilers(options.seed);
    let (ready, synced) = watch::channel(false);
    let mut tasks = JoinSet::new();
    let garbage = garbage::Collector::new(client.clone(), served.clone(), backoff);
    let namespaces = namespaces::Emptier::new(client.clone(), served.clone(), backoff);
    tasks.spawn(async move {
        garbage.synced().await;
        namespaces.synced().await;
        ready.send_replace(true);
        tokio::join!(garbage.run(), namespaces.run());
    });
    tasks.spawn(boot_once::Clearer::new(client.clone(), backoff).run());
    tasks.spawn(plans::Planner::new(client.clone(), backoff).run());
    tasks.spawn(wiping::Holder::new(client.clone(), backoff).run());
    tasks.spawn(bastions::Presence::new(client.clone(), backoff).run());
    tasks.spawn(events::Expiry::new(client.clone(), served, options.keep_events, backoff).run());
    Controllers { synced, tasks }
}

/// Tells when every controller has seen all that it watches.
#[derive(Debug, Clone)]
pub struct Synced(watch::Receiver<bool>);

impl Synced {
    /// Waits for it. Never ready if the controllers are stopped before.
    pub async fn wait(&mut self) {
        if self.0.wait_for(|synced| *synced).await.is_err() {
            std::future::pending().await
        }
    }
}

impl Controllers {
    /// To know when every controller has seen all that it watches.
    pub fn synced(&self) -> Synced {
        Synced(self.synced.clone())
    }

    /// Stops all controllers and waits until they have.
    pub async fn stop(mut self) {
        self.tasks.shutdown().await;
    }
}
