//! HTTPS to an API server: HTTP/1.1 and HTTP/2 with keep-alive, TLS by rustls.

use crate::{
    config::{ConfigError, Connection, Material, Sourced},
    pinned::Pinned,
    proxy::Proxy,
    transport::{BoxError, Fault, Request, Response, Transport, TransportError},
};
use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderValue, Uri, header};
use http_body_util::{BodyExt, Full};
use hyper_rustls::{FixedServerNameResolver, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{self, connect::HttpConnector},
    rt::{TokioExecutor, TokioIo, TokioTimer},
};
use rustls::{
    AlertDescription, CertificateError, ClientConfig, RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject},
};
use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{io::AsyncReadExt, net::TcpStream};
use tokio_rustls::TlsConnector;
use tower_service::Service;

/// How long the TCP connection may take.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a server that hung up is asked why.
const DIAGNOSIS: Duration = Duration::from_secs(2);
/// How long a silent connection is believed in.
const KEEP_ALIVE: Duration = Duration::from_secs(30);

/// A server reached over HTTPS.
pub struct Https {
    client: legacy::Client<HttpsConnector<Dial>, Full<Bytes>>,
    server: String,
    authority: Uri,
    base_path: String,
    authorization: Option<HeaderValue>,
    timeout: Option<Duration>,
    /// For [`Https::diagnose`].
    tls: TlsConnector,
    tls_name: Option<ServerName<'static>>,
    proxy: Option<Proxy>,
}

/// Makes TCP connections to a server, or has a proxy make them.
#[derive(Clone)]
enum Dial {
    Directly(HttpConnector),
    Through(Proxy),
}

impl Service<Uri> for Dial {
    type Response = TokioIo<TcpStream>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        match self {
            Self::Directly(connector) => connector.poll_ready(context).map_err(Into::into),
            Self::Through(_) => Poll::Ready(Ok(())),
        }
    }

    fn call(&mut self, server: Uri) -> Self::Future {
        match self {
            Self::Directly(connector) => {
                let connected = connector.call(server);
                Box::pin(async move { Ok(connected.await?) })
            }
            Self::Through(proxy) => {
                let proxy = proxy.clone();
                Box::pin(async move {
                    let (host, port) = place(&server);
                    let connected = tokio::time::timeout(CONNECT_TIMEOUT, proxy.connect(&host, port)).await;
                    let stream =
                        connected.map_err(|_| std::io::Error::from(std::io::ErrorKind::TimedOut))??;
                    stream.set_nodelay(true)?;
                    Ok(TokioIo::new(stream))
                })
            }
        }
    }
}

/// Host and port of a URL.
fn place(uri: &Uri) -> (String, u16) {
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
    (host, uri.port_u16().unwrap_or(443))
}

impl Https {
    /// Prepares for a connection; nothing is sent yet. Reads the files that the connection names.
    pub fn new(connection: &Connection) -> Result<Self, ConfigError> {
        let tls = tls_config(connection)?;
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
        tcp.set_keepalive(Some(KEEP_ALIVE));
        let diagnostic = TlsConnector::from(Arc::new(tls.clone()));
        let builder = HttpsConnectorBuilder::new().with_tls_config(tls).https_only();
        let tls_name = connection.tls_server_name.as_ref().map(|name| {
            ServerName::try_from(name.value.clone())
                .map_err(|_| name.refuse("is neither a DNS name nor an IP address"))
        });
        let tls_name = tls_name.transpose()?;
        let builder = match &tls_name {
            Some(name) => builder.with_server_name_resolver(FixedServerNameResolver::new(name.clone())),
            None => builder,
        };
        let client = legacy::Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .http2_keep_alive_interval(KEEP_ALIVE)
            .http2_keep_alive_timeout(KEEP_ALIVE)
            .http2_adaptive_window(true)
            .build(builder.enable_all_versions().wrap_connector(match &connection.proxy {
                Some(proxy) => Dial::Through(proxy.clone()),
                None => Dial::Directly(tcp),
            }));
        let server = &connection.server;
        let refuse = |why: &str| server.refuse(why);
        let uri: Uri = server.value.parse().map_err(|e| refuse(&format!("is not a URL: {e}")))?;
        match uri.scheme_str() {
            Some("https") => {}
            Some("http") => return Err(refuse("must begin with https://: Lab is never spoken without TLS")),
            _ => return Err(refuse("must be a URL such as https://labd.example.net:6443")),
        }
        if uri.query().is_some() {
            return Err(refuse("must have no query"));
        }
        let authorization = connection.credentials.token.as_ref().map(bearer).transpose()?;
        Ok(Self {
            client,
            server: server.value.trim_end_matches('/').into(),
            base_path: uri.path().trim_end_matches('/').into(),
            authority: uri,
            authorization,
            timeout: connection.timeout,
            tls: diagnostic,
            tls_name,
            proxy: connection.proxy.clone(),
        })
    }

