//! Connections that leave HTTP: after one request of HTTP/1.1 whose `Upgrade` the server accepts, both sides speak something
//! else. So streams reach machines, and machines' agents stay reachable.

use crate::{
    BoxError, ConfigError, Connection, Error, Fault, Proxy, TransportError,
    client::failure,
    https::{CONNECT_TIMEOUT, bearer, classify, tls_config},
};
use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use std::{future::Future, sync::Arc, time::Duration};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// A connection that has left HTTP.
pub type Upgraded = TokioIo<hyper::upgrade::Upgraded>;

/// How long the handshake and the answer may take together.
const PATIENCE: Duration = Duration::from_secs(30);
/// Most bytes that are read of a refusal.
const MAX_REFUSAL: usize = 64 * 1024;

/// Opens connections that leave HTTP, each of its own.
#[derive(Clone)]
pub struct Upgrader {
    tls: TlsConnector,
    tls_name: ServerName<'static>,
    server: String,
    host: String,
    port: u16,
    host_header: HeaderValue,
    base_path: String,
    authorization: Option<HeaderValue>,
    proxy: Option<Proxy>,
}

impl Upgrader {
    /// Prepares for connections; nothing is sent yet. Reads the files that the connection names.
    ///
    /// # Errors
    /// What is said about the server or about us cannot be used.
    pub fn new(connection: &Connection, proxy: Option<Proxy>) -> Result<Self, ConfigError> {
        let server = &connection.server;
        let uri: Uri = server.value.parse().map_err(|e| server.refuse(format!("is not a URL: {e}")))?;
        let authority = uri.authority().filter(|_| uri.scheme_str() == Some("https"));
        let why = "must be a URL such as https://labd.example.net:6443";
        let authority = authority.ok_or_else(|| server.refuse(why))?;
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        let (name, source) = match &connection.tls_server_name {
            Some(name) => (name.value.clone(), name),
            None => (host.clone(), server),
        };
        let why = "is neither a DNS name nor an IP address";
        let tls_name = ServerName::try_from(name).map_err(|_| source.refuse(why))?;
        let mut tls = tls_config(connection)?;
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        let port = authority.port_u16().unwrap_or(443);
        let shown = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
        Ok(Self {
            tls: TlsConnector::from(Arc::new(tls)),
            tls_name,
            server: server.value.trim_end_matches('/').into(),
            host_header: HeaderValue::try_from(shown).map_err(|_| server.refuse(why))?,
            host,
            port,
            base_path: uri.path().trim_end_matches('/').into(),
            authorization: connection.credentials.token.as_ref().map(bearer).transpose()?,
            proxy,
        })
    }

    /// Who is on the other side, as errors name it.
    pub fn server(&self) -> &str {
        &self.server
    }

    /// Connects and asks with `POST path` for `protocol`. `doing` completes "cannot …" in errors.
    ///
    /// # Errors
    /// The server is not reached, or is another one; or it answers with anything but 101.
    pub async fn open(&self, doing: &str, path: &str, protocol: &str) -> Result<Upgraded, Error> {
        let transport = |error: &(dyn std::error::Error + 'static)| {
            let (fault, source) = classify(error);
            Error::Transport { doing: doing.into(), source: self.error(fault, source) }
        };
        let late = |fault| Error::Transport { doing: doing.into(), source: self.error(fault, None) };
        let dialled = within(CONNECT_TIMEOUT, self.dial()).await;
        let tcp = dialled
            .ok_or_else(|| late(Fault::ConnectTimeout(CONNECT_TIMEOUT.as_secs())))?
            .map_err(|error| transport(&error))?;
        let asked = within(PATIENCE, async {
            let tls = self.tls.connect(self.tls_name.clone(), tcp).await.map_err(|e| transport(&e))?;
            let (mut sender, connection) =
                http1::handshake(TokioIo::new(tls)).await.map_err(|e| transport(&e))?;
            let driving = tokio::spawn(connection.with_upgrades());
            let request = self
                .request(path, protocol)
                .map_err(|why| Error::Request { doing: doing.into(), why: why.to_string() })?;
            let response = match sender.send_request(request).await {
                Ok(response) => response,
                // The connection's own end says more than that of the request on it.
                Err(error) => {
                    let ended = driving.await.ok().and_then(Result::err);
                    return Err(transport(ended.as_ref().unwrap_or(&error)));
                }
            };
            if response.status() == StatusCode::SWITCHING_PROTOCOLS {
                let upgraded = hyper::upgrade::on(response).await.map_err(|e| transport(&e))?;
                return Ok(TokioIo::new(upgraded));
            }
            let code = response.status().as_u16();
            let body = Limited::new(response.into_body(), MAX_REFUSAL).collect().await;
            let body = body.map(|body| body.to_bytes()).unwrap_or_default();
            let (doing, server) = (doing.into(), self.server.clone());
            Err(Error::Status { doing, server, status: Box::new(failure(code, &body)) })
        });
        asked.await.unwrap_or_else(|| Err(late(Fault::AnswerTimeout(PATIENCE.as_secs()))))
    }

    async fn dial(&self) -> std::io::Result<TcpStream> {
        let stream = match &self.proxy {
            Some(proxy) => proxy.connect(&self.host, self.port).await?,
            None => TcpStream::connect((self.host.as_str(), self.port)).await?,
        };
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    fn request(&self, path: &str, protocol: &str) -> Result<Request<Empty<Bytes>>, http::Error> {
        let request = Request::builder()
            .method(Method::POST)
            .uri(format!("{}{path}", self.base_path))
            .header(header::HOST, self.host_header.clone())
            .header(header::USER_AGENT, concat!("lab/", env!("CARGO_PKG_VERSION")))
            .header(header::CONNECTION, "upgrade")
            .header(header::UPGRADE, protocol);
        let mut request = request.body(Empty::new())?;
        if let Some(value) = &self.authorization {
            request.headers_mut().insert(header::AUTHORIZATION, value.clone());
        }
        Ok(request)
    }

    fn error(&self, fault: Fault, source: Option<BoxError>) -> TransportError {
        TransportError { server: self.server.clone(), fault, source }
    }
}

async fn within<T>(limit: Duration, work: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(limit, work).await.ok()
}
