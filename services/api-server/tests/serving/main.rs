//! The API over the network: TLS, certificates, HTTP/1.1 and HTTP/2, an orderly end.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use lab_api_server::{ApiServer, Caller, Options};
use lab_object::Json;
use lab_pki::{Authority, Identity, Issued, Lifetime, ServerNames, ServingCertificate};
use lab_store::{Embedded, Store};
use rustls::{ClientConfig, RootCertStore, pki_types::ServerName};
use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, SystemTime},
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::oneshot,
    task::JoinHandle,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

struct Running {
    server: Arc<ApiServer>,
    authority: Authority,
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    served: JoinHandle<std::io::Result<()>>,
    _dir: TempDir,
}

fn lifetime() -> Lifetime {
    Lifetime::starting(SystemTime::now(), Duration::from_secs(3600))
}

impl Running {
    async fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let store = Embedded::open(&dir.path().join("store"), lab_store::Options::default()).unwrap();
        let server =
            ApiServer::new(lab_kinds::registry(), Arc::new(store) as Arc<dyn Store>, Options::default());
        let authority = Authority::load_or_create(&dir.path().join("pki"), SystemTime::now()).unwrap();
        let serving = authority.issue_server(&ServerNames::of_api_server(), lifetime()).unwrap();
        let shown = Arc::new(ServingCertificate::new(&serving).unwrap());
        let tls = Arc::new(lab_pki::server_config(&authority, shown).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let shutdown = async {
            stopped.await.ok();
        };
        let served = tokio::spawn(lab_api_server::serve(listener, tls, server.clone(), shutdown));
        Self { server, authority, address, stop, served, _dir: dir }
    }

    fn admin(&self) -> Issued {
        let identity = Identity::new("admin", ["system:masters"]);
        self.authority.issue_client(&identity, lifetime()).unwrap()
    }

