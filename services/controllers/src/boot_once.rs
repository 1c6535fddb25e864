//! What a machine was to be given once is taken out of its Server when a bastion has given it
//! ([`lab_machine::sighting::once_is_spent`]).

use crate::{looked_at::LookedAt, seen::Partial};
use lab_client::{Backoff, Client, Error, Next, Patch, PatchParams};
use lab_kinds::metal::Server;
use lab_kinds::metal::server::BootOnce;
use lab_machine::sighting;
use serde::Deserialize;
use serde_json::json;

/// Takes spent wishes away.
pub(crate) struct Clearer(LookedAt<Seen>);

/// What is kept of a Server: whether it is worth a look.
#[derive(Debug, Deserialize)]
#[serde(from = "Looked")]
struct Seen {
    spent: bool,
}

#[derive(Debug, Deserialize)]
struct Looked {
    #[serde(flatten)]
    partial: Partial,
    #[serde(default)]
    spec: Spec,
    #[serde(default)]
    status: Status,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Spec {
    boot: Wish,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Wish {
    once: Option<BootOnce>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Status {
    boot: Served,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Served {
    served_once: Option<BootOnce>,
    served_generation: Option<i64>,
}

impl From<Looked> for Seen {
    fn from(server: Looked) -> Self {
        let Served { served_once, served_generation } = server.status.boot;
        let same = served_generation.is_some() && served_generation == server.partial.metadata.generation;
        Self { spent: same && server.spec.boot.once.is_some() && served_once == server.spec.boot.once }
    }
}

impl Clearer {
    /// Begins to watch. Nothing is done before [`Self::run`].
    pub fn new(client: Client, backoff: Backoff) -> Self {
        Self(LookedAt::new(client, backoff, 7, |seen| seen.spent))
    }

    pub async fn run(self) {
        self.0.run("boot-once", visit).await;
    }
}

async fn visit(client: Client, name: String) -> Result<Next, Error> {
    let api = client.resource::<Server>();
    let Some(server) = api.get_opt(&name).await?.filter(sighting::once_is_spent) else {
        return Ok(Next::Settled);
    };
    let unchanged = json!({"resourceVersion": server.metadata.resource_version});
    let patch = Patch::Merge(json!({"metadata": unchanged, "spec": {"boot": {"once": null}}}));
    match api.patch(&name, &patch, &PatchParams::default()).await {
        // Whoever changed it made an event, and it is looked at again then.
        Err(error) if error.is_conflict() || error.is_not_found() => Ok(Next::Settled),
        outcome => outcome.map(|_| Next::Settled),
    }
}
