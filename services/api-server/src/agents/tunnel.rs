//! An agent's connection, from its request on.

use super::{Call, Standing, not_the_machine, out_of_reach, reports, ssh, switching, upgrade};
use crate::{body::Body, fault, server::ApiServer, server::too_many};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, request::Parts};
use http_body_util::{BodyExt, Empty, Full, Limited, combinators::UnsyncBoxBody};
use hyper::{body::Incoming, client::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use jiff::Timestamp;
use lab_access::Machine;
use lab_object::{Reason, Status};
use lab_wire::agent::{Presence, Report, SshSetup, TUNNEL, Upgrade};
use parking_lot::Mutex;
use std::{
    io,
    net::IpAddr,
    sync::{Arc, Weak},
    time::Duration,
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::Instant,
};

/// What is sent to an agent.
pub(super) type Outgoing = UnsyncBoxBody<Bytes, io::Error>;

/// Streams through one tunnel at once, besides its reports.
const STREAMS: usize = 30;
/// What may wait to be read of each stream, in bytes. It bounds the memory that an agent can take, and the rate over a long way.
const STREAM_WINDOW: u32 = 256 * 1024;
/// What may wait of all streams together: so much that those which nobody reads hold up no other.
const CONNECTION_WINDOW: u32 = STREAM_WINDOW * (STREAMS as u32 + 2);
/// Largest frame of HTTP/2 that is taken.
const FRAME: u32 = 64 * 1024;
/// What waits to be sent of each stream, in bytes.
const SEND_BUFFER: usize = 128 * 1024;
/// Most bytes of the heads that an agent sends.
const MAX_HEAD: u32 = 16 * 1024;
/// How often a silent agent is asked whether it lives, and how long its answer may take.
const PING: (Duration, Duration) = (Duration::from_secs(20), Duration::from_secs(20));
/// Longest time for what follows the 101, and for the head of an agent's answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// Longest time to send an executable.
const SENDING: Duration = Duration::from_secs(30 * 60);

/// A connected agent.
pub(crate) struct Tunnel {
    /// UID of its Server.
    pub(super) uid: String,
    /// Name of its Server when it connected.
    pub(super) name: String,
    /// The tenant of its Server.
    pub(super) tenant: String,
    requests: http2::SendRequest<Outgoing>,
    slots: Arc<Semaphore>,
    connected: Timestamp,
    address: Option<IpAddr>,
    told: Mutex<(Option<Timestamp>, Option<Report>)>,
    /// What its sshd was told.
    pub(super) ssh: Mutex<Option<ssh::Told>>,
    /// Which executable it was sent, and when.
    pub(super) sent: tokio::sync::Mutex<Option<(Instant, String)>>,
    over: watch::Sender<Option<&'static str>>,
}

/// A request to an agent that was answered.
pub(super) struct Opened {
    pub(super) body: Incoming,
    /// Its place among the streams of the agent.
    pub(super) slot: OwnedSemaphorePermit,
}

impl Tunnel {
    /// How the agent stands.
    pub(super) fn presence(&self) -> Presence {
        let (heard, report) = self.told.lock().clone();
        Presence { online: true, connected: Some(self.connected), address: self.address, heard, report }
    }

    /// Takes note of a report; the one before.
    pub(super) fn told(&self, report: Report, now: Timestamp) -> Option<Report> {
        let before = std::mem::replace(&mut *self.told.lock(), (Some(now), Some(report)));
        before.1
    }

    /// Ends the tunnel, for a reason.
    pub(super) fn end(&self, why: &'static str) {
        self.over.send_if_modified(|over| over.is_none() && over.replace(why).is_none());
    }

    /// Ready when the tunnel has been ended.
    async fn ended(&self) -> &'static str {
        let mut over = self.over.subscribe();
        // Its sender is this tunnel's own.
        over.wait_for(Option::is_some).await.ok().and_then(|why| *why).unwrap_or_default()
    }

    /// Asks the agent for its reports.
    pub(super) async fn reports(&self) -> Result<Incoming, String> {
        let nothing = Empty::new().map_err(|never| match never {}).boxed_unsync();
        let response = self.send(Method::GET, lab_wire::agent::REPORTS, nothing).await?;
        match response.status() {
            StatusCode::OK => Ok(response.into_body()),
            status => Err(format!("it answers {status}")),
        }
    }

    /// The host key of the machine's sshd, where it has one.
    pub(super) fn host_key(&self) -> Option<String> {
        let told = self.told.lock();
        told.1.as_ref().map(|report| report.system.ssh_host_key.clone()).filter(|key| !key.is_empty())
    }

    /// Has the agent set up the machine's sshd; why it did not.
    pub(super) async fn set_up_ssh(&self, setup: &SshSetup) -> Result<(), String> {
        let body = Full::new(crate::answer::encode(setup)).map_err(|never| match never {}).boxed_unsync();
        let response = self.send(Method::PUT, lab_wire::agent::SSH, body).await?;
        match response.status() {
            StatusCode::NO_CONTENT => Ok(()),
            StatusCode::NOT_FOUND => Err("the agent is too old for this; upgrade it".into()),
            _ => Err(said(response).await),
        }
    }

    /// Sends the agent another executable; why it does not take it.
    pub(super) async fn send_executable(&self, upgrade: &Upgrade, body: Outgoing) -> Result<(), String> {
        let path = format!("{}?{}", lab_wire::agent::UPGRADE, upgrade.to_query());
        let response = self.send_within(SENDING, Method::POST, &path, body).await?;
        match response.status() {
            StatusCode::ACCEPTED => Ok(()),
            _ => Err(said(response).await),
        }
    }

    /// Asks the agent for something, within what it may be asked for at once.
    pub(super) async fn open(&self, method: Method, path: &str, body: Outgoing) -> Result<Opened, Status> {
        let slot = self.slots.clone().try_acquire_owned().map_err(|_| too_many("streams to this machine"))?;
        let sent = self.send(method, path, body).await;
        let response = sent.map_err(|why| out_of_reach(&self.name, &format!("does not answer: {why}")))?;
        if response.status() == StatusCode::OK {
            return Ok(Opened { body: response.into_body(), slot });
        }
        let status = response.status();
        let why = said(response).await;
        Err(match status {
            StatusCode::BAD_REQUEST => fault::bad_request(why),
            StatusCode::TOO_MANY_REQUESTS => too_many("streams to this machine"),
            StatusCode::NOT_FOUND => {
                let why = format!("the agent of server {:?} is too old for this; upgrade it", self.name);
                Status::failure(Reason::NotImplemented, why)
            }
            _ => out_of_reach(&self.name, &format!("refuses: {why}")),
        })
    }

    async fn send(&self, method: Method, path: &str, body: Outgoing) -> Result<Response<Incoming>, String> {
        self.send_within(PATIENCE, method, path, body).await
    }

    async fn send_within(
        &self,
        patience: Duration,
        method: Method,
        path: &str,
        body: Outgoing,
    ) -> Result<Response<Incoming>, String> {
        // HTTP/2 needs an authority; there is only one at the other end.
        let request = Request::builder().method(method).uri(format!("http://agent{path}")).body(body);
        let request = request.map_err(|error| error.to_string())?;
        let answer = self.requests.clone().send_request(request);
        match tokio::time::timeout(patience, answer).await {
            Ok(answer) => answer.map_err(|error| error.to_string()),
            Err(_) => Err(format!("nothing came within {} s", patience.as_secs())),
        }
    }
}

