//! Bastions that are not heard any more are said to be offline ([`lab_machine::serving::is_lost`]).

use jiff::Timestamp;
use lab_client::{Backoff, Client, Error, Informer, InformerOptions, Patch, PatchParams};
use lab_kinds::metal::Bastion;
use lab_machine::serving;
use serde_json::json;
use std::time::Duration;

/// How often it is looked.
const LOOK: Duration = Duration::from_secs(20);

/// Watches heartbeats.
pub(crate) struct Presence {
    client: Client,
    bastions: Informer<Bastion>,
}

impl Presence {
    pub fn new(client: Client, backoff: Backoff) -> Self {
        let seed = backoff.seed.rotate_left(13);
        let bastions = Informer::start(client.resource(), InformerOptions::everything(seed));
        Self { client, bastions }
    }

    pub async fn run(self) {
        loop {
            tokio::time::sleep(LOOK).await;
            if let Err(error) = self.look(Timestamp::now()).await {
                tracing::warn!(%error, "bastions could not be said to be offline, will try again");
            }
        }
    }

    async fn look(&self, now: Timestamp) -> Result<(), Error> {
        for bastion in self.bastions.list() {
            if !serving::is_lost(&bastion, now) {
                continue;
            }
            let unchanged = json!({"resourceVersion": bastion.metadata.resource_version});
            let status = json!({"online": false, "since": bastion.status.last_heartbeat});
            let patch = Patch::Merge(json!({"metadata": unchanged, "status": status}));
            let name = bastion.metadata.name.as_deref().unwrap_or_default();
            let api = self.client.resource::<Bastion>();
            match api.patch_status(name, &patch, &PatchParams::default()).await {
                Err(error) if !error.is_conflict() && !error.is_not_found() => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }
}
