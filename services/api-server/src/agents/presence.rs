//! What Servers say of their agents. It is written when it changes: an agent that comes back after a moment, or that goes on after
//! labd was restarted, is not news.

use super::Tunnel;
use crate::{key::DEFAULT_TENANT, metadata, server::ApiServer};
use http::Method;
use jiff::Timestamp;
use lab_kinds::metal::Server;
use lab_machine::{
    presence::{self, News},
    upgrade::Standing,
};

pub(super) use lab_machine::presence::UPGRADED;
use lab_object::{Json, Reason, Status, Time};
use lab_wire::{agent::System, site::Discovery};
use serde::Deserialize;
use serde_json::{Map, json};
use std::{
    sync::{Arc, Weak},
    time::Duration,
};

/// How long an agent may be away before its machine counts as out of reach.
const GRACE: Duration = Duration::from_secs(15);
/// How long agents have to come back after labd was started.
const RETURN: Duration = Duration::from_secs(90);

/// How often a status is looked at anew because others wrote it meanwhile.
const ATTEMPTS: usize = 20;

const MERGE: &str = "application/merge-patch+json";

fn servers(tenant: &str) -> String {
    const PATH: &str = "/apis/metal.lab/v1alpha1/servers";
    if tenant == DEFAULT_TENANT { PATH.into() } else { format!("/clusters/{tenant}{PATH}") }
}

/// An agent is connected, and says something new. Fails when its Server is gone.
pub(super) async fn here(
    server: &ApiServer,
    tunnel: &Tunnel,
    system: &System,
    inventory: Option<&Discovery>,
) -> Result<(), String> {
    let written = write(server, &tunnel.tenant, &tunnel.uid, &News::Here { system, inventory }).await;
    match written {
        Ok(true) => Ok(()),
        Ok(false) => Err("its Server was deleted".into()),
        Err(status) => {
            tracing::warn!(
                server = tunnel.name,
                why = status.message,
                "what the agent reports was not written"
            );
            Ok(())
        }
    }
}

/// Whether an agent runs what it is to run; nothing where nobody says any more what that is.
pub(super) async fn upgraded(server: &ApiServer, tunnel: &Tunnel, standing: Option<&Standing>) {
    let written = write(server, &tunnel.tenant, &tunnel.uid, &News::Upgraded(standing)).await;
    if let Err(status) = written {
        tracing::warn!(server = tunnel.name, why = status.message, "how its upgrade stands was not written");
    }
}

/// The Server of an agent; nothing while the store has trouble, which is not the agent's. Fails when it is gone.
pub(super) async fn its_server(server: &ApiServer, tunnel: &Tunnel) -> Result<Option<Json>, String> {
    match server.own_get(&format!("{}/{}", servers(&tunnel.tenant), tunnel.uid)).await {
        Ok(Some(object)) if metadata::text(&object, "uid") == tunnel.uid => Ok(Some(object)),
        Ok(_) => Err("its Server was deleted".into()),
        Err(_) => Ok(None),
    }
}

/// An agent is gone. Its Server says so unless it is back soon.
pub(super) async fn gone(server: Weak<ApiServer>, tunnel: Arc<Tunnel>) {
    tokio::time::sleep(GRACE).await;
    let Some(server) = server.upgrade() else { return };
    if server.agents.find(&tunnel.uid).is_none() && !*server.watches.closing().borrow() {
        note_gone(&server, &tunnel.tenant, &tunnel.uid).await;
    }
}

/// Once after the start: the agents that were connected when labd stopped, and have not come back.
pub(crate) async fn missing(server: Weak<ApiServer>) {
    tokio::time::sleep(RETURN).await;
    let Some(server) = server.upgrade() else { return };
    let path = format!("{}?fieldSelector=status.agent.online%3Dtrue", servers(DEFAULT_TENANT));
    let list = match server.own_get(&path).await {
        Ok(list) => list.unwrap_or_default(),
        Err(status) => return tracing::warn!(why = status.message, "servers could not be listed"),
    };
    for object in list["items"].as_array().into_iter().flatten() {
        let uid = metadata::text(object, "uid");
        if server.agents.find(uid).is_none() && !*server.watches.closing().borrow() {
            note_gone(&server, DEFAULT_TENANT, uid).await;
        }
    }
}

async fn note_gone(server: &ApiServer, tenant: &str, uid: &str) {
    if let Err(status) = write(server, tenant, uid, &News::Gone).await {
        tracing::warn!(uid, why = status.message, "that an agent is gone was not written");
    }
}

/// Writes what is new of a server's agent; whether there is such a server. Others write its status as well, of which nothing may be
/// lost: where they were quicker, it is looked at anew.
async fn write(server: &ApiServer, tenant: &str, uid: &str, news: &News<'_>) -> Result<bool, Status> {
    // The semaphore is never closed.
    let _turn = server.agents.writes.acquire().await;
    let servers = servers(tenant);
    for _ in 0..ATTEMPTS {
        let Some(object) = server.own_get(&format!("{servers}/{uid}")).await? else { return Ok(false) };
        if metadata::text(&object, "uid") != uid {
            return Ok(false);
        }
        let stored = Server::deserialize(&object).map_err(crate::fault::internal)?;
        let new = presence::status(&stored.status, news, Time::cut(Timestamp::now()));
        if new == stored.status {
            return Ok(true);
        }
        let version = metadata::text(&object, "resourceVersion");
        let status = changes(&as_json(&stored.status)?, as_json(&new)?);
        let patch = json!({"metadata": {"resourceVersion": version}, "status": status});
        let path = format!("{servers}/{}/status?fieldManager=labd", metadata::text(&object, "name"));
        match server.own(Method::PATCH, &path, MERGE, &patch).await {
            Err(status) if status.reason == Some(Reason::Conflict) => {}
            written => return written.map(|_| true),
        }
    }
    Err(crate::fault::internal("its status changes faster than it can be written"))
}

fn as_json(status: &impl serde::Serialize) -> Result<Map<String, Json>, Status> {
    match serde_json::to_value(status).map_err(crate::fault::internal)? {
        Json::Object(fields) => Ok(fields),
        other => Err(crate::fault::internal(format_args!("a status is no {other}"))),
    }
}

/// The fields that differ, as a merge patch has them.
fn changes(old: &Map<String, Json>, new: Map<String, Json>) -> Map<String, Json> {
    let gone: Vec<_> = old.keys().filter(|key| !new.contains_key(*key)).cloned().collect();
    let changed = new.into_iter().filter(|(key, value)| old.get(key) != Some(value));
    changed.chain(gone.into_iter().map(|key| (key, Json::Null))).collect()
}