    fn absolute(&self, uri: &Uri) -> Result<Uri, http::Error> {
        let path = uri.path_and_query().map_or("/", |p| p.as_str());
        let mut builder = Uri::builder().scheme("https").path_and_query(format!("{}{path}", self.base_path));
        if let Some(authority) = self.authority.authority() {
            builder = builder.authority(authority.clone());
        }
        builder.build()
    }

    /// Connects once more, sends nothing, and listens for why the server hangs up; `None` when it does not say.
    async fn diagnose(&self) -> Option<TransportError> {
        let (host, port) = place(&self.authority);
        let name = match &self.tls_name {
            Some(name) => name.clone(),
            None => ServerName::try_from(host.clone()).ok()?,
        };
        let listen = async {
            let tcp = match &self.proxy {
                Some(proxy) => proxy.connect(&host, port).await?,
                None => TcpStream::connect((host.as_str(), port)).await?,
            };
            let mut tls = self.tls.connect(name, tcp).await?;
            tls.read(&mut [0]).await
        };
        let error = tokio::time::timeout(DIAGNOSIS, listen).await.ok()?.err()?;
        let told = self.failed(&error);
        matches!(told.fault, Fault::ClientCertificate(_)).then_some(told)
    }

    fn failed(&self, error: &(dyn std::error::Error + 'static)) -> TransportError {
        let (fault, source) = classify(error);
        TransportError { server: self.server.clone(), fault, source }
    }
}

#[async_trait]
impl Transport for Https {
    async fn send(&self, request: Request) -> Result<Response, TransportError> {
        let (mut head, body) = request.into_parts();
        head.uri = self.absolute(&head.uri).map_err(|e| TransportError {
            source: Some(e.into()),
            ..TransportError::new(&self.server, Fault::Other)
        })?;
        if let Some(value) = &self.authorization {
            head.headers.insert(header::AUTHORIZATION, value.clone());
        }
        let answer = self.client.request(http::Request::from_parts(head, Full::new(body)));
        let answer = match self.timeout {
            None => answer.await,
            Some(limit) => tokio::time::timeout(limit, answer).await.map_err(|_| {
                TransportError::new(&self.server, Fault::AnswerTimeout(limit.as_secs().max(1)))
            })?,
        };
        let answer = match answer {
            Ok(answer) => answer,
            Err(e) => {
                let failed = self.failed(&e);
                // With TLS 1.3 our certificate is refused after the handshake, and what was in flight is only cut off.
                let cut_off = matches!(failed.fault, Fault::Closed | Fault::Other);
                let told = if cut_off { self.diagnose().await } else { None };
                return Err(told.unwrap_or(failed));
            }
        };
        Ok(answer.map(|body| body.map_err(BoxError::from).boxed_unsync()))
    }

    fn server(&self) -> &str {
        &self.server
    }
}

pub(crate) fn bearer(token: &Sourced<Material>) -> Result<HeaderValue, ConfigError> {
    let mut value = HeaderValue::from_str(&format!("Bearer {}", token.read_text()?))
        .map_err(|_| token.refuse("has characters that no token has"))?;
    value.set_sensitive(true);
    Ok(value)
}

pub(crate) fn tls_config(connection: &Connection) -> Result<ClientConfig, ConfigError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|e| connection.server.refuse(format!("cannot be spoken TLS with: {e}")))?;
    let builder = match &connection.certificate_authority_pin {
        Some(pin) => {
            let why = "is not sha256: and 64 hexadecimal digits, as labd prints its CA's hash";
            let verifier = Pinned::new(&pin.value, provider).ok_or_else(|| pin.refuse(why))?;
            // No less is checked: the CA is found by its hash rather than by its certificate.
            builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier))
        }
        None => builder.with_root_certificates(roots(connection)?),
    };
    let credentials = &connection.credentials;
    let (Some(certificate), Some(key)) = (&credentials.client_certificate, &credentials.client_key) else {
        return match (&credentials.client_certificate, &credentials.client_key) {
            (Some(c), None) => Err(c.refuse("has no client-key beside it")),
            (None, Some(k)) => Err(k.refuse("has no client-certificate beside it")),
            _ => Ok(builder.with_no_client_auth()),
        };
    };
    let chain = certificates(&certificate.read()?).map_err(|why| certificate.refuse(why))?;
    let private = PrivateKeyDer::from_pem_slice(&key.read()?)
        .map_err(|e| key.refuse(format!("has no private key in PEM: {e}")))?;
    builder
        .with_client_auth_cert(chain, private)
        .map_err(|e| key.refuse(format!("does not go with the certificate: {e}")))
}

