//! What labd asks of this machine over its connection, and who answers it.

use crate::{exec, forward, journal, report, ssh, upgrade};
use bytes::Bytes;
use futures_util::stream;
use http::{Method, Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::{body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use lab_client::{Identity, Upgraded};
use lab_host::sshd::Sshd;
use lab_wire::agent::{BadQuery, EXEC, FORWARD, JOURNAL, REPORTS, SSH, UPGRADE};
use std::{convert::Infallible, sync::Arc, time::Duration};
use tokio::sync::mpsc;

/// The body of an answer.
pub(crate) type Body = UnsyncBoxBody<Bytes, Infallible>;

/// Requests at once: some streams, and the reports.
const STREAMS: u32 = 32;
/// What may wait to be taken by a command, in bytes.
const STREAM_WINDOW: u32 = 128 * 1024;
/// What may wait for all of them together: so much that those which take nothing hold up no other.
const CONNECTION_WINDOW: u32 = STREAM_WINDOW * STREAMS;
/// Largest frame of HTTP/2 that is taken.
const FRAME: u32 = 64 * 1024;
/// What waits to be sent of each stream, in bytes.
const SEND_BUFFER: usize = 128 * 1024;
/// Most bytes of a request's head: a command has room in it.
const MAX_HEAD: u32 = 96 * 1024;
/// How often a silent labd is asked whether it lives, and how long its answer may take. Also what keeps address translation awake.
const PING: (Duration, Duration) = (Duration::from_secs(25), Duration::from_secs(20));

/// What requests share.
pub(crate) struct Shared {
    pub version: String,
    pub inventory: report::Inventory,
    pub sshd: Sshd,
    pub identity: Identity,
    pub upgrades: Arc<upgrade::Upgrades>,
}

/// Serves a connection until it ends.
pub(crate) async fn connection(upgraded: Upgraded, shared: Arc<Shared>) -> Result<(), hyper::Error> {
    let service = service_fn(move |request| {
        let shared = shared.clone();
        async move { Ok::<_, Infallible>(answer(&shared, request).await) }
    });
    http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_frame_size(FRAME)
        .max_send_buf_size(SEND_BUFFER)
        .max_header_list_size(MAX_HEAD)
        .keep_alive_interval(PING.0)
        .keep_alive_timeout(PING.1)
        .serve_connection(upgraded.into_inner(), service)
        .await
}

async fn answer(shared: &Arc<Shared>, request: Request<Incoming>) -> Response<Body> {
    let (head, body) = request.into_parts();
    let query = head.uri.query().unwrap_or_default();
    match (&head.method, head.uri.path()) {
        (&Method::GET, REPORTS) => report::stream(shared),
        (&Method::POST, EXEC) => exec::answer(query, body),
        (&Method::POST, FORWARD) => forward::answer(query, body),
        (&Method::GET, JOURNAL) => journal::answer(query),
        (&Method::POST, UPGRADE) => upgrade::answer(shared, query, body).await,
        (&Method::PUT, SSH) => ssh::answer(shared, body).await,
        _ => refused(StatusCode::NOT_FOUND, "this agent does not know what is asked for"),
    }
}

/// A refusal, with the reason for people.
pub(crate) fn refused(status: StatusCode, why: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(Full::new(why.into()).boxed_unsync());
    *response.status_mut() = status;
    response
}

/// A request that says something which cannot be.
pub(crate) fn bad(query: &BadQuery) -> Response<Body> {
    refused(StatusCode::BAD_REQUEST, query.to_string())
}

/// An answer that comes bit by bit, and where its pieces are put. No more than one waits beside what HTTP/2 itself holds.
pub(crate) fn streamed() -> (mpsc::Sender<Bytes>, Response<Body>) {
    let (pieces, received) = mpsc::channel(1);
    let frames = stream::unfold(received, |mut received: mpsc::Receiver<Bytes>| async move {
        Some((Ok(Frame::data(received.recv().await?)), received))
    });
    (pieces, Response::new(StreamBody::new(frames).boxed_unsync()))
}
