//! A server that issues certificates, over real TLS, and clients that show what they have.

use bytes::{Buf, Bytes};
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, client::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use lab_api_server::{ApiServer, Caller, Issuer, Options, RoleBased};
use lab_object::Json;
use lab_pki::{Authority, Identity, Issued, Lifetime, ServerNames, ServiceTokens, ServingCertificate};
use lab_store::{Embedded, Store};
use rcgen::{CertificateParams, DistinguishedName, KeyPair};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, pem::PemObject},
};
use serde_json::json;
use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
    time::{Duration, SystemTime},
};
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_rustls::{TlsConnector, client::TlsStream};

/// Path of what is about identities.
pub const IAM: &str = "/apis/iam.lab/v1alpha1";
/// Path of machines.
pub const METAL: &str = "/apis/metal.lab/v1alpha1";
/// Who calls.
pub const WHOAMI: &str = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
pub const NULL: Json = Json::Null;

pub struct Lab {
    pub server: Arc<ApiServer>,
    pub authority: Arc<Authority>,
    pub address: SocketAddr,
    _dir: TempDir,
}

/// What a client shows.
#[derive(Clone, Default)]
pub struct Shown {
    pub certificate: Option<(CertificateDer<'static>, Vec<u8>)>,
    pub token: Option<String>,
    /// The address it comes from.
    pub from: Option<IpAddr>,
}

impl Shown {
    pub fn token(token: impl Into<String>) -> Self {
        Self { token: Some(token.into()), ..Self::default() }
    }

    pub fn issued(issued: &Issued) -> Self {
        let key = issued.key().secret_der().to_vec();
        Self { certificate: Some((issued.certificate.clone(), key)), ..Self::default() }
    }

    /// A certificate in PEM and our key to it.
    pub fn pem(certificate: &str, key: &KeyPair) -> Self {
        let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
        Self { certificate: Some((certificate, key.serialize_der())), ..Self::default() }
    }

    pub fn from(self, last: u8) -> Self {
        Self { from: Some(Ipv4Addr::new(127, 0, 0, last).into()), ..self }
    }
}

/// A signing request without names.
pub fn request(key: &KeyPair) -> String {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.serialize_request(key).unwrap().pem().unwrap()
}

impl Lab {
    /// With the roles viewer and admin, namespaces, and two servers.
    pub async fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let now = SystemTime::now();
        let store: Arc<dyn Store> =
            Arc::new(Embedded::open(&dir.path().join("store"), lab_store::Options::default()).unwrap());
        let authority = Arc::new(Authority::load_or_create(&dir.path().join("pki"), now).unwrap());
        let tokens = ServiceTokens::load_or_create(&dir.path().join("pki")).unwrap();
        let issuer = Some(Arc::new(Issuer::new(authority.clone(), tokens)));
        let authorizer = RoleBased::follow(store.clone()).await.unwrap();
        let options = Options { authorizer, issuer, ..Options::default() };
        let server = ApiServer::new(lab_kinds::registry(), store, options);
        let life = Lifetime::starting(now, Duration::from_secs(3600));
        let serving = authority.issue_server(&ServerNames::of_api_server(), life).unwrap();
        let shown = Arc::new(ServingCertificate::new(&serving).unwrap());
        let tls = Arc::new(lab_pki::server_config(&authority, shown).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(lab_api_server::serve(listener, tls, server.clone(), std::future::pending()));
        let lab = Self { server, authority, address, _dir: dir };
        for namespace in ["default", "kube-system"] {
            lab.root("POST", "/api/v1/namespaces", json!({"metadata": {"name": namespace}}), 201).await;
        }
        for (role, permission) in [("viewer", "read:*:*:*"), ("admin", "admin:*:*:*")] {
            let role = json!({"metadata": {"name": role}, "spec": {"permissions": [permission]}});
            lab.root("POST", &format!("{IAM}/roles"), role, 201).await;
        }
        for (name, environment) in [("s-dev", "dev"), ("s-prod", "production")] {
            let server = json!({"metadata": {"name": name}, "spec": {"cloud": "baremetal", "environment": environment}});
            lab.root("POST", &format!("{METAL}/servers"), server, 201).await;
        }
        lab
    }

    /// A request by a member of `system:masters`, without a socket.
    pub async fn root(&self, method: &str, path: &str, body: Json, status: u16) -> Json {
        let content = match method {
            "PATCH" => "application/merge-patch+json",
            _ => "application/json",
        };
        let bytes = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        let request = Request::builder().method(method).uri(path).header("content-type", content);
        let request = request.body(Full::new(Bytes::from(bytes))).unwrap();
        let (parts, body) = self.server.handle(request, Caller::internal("test")).await.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let found = serde_json::from_slice(&body).unwrap_or_default();
        assert_eq!(parts.status, status, "{method} {path}\n{found:#}");
        found
    }

