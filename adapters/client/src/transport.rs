//! The seam between the client and whoever answers: one request in, one streamed answer out.
//!
//! Two implementations: [`crate::Https`] over the network, and [`InProcess`], with which a process that contains the
//! API server calls it without a socket.

use async_trait::async_trait;
use bytes::Bytes;
use http_body_util::{BodyExt, combinators::UnsyncBoxBody};
use std::{fmt, future::Future};

/// An error of any kind, as bodies and services report them.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
/// What is sent: a path with its query as URI, and a whole body.
pub type Request = http::Request<Bytes>;
/// What is answered: a head, and a body that may go on for as long as a watch does.
pub type Response = http::Response<Body>;
/// A streamed body.
pub type Body = UnsyncBoxBody<Bytes, BoxError>;

/// Carries requests to an API server.
#[async_trait]
pub trait Transport: Send + Sync + 'static {
    /// Sends a request and waits for the answer's head. The URI holds only path and query.
    async fn send(&self, request: Request) -> Result<Response, TransportError>;

    /// Who is on the other side, as errors name it: `https://127.0.0.1:6443`.
    fn server(&self) -> &str;
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
#[error("{server} {fault}")]
pub struct TransportError {
    /// Who was asked.
    pub server: String,
    /// What went wrong.
    pub fault: Fault,
    /// The cause beneath, where the fault does not say it all.
    #[source]
    pub source: Option<BoxError>,
}

impl TransportError {
    /// A fault that says it all.
    pub fn new(server: &str, fault: Fault) -> Self {
        Self { server: server.into(), fault, source: None }
    }
}

/// What went wrong on the way. Displayed after the server's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The host's name has no address.
    Resolve,
    /// Nobody listens there.
    Refused,
    /// There is no route to the host.
    Unroutable,
    /// The connection could not be made within so many seconds.
    ConnectTimeout(u64),
    /// The answer did not begin within so many seconds.
    AnswerTimeout(u64),
    /// The server does not speak TLS.
    NotTls,
    /// The server's certificate is signed by none of the CAs we trust.
    UnknownIssuer,
    /// The server's certificate was valid until then (RFC 3339; empty when not known).
    Expired(String),
    /// The server's certificate is valid only from then (RFC 3339; empty when not known).
    NotYetValid(String),
    /// The server's certificate is not for the name we asked for.
    WrongName {
        /// What we asked for.
        expected: String,
        /// What the certificate is for.
        presented: Vec<String>,
    },
    /// The server's certificate was refused for another reason.
    BadCertificate(String),
    /// The server refused our certificate; its word for why.
    ClientCertificate(String),
    /// The connection was closed before the answer was complete.
    Closed,
    /// Anything else; the source says what.
    Other,
}

impl Fault {
    /// What the reader may do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Resolve => "check the server's name and this machine's DNS",
            Self::Refused => "is labd running, and is this its address and port?",
            Self::Unroutable => "check this machine's network, routes and VPN",
            Self::ConnectTimeout(_) => "a firewall may drop the connection; check address and port",
            Self::AnswerTimeout(_) => {
                "the server is reached but does not answer; see its log, or allow more time"
            }
            Self::NotTls => "something else listens there; check the port",
            Self::UnknownIssuer => {
                "the kubeconfig's certificate-authority is not this server's; take a new kubeconfig from it"
            }
            Self::Expired(_) => "labd renews its certificate when it starts; also check this machine's clock",
            Self::NotYetValid(_) => "check this machine's clock and the server's",
            Self::WrongName { .. } => {
                "use a name or address that the certificate is for, or set tls-server-name in the kubeconfig"
            }
            Self::BadCertificate(_) => "see the server's certificate",
            Self::ClientCertificate(_) => "log in again, or take a new kubeconfig from the server",
            Self::Closed => "the server may be restarting; try again, and see its log",
            Self::Other => "",
        }
    }

    /// Whether the same request may succeed a moment later.
    pub fn is_transient(&self) -> bool {
        !matches!(
            self,
            Self::UnknownIssuer
                | Self::WrongName { .. }
                | Self::BadCertificate(_)
                | Self::NotTls
                | Self::ClientCertificate(_)
        )
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Resolve => f.write_str("cannot be found: its name has no address"),
            Self::Refused => f.write_str("refuses connections"),
            Self::Unroutable => f.write_str("cannot be reached: there is no route to it"),
            Self::ConnectTimeout(s) => write!(f, "did not accept a connection within {s} s"),
            Self::AnswerTimeout(s) => write!(f, "did not answer within {s} s"),
            Self::NotTls => f.write_str("does not speak TLS"),
            Self::UnknownIssuer => f.write_str("has a certificate that is not signed by the expected CA"),
            Self::Expired(at) if at.is_empty() => f.write_str("has a certificate that expired"),
            Self::Expired(at) => write!(f, "has a certificate that expired at {at}"),
            Self::NotYetValid(at) if at.is_empty() => f.write_str("has a certificate that is not valid yet"),
            Self::NotYetValid(at) => write!(f, "has a certificate that is valid only from {at}"),
            Self::WrongName { expected, presented } if presented.is_empty() => {
                write!(f, "has a certificate that is not for {expected}")
            }
            Self::WrongName { expected, presented } => {
                write!(f, "has a certificate for {}, not for {expected}", presented.join(", "))
            }
            Self::BadCertificate(why) => write!(f, "has a bad certificate ({why})"),
            Self::ClientCertificate(why) => write!(f, "refused our client certificate ({why})"),
            Self::Closed => f.write_str("closed the connection before its answer was complete"),
            Self::Other => f.write_str("could not be asked"),
        }
    }
}

/// A server in this process: any function from a request to an answer.
pub struct InProcess<F> {
    name: String,
    serve: F,
}

impl<F> InProcess<F> {
    /// Wraps `serve`; `name` stands in errors.
    pub fn new(name: impl Into<String>, serve: F) -> Self {
        Self { name: name.into(), serve }
    }
}

#[async_trait]
impl<F, Fut, B> Transport for InProcess<F>
where
    F: Fn(Request) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = http::Response<B>> + Send,
    B: http_body_util::BodyExt<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    async fn send(&self, request: Request) -> Result<Response, TransportError> {
        Ok((self.serve)(request).await.map(|body| BodyExt::map_err(body, Into::into).boxed_unsync()))
    }

    fn server(&self) -> &str {
        &self.name
    }
}
