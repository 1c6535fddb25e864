//! Disk plans are made as soon as a machine's disks are known, and made anew when they or the wishes change ([`lab_install::renewal`]).
//!
//! A plan needs nothing but objects, so that it is made here, once, whichever bastion the machine boots from; bastions and machines only
//! carry out what was approved.

use jiff::Timestamp;
use lab_client::{
    Backoff, Change, Client, Error, Informer, InformerOptions, Key, Next, WorkQueue, WriteParams,
};
use lab_install::renewal;
use lab_kinds::metal::{DiskLayout, OperatingSystem, Server};
use lab_object::Time;
use serde::Deserialize;
use std::sync::Arc;
use std::time::Duration;

/// Machines planned for side by side.
const WORKERS: usize = 4;
/// When to look again at a machine that changed while it was planned for.
const CHANGED: Duration = Duration::from_millis(50);

/// Makes plans.
pub(crate) struct Planner {
    queue: WorkQueue<String>,
    known: Arc<Known>,
}

struct Known {
    client: Client,
    servers: Informer<Seen>,
    systems: Informer<OperatingSystem>,
    layouts: Informer<DiskLayout>,
}

/// What is kept of a Server: what its plan is made from besides itself, and whether there is one.
#[derive(Debug, Deserialize)]
struct Seen {
    metadata: Named,
    #[serde(default)]
    spec: Spec,
    #[serde(default)]
    status: Status,
}

#[derive(Debug, Deserialize)]
struct Named {
    name: String,
}

#[derive(Debug, Default, Deserialize)]
struct Spec {
    install: Option<Wish>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wish {
    operating_system: String,
    layout: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
struct Status {
    plan: Option<serde::de::IgnoredAny>,
}

impl Seen {
    /// Whether there is a plan to be made, or one to be taken away.
    fn counts(&self) -> bool {
        self.spec.install.is_some() || self.status.plan.is_some()
    }

    fn wants(&self, is: impl Fn(&Wish) -> bool) -> bool {
        self.spec.install.as_ref().is_some_and(is)
    }
}

impl Planner {
    /// Begins to watch. Nothing is done before [`Self::run`].
    pub fn new(client: Client, backoff: Backoff) -> Self {
        let queue = WorkQueue::new(backoff);
        let everything = |turn| InformerOptions::everything(backoff.seed.rotate_left(turn));
        let known = Arc::new(Known {
            servers: Informer::start(client.resource::<Server>().of::<Seen>(), everything(17)),
            systems: Informer::start(client.resource(), everything(19)),
            layouts: Informer::start(client.resource(), everything(23)),
            client,
        });
        known.servers.feed(&queue, |change: &Change<Seen>| {
            change.new.as_deref().filter(|seen| seen.counts()).map(|_| change.key.name.clone())
        });
        let servers = known.servers.clone();
        known.systems.feed(&queue, move |change: &Change<OperatingSystem>| {
            whose(&servers, |wish| wish.operating_system == change.key.name)
        });
        let servers = known.servers.clone();
        known.layouts.feed(&queue, move |change: &Change<DiskLayout>| {
            let default = lab_kinds::metal::server::Install::default_layout();
            whose(&servers, |wish| *wish.layout.as_ref().unwrap_or(&default) == change.key.name)
        });
        Self { queue, known }
    }

    pub async fn run(self) {
        let Self { queue, known } = self;
        // What is not seen yet would be taken for missing.
        known.systems.synced().await;
        known.layouts.synced().await;
        lab_client::run("plans", &queue, WORKERS, move |name| {
            let known = known.clone();
            async move { known.visit(&name).await }
        })
        .await;
    }
}

/// The machines that wish for something.
fn whose(servers: &Informer<Seen>, is: impl Fn(&Wish) -> bool) -> Vec<String> {
    let all = servers.list();
    all.iter().filter(|seen| seen.wants(&is)).map(|seen| seen.metadata.name.clone()).collect()
}

impl Known {
    async fn visit(&self, name: &str) -> Result<Next, Error> {
        let api = self.client.resource::<Server>();
        let Some(mut server) = api.get_opt(name).await?.filter(|s| s.metadata.deletion_timestamp.is_none())
        else {
            return Ok(Next::Settled);
        };
        let install = server.spec.install.as_ref();
        let system = install.and_then(|i| self.systems.get(&Key::cluster(&i.operating_system)));
        let layout = install.and_then(|i| self.layouts.get(&Key::cluster(&i.layout)));
        let now = Time::cut(Timestamp::now());
        let status = renewal::renewed(&server, system.as_deref(), layout.as_deref(), now);
        if status == server.status {
            return Ok(Next::Settled);
        }
        let hash = status.plan.as_ref().and_then(|plan| plan.hash.clone());
        let phase = status.phase;
        server.status = status;
        match api.update_status(name, &server, &WriteParams::default()).await {
            Ok(_) => {
                tracing::info!(server = name, hash, ?phase, "looked at its plan");
                Ok(Next::Settled)
            }
            Err(error) if error.is_conflict() => Ok(Next::After(CHANGED)),
            Err(error) if error.is_not_found() => Ok(Next::Settled),
            Err(error) => Err(error),
        }
    }
}
