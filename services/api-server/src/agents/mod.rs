//! Machines in reach: their agents' tunnels, what they report, and the streams that go through them.
//!
//! An agent connects outwards and asks to leave HTTP ([`tunnel`]). On that connection labd is the client of HTTP/2 and the agent
//! the server, so that whatever somebody asks of a machine is a request with streaming bodies, flow control of its own and
//! nothing to do with any other. One request is always under way: the agent's [`reports`].
//!
//! Who is connected is known in memory; a Server says so when that changes ([`presence`]), and not with every heartbeat.

mod presence;
mod reports;
mod ssh;
mod standing;
mod stream;
mod tunnel;
mod upgrade;

pub(crate) use presence::missing;
use tunnel::Tunnel;

use crate::{answer, body::Body, call::Call, caller, fault, metadata};
use http::{HeaderValue, Response, StatusCode, header, request::Parts};
use hyper::upgrade::OnUpgrade;
use lab_kinds::Subresource;
use lab_object::{Json, Reason, Status};
use lab_wire::agent::Presence;
use parking_lot::Mutex;
use standing::Standing;
use std::{collections::HashMap, sync::Arc};
use tokio::sync::Semaphore;

/// Streams to machines at once; each may hold some hundred KiB.
const MAX_STREAMS: usize = 4096;
/// Writes of agents' presence at once, so that ten thousand that come back together do not crowd others out.
const WRITES: usize = 32;

/// The agents that are connected.
pub(crate) struct Agents {
    /// By the UID of their Server.
    connected: Mutex<HashMap<String, Arc<Tunnel>>>,
    streams: Arc<Semaphore>,
    writes: Semaphore,
    releases: upgrade::Releases,
}

impl Default for Agents {
    fn default() -> Self {
        Self {
            connected: Mutex::default(),
            streams: Arc::new(Semaphore::new(MAX_STREAMS)),
            writes: Semaphore::new(WRITES),
            releases: upgrade::Releases::default(),
        }
    }
}

impl Agents {
    /// The agent of the server with a UID.
    fn find(&self, uid: &str) -> Option<Arc<Tunnel>> {
        self.connected.lock().get(uid).cloned()
    }

    /// How many are connected.
    pub(crate) fn count(&self) -> usize {
        self.connected.lock().len()
    }

    /// Enters an agent; the tunnel that it had before, if there is one, is ended.
    fn enter(&self, tunnel: &Arc<Tunnel>) {
        let before = self.connected.lock().insert(tunnel.uid.clone(), tunnel.clone());
        if let Some(before) = before {
            before.end("the agent has connected anew");
        }
    }

    /// Takes a tunnel out that has ended, unless another is in its place.
    fn leave(&self, tunnel: &Arc<Tunnel>) {
        let mut connected = self.connected.lock();
        if connected.get(&tunnel.uid).is_some_and(|present| Arc::ptr_eq(present, tunnel)) {
            connected.remove(&tunnel.uid);
        }
    }
}

impl Call<'_> {
    /// Answers what is asked of a machine itself rather than of its object; nothing for any other subresource.
    pub(crate) async fn at_machine(&self, parts: &Parts) -> Option<Result<Response<Body>, Status>> {
        Some(match &self.info.subresource {
            Some(Subresource::Tunnel) => self.open_tunnel(parts).await,
            Some(Subresource::Agent) => self.tell_presence().await,
            Some(Subresource::Exec) => self.exec(parts).await,
            Some(Subresource::PortForward) => self.forward(parts).await,
            Some(Subresource::Journal) => self.journal(parts).await,
            _ => return None,
        })
    }

    /// The server that is asked for, when the caller may do so.
    async fn machine(&self) -> Result<Machine, Status> {
        let object = self.asked_for().await?;
        let text = |field| metadata::text(&object, field).to_owned();
        Ok(Machine { name: text("name"), uid: text("uid") })
    }

    /// The same, as it is stored.
    async fn asked_for(&self) -> Result<Json, Status> {
        let entry = self.find().await?.ok_or_else(|| self.info.not_found())?;
        let object: Json = serde_json::from_slice(&entry.value).map_err(fault::internal)?;
        self.trace.object_name(metadata::text(&object, "name"));
        self.judge(Some(&object), None)?;
        Ok(object)
    }

    async fn tell_presence(&self) -> Result<Response<Body>, Status> {
        let machine = self.machine().await?;
        let tunnel = self.server.agents.find(&machine.uid);
        Ok(answer::json(&tunnel.map_or_else(Presence::default, |tunnel| tunnel.presence())))
    }

    /// What was admitted, for as long as it holds.
    fn standing(&self) -> Standing {
        let authorizer = self.server.authorizer.clone();
        Standing::new(
            authorizer,
            self.caller.clone(),
            self.info.tenant.clone(),
            self.access.clone(),
            self.now,
        )
    }
}

/// A server, as it is asked for.
struct Machine {
    name: String,
    uid: String,
}

/// The connection beneath a request, once this has been answered with 101.
///
/// 400 when the request does not ask to leave HTTP for `protocol`, or cannot.
fn upgrade(parts: &Parts, protocol: &'static str) -> Result<OnUpgrade, Status> {
    let names = |name: header::HeaderName, wanted: &str| {
        let values = parts.headers.get_all(name);
        let mut words = values.iter().filter_map(|v| v.to_str().ok()).flat_map(|v| v.split(','));
        words.any(|word| word.trim().eq_ignore_ascii_case(wanted))
    };
    if !names(header::CONNECTION, "upgrade") || !names(header::UPGRADE, protocol) {
        let why = format!(
            "this is a stream: ask over HTTP/1.1 with `Connection: upgrade` and `Upgrade: {protocol}`"
        );
        return Err(fault::bad_request(why));
    }
    let upgrade = parts.extensions.get::<OnUpgrade>().cloned();
    upgrade.ok_or_else(|| fault::bad_request("a stream needs a connection of HTTP/1.1 of its own"))
}

/// 101.
fn switching(protocol: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static(protocol));
    response
}

/// 403 for whoever is not the machine itself.
fn not_the_machine(call: &Call<'_>, name: &str) -> Status {
    let why = "only the agent of this server, by the certificate it joined with, opens its tunnel";
    caller::forbidden(call.caller, call.info, name, why)
}

/// 503 for a machine that is out of reach.
fn out_of_reach(name: &str, why: &str) -> Status {
    Status::failure(Reason::ServiceUnavailable, format!("the agent of server {name:?} {why}"))
}
