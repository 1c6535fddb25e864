//! The way in from the network: TLS, who the peer is, HTTP/1.1 or HTTP/2, and an orderly end.

use crate::{
    body::Body,
    caller::{Caller, Credential},
    connection::{Guarded, Lenient},
    server::ApiServer,
};
use http::{Request, Response};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto, graceful::GracefulShutdown},
};
use jiff::Timestamp;
use lab_access::credentials::Certificate;
use lab_pki::{CertificateFacts, Identity};
use sha2::{Digest, Sha256};
use std::{
    convert::Infallible,
    future::Future,
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime},
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

/// Connections at once; more wait to be accepted.
const MAX_CONNECTIONS: usize = 20_000;
/// Longest time for a TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Longest time for the head of a request, also the longest idle time of an HTTP/1.1 connection, and until the first request of
/// any.
const HEAD: Duration = Duration::from_secs(90);
/// Most bytes of a request's head.
const MAX_HEAD: usize = 64 * 1024;
/// Requests at once on one HTTP/2 connection; Kubernetes allows as many or fewer.
const MAX_STREAMS: u32 = 1000;
/// How often a silent HTTP/2 connection is asked whether it lives, and how long the answer may take.
const PING: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(20));
/// How long requests have to end once the server is to stop.
const DRAIN: Duration = Duration::from_secs(15);
/// Pause after accepting failed, mostly for want of file descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves until `shutdown` is ready, then ends watches, lets other requests finish, and returns.
///
/// The configuration must ask for client certificates without requiring them, and offer `h2` and `http/1.1` by ALPN.
/// Whoever shows no certificate is [`Caller::anonymous`].
///
/// # Errors
/// Only when the listener has no address to name any more.
pub async fn serve(
    listener: TcpListener,
    tls: Arc<rustls::ServerConfig>,
    server: Arc<ApiServer>,
    shutdown: impl Future<Output = ()> + Send,
) -> io::Result<()> {
    let address = listener.local_addr()?;
    tracing::info!(%address, "serving");
    let acceptor = TlsAcceptor::from(tls);
    let connections = Connections {
        builder: Arc::new(builder()),
        graceful: GracefulShutdown::new(),
        slots: Arc::new(Semaphore::new(MAX_CONNECTIONS)),
        server: server.clone(),
    };
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let next = async {
            let slot = connections.slots.clone().acquire_owned().await;
            (listener.accept().await, slot)
        };
        tokio::select! {
            () = &mut shutdown => break,
            (accepted, slot) = next => match (accepted, slot) {
                (Ok((stream, peer)), Ok(slot)) => connections.begin(stream, peer, &acceptor, slot),
                (Err(error), _) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(PAUSE).await;
                }
                (_, Err(_)) => break,
            },
        }
    }
    drop(listener);
    server.close();
    if tokio::time::timeout(DRAIN, connections.graceful.shutdown()).await.is_err() {
        tracing::warn!("some requests did not end in time and were broken off");
    }
    Ok(())
}

fn builder() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD).max_buf_size(MAX_HEAD);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(MAX_HEAD as u32)
        .max_concurrent_streams(MAX_STREAMS)
        .keep_alive_interval(PING.0)
        .keep_alive_timeout(PING.1);
    builder
}

/// What connections share.
struct Connections {
    builder: Arc<auto::Builder<TokioExecutor>>,
    graceful: GracefulShutdown,
    slots: Arc<Semaphore>,
    server: Arc<ApiServer>,
}

impl Connections {
    fn begin(&self, stream: TcpStream, peer: SocketAddr, acceptor: &TlsAcceptor, slot: OwnedSemaphorePermit) {
        let (acceptor, server, builder) = (acceptor.clone(), self.server.clone(), self.builder.clone());
        let watcher = self.graceful.watcher();
        tokio::spawn(async move {
            let _slot = slot;
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%peer, %error, "TCP_NODELAY could not be set");
            }
            let lenient = Lenient::default();
            let guarded = Guarded::new(stream, lenient.clone());
            let stream = match tokio::time::timeout(HANDSHAKE, acceptor.accept(guarded)).await {
                Ok(Ok(stream)) => stream,
                Ok(Err(error)) => return tracing::debug!(%peer, %error, "the TLS handshake failed"),
                Err(_) => return tracing::debug!(%peer, "the TLS handshake took too long"),
            };
            let caller = match caller(&stream, peer) {
                Ok(caller) => caller,
                Err(error) => return tracing::warn!(%peer, %error, "a client certificate could not be read"),
            };
            let _live = server.sightings.open(&caller);
            // What ALPN agreed on is held to; guessing from the first bytes would wait for them without end.
            let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
            let builder = (*builder).clone();
            let builder = if http2 { builder.http2_only() } else { builder.http1_only() };
            let asked = Arc::new(AtomicBool::new(false));
            let noted = asked.clone();
            let service = service_fn(move |mut request: Request<Incoming>| {
                noted.store(true, Ordering::Relaxed);
                request.extensions_mut().insert(lenient.clone());
                answer(server.clone(), caller.clone(), request)
            });
            let connection =
                builder.serve_connection_with_upgrades(TokioIo::new(stream), service).into_owned();
            tokio::select! {
                ended = watcher.watch(connection) => if let Err(error) = ended {
                    tracing::debug!(%peer, error, "a connection broke");
                },
                () = silence(&asked) => tracing::debug!(%peer, "a connection on which nothing was asked is ended"),
            }
        });
    }
}

/// Ready when nothing was asked for too long at the beginning: with HTTP/2 nothing else ends a connection whose peer keeps the
/// place and says nothing.
async fn silence(asked: &AtomicBool) {
    tokio::time::sleep(HEAD).await;
    if asked.load(Ordering::Relaxed) {
        std::future::pending::<()>().await;
    }
}

async fn answer(
    server: Arc<ApiServer>,
    caller: Caller,
    request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    Ok(server.handle(request, caller).await)
}

/// Who the peer is by the certificate that was verified in the handshake, as Kubernetes reads it: the common name is
/// the user, each organisation a group.
fn caller<S>(stream: &TlsStream<S>, peer: SocketAddr) -> Result<Caller, lab_pki::Error> {
    let Some([certificate, ..]) = stream.get_ref().1.peer_certificates() else {
        return Ok(Caller::anonymous(Some(peer)));
    };
    let Identity { user, mut groups } = Identity::of_certificate(certificate)?;
    groups.push("system:authenticated".into());
    let digest = Sha256::digest(certificate);
    let credential: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let credential = format!("certificate:{credential}").into();
    let CertificateFacts { serial_number, lifetime } = CertificateFacts::read(certificate)?;
    let shown =
        Certificate { serial_number, issued: moment(lifetime.issued()), expires: moment(lifetime.until) };
    let shown = Credential::Certificate(Arc::new(shown));
    Ok(Caller { user, groups, credential, address: Some(peer), shown })
}

/// A moment of a certificate; beyond what can be counted, the end of time.
fn moment(time: SystemTime) -> Timestamp {
    Timestamp::try_from(time).unwrap_or(Timestamp::MAX)
}