    async fn connect(&self, client: Option<&Issued>, protocol: &str) -> TlsStream<TcpStream> {
        let mut roots = RootCertStore::empty();
        roots.add(self.authority.certificate().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder =
            ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let builder = builder.with_root_certificates(roots);
        let mut config = match client {
            Some(issued) => {
                builder.with_client_auth_cert(vec![issued.certificate.clone()], issued.key()).unwrap()
            }
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
        let stream = TcpStream::connect(self.address).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap()
    }

    async fn get(&self, client: Option<&Issued>, protocol: &str, path: &str) -> (StatusCode, Bytes) {
        let stream = TokioIo::new(self.connect(client, protocol).await);
        let request = Request::get(format!("https://localhost{path}")).header("host", "localhost");
        let request = request.body(Full::new(Bytes::new())).unwrap();
        let response = if protocol == "h2" {
            let (mut sender, connection) = http2::handshake(TokioExecutor::new(), stream).await.unwrap();
            tokio::spawn(connection);
            sender.send_request(request).await.unwrap()
        } else {
            let (mut sender, connection) = http1::handshake(stream).await.unwrap();
            tokio::spawn(connection);
            sender.send_request(request).await.unwrap()
        };
        let status = response.status();
        (status, response.into_body().collect().await.unwrap().to_bytes())
    }

    async fn create(&self, path: &str, object: Json) {
        let request = Request::post(path).body(Full::new(Bytes::from(object.to_string()))).unwrap();
        assert_eq!(self.server.handle(request, Caller::internal("test")).await.status(), 201);
    }
}

#[tokio::test]
async fn a_certificate_says_who_calls() {
    let lab = Running::new().await;
    let admin = lab.admin();
    let nobody = lab.authority.issue_client(&Identity::new("nobody", ["others"]), lifetime()).unwrap();
    for protocol in ["http/1.1", "h2"] {
        for (client, path, expected) in [
            (Some(&admin), "/api/v1/namespaces", 200),
            (Some(&nobody), "/api/v1/namespaces", 403),
            (None, "/api/v1/namespaces", 401),
            (None, "/nowhere", 401),
            (None, "/healthz", 200),
            (None, "/readyz", 200),
            (None, "/version", 200),
        ] {
            let (status, body) = lab.get(client, protocol, path).await;
            assert_eq!(status, expected, "{protocol} {path} {body:?}");
        }
    }
}

#[tokio::test]
async fn a_long_list_arrives_whole() {
    let lab = Running::new().await;
    lab.create("/api/v1/namespaces", serde_json::json!({"metadata": {"name": "default"}})).await;
    for i in 0..300 {
        let object =
            serde_json::json!({"metadata": {"name": format!("m{i:03}")}, "data": {"k": "x".repeat(i * 7)}});
        lab.create("/api/v1/namespaces/default/configmaps", object).await;
    }
    let admin = lab.admin();
    for protocol in ["http/1.1", "h2"] {
        let (_, body) = lab.get(Some(&admin), protocol, "/api/v1/configmaps").await;
        let list: Json = serde_json::from_slice(&body).unwrap();
        let items = list["items"].as_array().unwrap();
        assert_eq!(items.len(), 300);
        assert!(items.iter().enumerate().all(|(i, item)| item["data"]["k"].as_str().unwrap().len() == i * 7));
    }
}

#[tokio::test]
async fn heads_are_bounded() {
    let lab = Running::new().await;
    let mut stream = lab.connect(None, "http/1.1").await;
    let head = format!("GET /healthz HTTP/1.1\r\nhost: localhost\r\nx: {}\r\n\r\n", "y".repeat(200 * 1024));
    // The server may close before it has read everything.
    stream.write_all(head.as_bytes()).await.ok();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.ok();
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");
    assert_eq!(lab.get(None, "http/1.1", "/healthz").await.0, 200);
}

/// Says one line of a head after the other, and never its end, until it is hung up on.
async fn trickle(mut stream: TlsStream<TcpStream>) {
    let mut answer = [0; 1024];
    loop {
        tokio::select! {
            read = stream.read(&mut answer) => if matches!(read, Ok(0) | Err(_)) {
                return;
            },
            () = tokio::time::sleep(Duration::from_secs(5)) => {
                if stream.write_all(b"x-more: 1\r\n").await.is_err() {
                    return;
                }
            }
        }
    }
}

#[tokio::test]
async fn who_is_slow_is_cut_off_and_others_go_on() {
    let lab = Running::new().await;
    let mut slow = Vec::new();
    for _ in 0..20 {
        let mut stream = lab.connect(None, "http/1.1").await;
        stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n").await.unwrap();
        slow.push(stream);
    }
    // Without a word of TLS; with TLS, and then not a word.
    let mut mute = TcpStream::connect(lab.address).await.unwrap();
    let mut silent = [lab.connect(None, "h2").await, lab.connect(None, "http/1.1").await];
    // One that has asked once is not among them.
    let asked = TokioIo::new(lab.connect(None, "h2").await);
    let (mut asked, connection) = http2::handshake(TokioExecutor::new(), asked).await.unwrap();
    tokio::spawn(connection);
    let health = || Request::get("https://localhost/healthz").body(Full::new(Bytes::new())).unwrap();
    assert_eq!(asked.send_request(health()).await.unwrap().status(), 200);
    assert_eq!(lab.get(None, "http/1.1", "/healthz").await.0, 200, "others are answered meanwhile");
    // From here on the clock jumps to whatever is waited for.
    tokio::time::pause();
    let began = tokio::time::Instant::now();
    let all = async {
        mute.read_to_end(&mut Vec::new()).await.ok();
        let handshake = began.elapsed();
        for stream in &mut silent {
            stream.read_to_end(&mut Vec::new()).await.ok();
        }
        futures_util::future::join_all(slow.into_iter().map(trickle)).await;
        handshake
    };
    let handshake = tokio::time::timeout(Duration::from_secs(600), all).await.expect("all are cut off");
    assert!(handshake <= Duration::from_secs(15), "{handshake:?}");
    assert!(began.elapsed() <= Duration::from_secs(100), "{:?}", began.elapsed());
    tokio::time::resume();
    assert_eq!(asked.send_request(health()).await.unwrap().status(), 200);
    assert_eq!(lab.get(None, "h2", "/healthz").await.0, 200);
}

#[tokio::test]
async fn at_the_end_watches_end_and_others_finish() {
    let lab = Running::new().await;
    let admin = lab.admin();
    let stream = TokioIo::new(lab.connect(Some(&admin), "h2").await);
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), stream).await.unwrap();
    tokio::spawn(connection);
    let request = Request::get("https://localhost/api/v1/namespaces?watch=true");
    let watch = sender.send_request(request.body(Full::new(Bytes::new())).unwrap()).await.unwrap();
    assert_eq!(watch.status(), 200);
    lab.stop.send(()).unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(5), watch.into_body().collect()).await;
    ended.expect("the watch should end at once").unwrap();
    let served = tokio::time::timeout(Duration::from_secs(5), lab.served).await;
    served.expect("serving should end at once").unwrap().unwrap();
    assert!(TcpStream::connect(lab.address).await.is_err(), "nobody listens any more");
}
