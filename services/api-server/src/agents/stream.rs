//! Streams to a machine: commands, ports, its journal. What flows is passed on unread, in pieces that are asked for only when there
//! is room for them.

use super::{Call, Standing, Tunnel, out_of_reach, switching, tunnel::Opened, upgrade};
use crate::{
    answer,
    body::{Body, Pieces},
    fault,
    server::too_many,
};
use bytes::{Bytes, BytesMut};
use futures_util::stream;
use http::{Method, Response, StatusCode, request::Parts};
use http_body::Frame;
use http_body_util::{BodyExt, Empty, StreamBody};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use lab_object::Status;
use lab_wire::{
    agent::{EXEC, Exec, FORWARD, Forward, JOURNAL, Journal},
    stream::PROTOCOL,
};
use std::{io, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::{OwnedSemaphorePermit, mpsc, watch},
};

/// Bytes that are read at once from who asked.
const PIECE: usize = 32 * 1024;
/// Longest silence of who asked: their program says every now and then that it lives.
const SILENCE: Duration = Duration::from_secs(120);
/// Longest time until a connection is there that was promised with 101.
const PATIENCE: Duration = Duration::from_secs(30);

/// All that a stream holds on to while it runs.
struct Running {
    standing: Standing,
    closing: watch::Receiver<bool>,
    _place: OwnedSemaphorePermit,
}

impl Call<'_> {
    /// Answers a request to run a command.
    pub(super) async fn exec(&self, parts: &Parts) -> Result<Response<Body>, Status> {
        self.trace.name_verb("exec");
        let asked = Exec::from_query(parts.uri.query().unwrap_or_default());
        let exec = asked.map_err(|bad| fault::bad_request(bad.to_string()))?;
        self.trace.note(&exec.command.join(" "));
        self.stream(parts, format!("{EXEC}?{}", exec.to_query())).await
    }

    /// Answers a request to connect to a port.
    pub(super) async fn forward(&self, parts: &Parts) -> Result<Response<Body>, Status> {
        self.trace.name_verb("portforward");
        let asked = Forward::from_query(parts.uri.query().unwrap_or_default());
        let forward = asked.map_err(|bad| fault::bad_request(bad.to_string()))?;
        self.trace.note(&format!("port {}", forward.port));
        self.stream(parts, format!("{FORWARD}?{}", forward.to_query())).await
    }

    /// Answers a request for the journal: text, as it comes.
    pub(super) async fn journal(&self, parts: &Parts) -> Result<Response<Body>, Status> {
        self.trace.name_verb("journal");
        let asked = Journal::from_query(parts.uri.query().unwrap_or_default());
        let journal = asked.map_err(|bad| fault::bad_request(bad.to_string()))?;
        self.trace.note(&journal.units.join(" "));
        let tunnel = self.tunnel().await?;
        self.server.audit.ready()?;
        let mut running = self.running()?;
        let nothing = Empty::new().map_err(|never| match never {}).boxed_unsync();
        let path = format!("{JOURNAL}?{}", journal.to_query());
        let Opened { mut body, slot } = tunnel.open(Method::GET, &path, nothing).await?;
        let (pieces, received) = mpsc::channel(1);
        tokio::spawn(async move {
            let _slot = slot;
            let passed = async {
                while let Some(Ok(frame)) = body.frame().await {
                    let Ok(data) = frame.into_data() else { continue };
                    if pieces.send(Pieces::from(data)).await.is_err() {
                        break;
                    }
                }
            };
            tokio::select! {
                () = passed => {}
                () = pieces.closed() => {}
                _ = running.over() => {}
            }
        });
        let text =
            stream::unfold(received, |mut received| async move { Some((received.recv().await?, received)) });
        Ok(answer::with(StatusCode::OK, "text/plain; charset=utf-8", Body::stream(text)))
    }

    /// Answers with a stream of frames between who asks and the machine.
    async fn stream(&self, parts: &Parts, path: String) -> Result<Response<Body>, Status> {
        let tunnel = self.tunnel().await?;
        self.server.audit.ready()?;
        let upgrade = upgrade(parts, PROTOCOL)?;
        let running = self.running()?;
        let (input, taken) = mpsc::channel(1);
        let body = StreamBody::new(stream::unfold(taken, |mut taken: mpsc::Receiver<Bytes>| async move {
            Some((Ok::<_, io::Error>(Frame::data(taken.recv().await?)), taken))
        }));
        let opened = tunnel.open(Method::POST, &path, body.boxed_unsync()).await?;
        if let Some(lenient) = parts.extensions.get::<crate::connection::Lenient>() {
            lenient.grant();
        }
        tokio::spawn(relay(upgrade, input, opened, running));
        Ok(switching(PROTOCOL))
    }

    /// The way to the machine that is asked for.
    async fn tunnel(&self) -> Result<Arc<Tunnel>, Status> {
        let machine = self.machine().await?;
        let tunnel = self.server.agents.find(&machine.uid);
        tunnel.ok_or_else(|| out_of_reach(&machine.name, "is not connected"))
    }

    fn running(&self) -> Result<Running, Status> {
        let place = self.server.agents.streams.clone().try_acquire_owned();
        let place = place.map_err(|_| too_many("streams to machines"))?;
        let closing = self.server.watches.closing();
        Ok(Running { standing: self.standing(), closing, _place: place })
    }
}

impl Running {
    /// Ready when the stream may not go on; why.
    async fn over(&mut self) -> &'static str {
        tokio::select! {
            why = self.standing.lost() => why,
            _ = self.closing.wait_for(|&closing| closing) => "labd stops",
        }
    }
}

/// Passes on what flows, until the machine has said all, or who asked is gone: then nothing more is taken from the machine, which
/// ends what it was asked for.
async fn relay(upgrade: OnUpgrade, input: mpsc::Sender<Bytes>, opened: Opened, mut running: Running) {
    let upgraded = match tokio::time::timeout(PATIENCE, upgrade).await {
        Ok(Ok(upgraded)) => upgraded,
        _ => return tracing::debug!("a stream was asked for and not taken"),
    };
    let why = tokio::select! {
        why = pass(upgraded, input, opened) => why,
        why = running.over() => why,
    };
    tracing::debug!(why, "a stream ended");
}

async fn pass(upgraded: Upgraded, input: mpsc::Sender<Bytes>, opened: Opened) -> &'static str {
    let (mut from, mut to) = tokio::io::split(TokioIo::new(upgraded));
    let Opened { mut body, slot: _slot } = opened;
    let up = async {
        let mut buffer = BytesMut::new();
        loop {
            buffer.reserve(PIECE);
            match tokio::time::timeout(SILENCE, from.read_buf(&mut buffer)).await {
                Ok(Ok(1..)) => {}
                Ok(_) => return "who asked is gone",
                Err(_) => return "who asked is silent",
            }
            if input.send(buffer.split().freeze()).await.is_err() {
                // The machine takes no more; it may have more to say.
                return std::future::pending().await;
            }
        }
    };
    let down = async {
        loop {
            let data = match body.frame().await {
                Some(Ok(frame)) => frame.into_data().unwrap_or_default(),
                Some(Err(_)) => return "the machine broke off",
                None => break,
            };
            if to.write_all(&data).await.is_err() {
                return "who asked takes no more";
            }
        }
        // All was said already; whoever is gone by now misses nothing.
        let _ = to.shutdown().await;
        "the machine has said all"
    };
    tokio::select! {
        why = up => why,
        why = down => why,
    }
}