/// The CAs the kubeconfig names, or else the system's.
fn roots(connection: &Connection) -> Result<RootCertStore, ConfigError> {
    let mut roots = RootCertStore::empty();
    if let Some(ca) = &connection.certificate_authority {
        let refuse = |why: &str| ca.refuse(why);
        for certificate in certificates(&ca.read()?).map_err(|why| refuse(&why))? {
            roots
                .add(certificate)
                .map_err(|e| refuse(&format!("has a certificate that cannot be used: {e}")))?;
        }
    } else {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if roots.is_empty() {
            let why = "has no certificate-authority beside it, and this system trusts no CA either";
            return Err(connection.server.refuse(why));
        }
    }
    Ok(roots)
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match found {
        Err(e) => Err(format!("is not PEM: {e}")),
        Ok(list) if list.is_empty() => Err("has no certificate in PEM".into()),
        Ok(list) => Ok(list),
    }
}

/// Finds, in a chain of errors, the one that says what happened; the rest is only the way it took.
pub(crate) fn classify(error: &(dyn std::error::Error + 'static)) -> (Fault, Option<BoxError>) {
    let mut innermost = error.to_string();
    let mut closed = false;
    let mut current = Some(error);
    while let Some(e) = current {
        if let Some(tls) = e.downcast_ref::<rustls::Error>() {
            return tls_fault(tls);
        }
        if let Some(io) = e.downcast_ref::<std::io::Error>() {
            // The source of an io::Error skips the error it wraps.
            if let Some(inner) = io.get_ref() {
                let (fault, source) = classify(inner);
                if fault != Fault::Other {
                    return (fault, source);
                }
            }
            match io.kind() {
                std::io::ErrorKind::ConnectionRefused => return (Fault::Refused, None),
                std::io::ErrorKind::HostUnreachable | std::io::ErrorKind::NetworkUnreachable => {
                    return (Fault::Unroutable, None);
                }
                std::io::ErrorKind::TimedOut => {
                    return (Fault::ConnectTimeout(CONNECT_TIMEOUT.as_secs()), None);
                }
                std::io::ErrorKind::UnexpectedEof
                | std::io::ErrorKind::ConnectionReset
                | std::io::ErrorKind::BrokenPipe => closed = true,
                _ => {}
            }
        }
        let text = e.to_string();
        if text.contains("dns error") {
            return (Fault::Resolve, None);
        }
        closed |= text.contains("connection closed");
        innermost = text;
        current = e.source();
    }
    if closed { (Fault::Closed, None) } else { (Fault::Other, Some(innermost.into())) }
}

fn tls_fault(error: &rustls::Error) -> (Fault, Option<BoxError>) {
    use CertificateError as C;
    let fault = match error {
        rustls::Error::InvalidCertificate(bad) => match bad {
            C::Expired => Fault::Expired(String::new()),
            C::ExpiredContext { not_after, .. } => Fault::Expired(time(*not_after)),
            C::NotValidYet => Fault::NotYetValid(String::new()),
            C::NotValidYetContext { not_before, .. } => Fault::NotYetValid(time(*not_before)),
            // A CA made anew under the old name has the right name and the wrong key.
            C::UnknownIssuer | C::BadSignature => Fault::UnknownIssuer,
            C::NotValidForName => Fault::WrongName { expected: "this name".into(), presented: Vec::new() },
            C::NotValidForNameContext { expected, presented } => Fault::WrongName {
                expected: expected.to_str().into_owned(),
                presented: presented.iter().map(|name| plain_name(name)).collect(),
            },
            other => Fault::BadCertificate(other.to_string()),
        },
        rustls::Error::AlertReceived(alert) => match alert {
            AlertDescription::CertificateExpired => Fault::ClientCertificate("it expired".into()),
            // The latter when our issuer has the name of a CA it trusts, but another key.
            AlertDescription::UnknownCA | AlertDescription::DecryptError => {
                Fault::ClientCertificate("it is not signed by a CA the server trusts".into())
            }
            AlertDescription::CertificateRequired => Fault::ClientCertificate("none was sent".into()),
            AlertDescription::CertificateRevoked => Fault::ClientCertificate("it was revoked".into()),
            AlertDescription::BadCertificate
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::AccessDenied => Fault::ClientCertificate("the server did not say why".into()),
            _ => return (Fault::Other, Some(error.to_string().into())),
        },
        rustls::Error::InvalidMessage(_) => Fault::NotTls,
        _ => return (Fault::Other, Some(error.to_string().into())),
    };
    (fault, None)
}

/// rustls names what it found as `DnsName("a")` or `IpAddress(1.2.3.4)`.
fn plain_name(presented: &str) -> String {
    let inner = presented.split_once('(').map_or(presented, |(_, rest)| rest.trim_end_matches(')'));
    inner.trim_matches('"').into()
}

fn time(at: UnixTime) -> String {
    let seconds = i64::try_from(at.as_secs()).unwrap_or(i64::MAX);
    jiff::Timestamp::from_second(seconds).map(|t| lab_object::Time(t).to_string()).unwrap_or_default()
}
