//! Machines whose disks are to be wiped before their objects go are held until that is done ([`lab_machine::wiping`]), and an event says
//! afterwards what was wiped.

use crate::{looked_at::LookedAt, seen::Partial};
use jiff::Timestamp;
use lab_client::{Backoff, Client, Error, Next, Patch, PatchParams, WriteParams};
use lab_kinds::core::Event;
use lab_kinds::metal::Server;
use lab_machine::wiping::{FINALIZER, Holding, holding, record};
use serde::Deserialize;
use serde_json::json;
use std::time::Duration;

/// When to look again at a machine that changed meanwhile.
const CHANGED: Duration = Duration::from_millis(50);

/// Holds machines and lets them go.
pub(crate) struct Holder(LookedAt<Seen>);

/// What is kept of a Server: whether it is worth a look.
#[derive(Debug, Deserialize)]
#[serde(from = "Looked")]
struct Seen {
    concerned: bool,
}

#[derive(Debug, Deserialize)]
struct Looked {
    #[serde(flatten)]
    partial: Partial,
    #[serde(default)]
    spec: Spec,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    when_deleted: Option<String>,
}

impl From<Looked> for Seen {
    fn from(server: Looked) -> Self {
        let held = server.partial.metadata.finalizers.iter().any(|finalizer| finalizer == FINALIZER);
        Self { concerned: held || server.spec.when_deleted.is_some() }
    }
}

impl Holder {
    /// Begins to watch. Nothing is done before [`Self::run`].
    pub fn new(client: Client, backoff: Backoff) -> Self {
        Self(LookedAt::new(client, backoff, 29, |seen| seen.concerned))
    }

    pub async fn run(self) {
        self.0.run("wiping", visit).await;
    }
}

async fn visit(client: Client, name: String) -> Result<Next, Error> {
    let api = client.resource::<Server>();
    let Some(server) = api.get_opt(&name).await? else { return Ok(Next::Settled) };
    let mut finalizers = server.metadata.finalizers.clone();
    match holding(&server) {
        Holding::AsItIs => return Ok(Next::Settled),
        Holding::Hold => finalizers.push(FINALIZER.into()),
        Holding::LetGo => finalizers.retain(|finalizer| finalizer != FINALIZER),
    }
    if let Some(event) = record(&server, Timestamp::now()) {
        let events = client.namespaced::<Event>("default");
        match events.create(&event, &WriteParams::default()).await {
            // Without the namespace there is no place for it but the log.
            Err(error) if !error.is_already_exists() && !error.is_not_found() => return Err(error),
            _ => tracing::info!(server = name, what = event.message, "wiped, and forgotten"),
        }
    }
    let metadata = json!({"resourceVersion": server.metadata.resource_version, "finalizers": finalizers});
    let patch = Patch::Merge(json!({"metadata": metadata}));
    match api.patch(&name, &patch, &PatchParams::default()).await {
        Err(error) if error.is_conflict() => Ok(Next::After(CHANGED)),
        Err(error) if error.is_not_found() => Ok(Next::Settled),
        outcome => outcome.map(|_| Next::Settled),
    }
}