    pub async fn bind(&self, role: &str, kind: &str, subject: &str) {
        let spec = json!({"role": role, "subjects": [{"kind": kind, "name": subject}]});
        let name = format!("{role}-{}", subject.replace(':', "."));
        let binding = json!({"metadata": {"name": name}, "spec": spec});
        self.root("POST", &format!("{IAM}/rolebindings"), binding, 201).await;
    }

    /// A certificate as labd writes into its administrator's kubeconfig.
    pub fn certificate(&self, user: &str, groups: &[&str]) -> Issued {
        let life = Lifetime::starting(SystemTime::now(), Duration::from_secs(3600));
        self.authority.issue_client(&Identity::new(user, groups.iter().copied()), life).unwrap()
    }

    /// A TLS connection by who shows this.
    pub async fn dial(&self, shown: &Shown, protocol: &str) -> TlsStream<TcpStream> {
        let mut roots = RootCertStore::empty();
        roots.add(self.authority.certificate().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider);
        let builder = builder.with_safe_default_protocol_versions().unwrap().with_root_certificates(roots);
        let mut config = match &shown.certificate {
            Some((certificate, key)) => {
                let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.clone()));
                builder.with_client_auth_cert(vec![certificate.clone()], key).unwrap()
            }
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
        let socket = TcpSocket::new_v4().unwrap();
        if let Some(from) = shown.from {
            socket.bind((from, 0).into()).unwrap();
        }
        let stream = socket.connect(self.address).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap()
    }

    /// A connection that takes many requests.
    pub async fn connect(&self, shown: &Shown) -> Connection {
        let stream = TokioIo::new(self.dial(shown, "h2").await);
        let (sender, connection) = http2::handshake(TokioExecutor::new(), stream).await.unwrap();
        tokio::spawn(connection);
        Connection { sender, token: shown.token.clone() }
    }

    /// One request on a connection of its own.
    pub async fn ask(&self, shown: &Shown, method: &str, path: &str, body: Json, status: u16) -> Json {
        self.connect(shown).await.ask(method, path, body, status).await
    }

    /// The user and groups that the server takes a client for.
    pub async fn whoami(&self, shown: &Shown) -> (String, Vec<String>) {
        let answer = self.ask(shown, "POST", WHOAMI, json!({}), 201).await;
        let info = &answer["status"]["userInfo"];
        let groups = info["groups"].as_array().unwrap().iter().map(|g| g.as_str().unwrap().to_owned());
        (info["username"].as_str().unwrap().to_owned(), groups.collect())
    }
}

pub struct Connection {
    sender: http2::SendRequest<Full<Bytes>>,
    token: Option<String>,
}

impl Connection {
    pub async fn open(
        &mut self,
        method: &str,
        path: &str,
        body: Json,
        headers: &HeaderMap,
    ) -> Response<Incoming> {
        let bytes = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        let mut builder = Request::builder().method(method).uri(format!("https://localhost{path}"));
        builder = builder.header("content-type", "application/json");
        if let Some(token) = &self.token {
            builder = builder.header("authorization", format!("Bearer {token}"));
        }
        for (name, value) in headers {
            builder = builder.header(name, value);
        }
        self.sender.send_request(builder.body(Full::new(bytes.into())).unwrap()).await.unwrap()
    }

    pub async fn ask(&mut self, method: &str, path: &str, body: Json, status: u16) -> Json {
        let (parts, body) = self.open(method, path, body, &HeaderMap::new()).await.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let found = serde_json::from_slice(&body).unwrap_or_default();
        assert_eq!(parts.status, status, "{method} {path}\n{found:#}");
        found
    }

    pub async fn watch(&mut self, path: &str) -> Events {
        let response = self.open("GET", path, NULL, &HeaderMap::new()).await;
        assert_eq!(response.status(), 200);
        Events { body: response.into_body(), read: Vec::new() }
    }
}

/// The events of a watch.
pub struct Events {
    body: Incoming,
    read: Vec<u8>,
}

impl Events {
    /// The next event; `None` at the end of the watch.
    pub async fn next(&mut self) -> Option<Json> {
        loop {
            if let Some(end) = self.read.iter().position(|b| *b == b'\n') {
                let line: Vec<u8> = self.read.drain(..=end).collect();
                return Some(serde_json::from_slice(&line).unwrap());
            }
            let frame = tokio::time::timeout(Duration::from_secs(10), self.body.frame()).await.unwrap()?;
            let mut data = frame.unwrap().into_data().unwrap();
            self.read.extend_from_slice(&data.copy_to_bytes(data.remaining()));
        }
    }

    /// Expects that the watch ends with an error of a code, and that nothing comes before or after it.
    pub async fn expect_end(&mut self, code: u16) {
        let event = self.next().await.expect("an error is sent first");
        assert_eq!((&event["type"], &event["object"]["code"]), (&json!("ERROR"), &json!(code)), "{event:#}");
        assert_eq!(self.next().await, None);
    }
}