impl Call<'_> {
    /// Answers an agent that opens its tunnel.
    pub(super) async fn open_tunnel(&self, parts: &Parts) -> Result<Response<Body>, Status> {
        self.trace.name_verb("connect");
        let machine = self.machine().await?;
        match Machine::of(&self.caller.user, &self.caller.groups) {
            Some(Machine::Server { uid }) if uid == machine.uid => {}
            _ => return Err(not_the_machine(self, &machine.name)),
        }
        let upgrade = upgrade(parts, TUNNEL)?;
        let (server, standing) = (self.server.me.clone(), self.standing());
        let address = self.caller.address.map(|address| address.ip().to_canonical());
        let (tenant, connected) = (self.info.tenant.clone(), self.now);
        tokio::spawn(async move {
            let shaken = tokio::time::timeout(PATIENCE, async {
                let upgraded = upgrade.await?;
                http2_builder().handshake::<_, Outgoing>(upgraded).await
            });
            let (requests, connection) = match shaken.await {
                Ok(Ok(shaken)) => shaken,
                Ok(Err(error)) => return tracing::debug!(server = machine.name, %error, "no tunnel"),
                Err(_) => return tracing::debug!(server = machine.name, "no tunnel: the agent is silent"),
            };
            let tunnel = Arc::new(Tunnel {
                uid: machine.uid,
                name: machine.name,
                tenant,
                requests,
                slots: Arc::new(Semaphore::new(STREAMS)),
                connected,
                address,
                told: Mutex::default(),
                ssh: Mutex::default(),
                sent: tokio::sync::Mutex::default(),
                over: watch::Sender::new(None),
            });
            let driven = async {
                match connection.await {
                    Ok(()) => "the agent hung up".to_owned(),
                    Err(error) => error.to_string(),
                }
            };
            run(server, tunnel, standing, driven).await;
        });
        Ok(switching(TUNNEL))
    }
}

/// What a refusal says, as far as it is read.
async fn said(response: Response<Incoming>) -> String {
    let said = Limited::new(response.into_body(), 4096).collect().await;
    let said = said.map(|body| body.to_bytes()).unwrap_or_default();
    String::from_utf8_lossy(&said).into_owned()
}

fn http2_builder() -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_frame_size(FRAME)
        .max_send_buf_size(SEND_BUFFER)
        .max_header_list_size(MAX_HEAD)
        .max_concurrent_reset_streams(64)
        .keep_alive_interval(PING.0)
        .keep_alive_timeout(PING.1)
        .keep_alive_while_idle(true);
    builder
}

/// Keeps a tunnel until it ends, whoever ends it.
async fn run(
    server: Weak<ApiServer>,
    tunnel: Arc<Tunnel>,
    mut standing: Standing,
    driven: impl Future<Output = String>,
) {
    let Some(mut closing) = server.upgrade().map(|server| {
        server.agents.enter(&tunnel);
        server.watches.closing()
    }) else {
        return;
    };
    tracing::info!(server = tunnel.name, address = ?tunnel.address, "an agent connected");
    let why = tokio::select! {
        why = driven => why,
        why = reports::listen(&server, &tunnel) => why,
        why = tunnel.ended() => why.into(),
        why = standing.lost() => why.into(),
        _ = closing.wait_for(|&closing| closing) => "labd stops".into(),
    };
    tracing::info!(server = tunnel.name, why, "an agent is gone");
    let is_closing = *closing.borrow();
    if let Some(server) = server.upgrade() {
        server.agents.leave(&tunnel);
        // Whoever is connected when labd stops comes back when it starts.
        if !is_closing {
            tokio::spawn(super::presence::gone(Arc::downgrade(&server), tunnel));
        }
    }
}
