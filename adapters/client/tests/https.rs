//! HTTPS against servers that are wrong in each way a reader must be able to tell apart.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use lab_client::{
    Client, Connection, Error, Fault, Proxy,
    config::{Credentials, Material, Source, Sourced},
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, KeyUsagePurpose};
use std::{sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        RootCertStore, ServerConfig,
        pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer},
        server::WebPkiClientVerifier,
    },
};

type Issuer = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Issuer {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn issue(issuer: &Issuer, names: &[&str], years: (i32, i32)) -> (rcgen::Certificate, KeyPair) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(names.iter().map(|n| n.to_string()).collect::<Vec<_>>()).unwrap();
    params.not_before = rcgen::date_time_ymd(years.0, 1, 1);
    params.not_after = rcgen::date_time_ymd(years.1, 1, 1);
    (params.signed_by(&key, issuer).unwrap(), key)
}

const NOW: (i32, i32) = (2020, 2100);

fn inline(pem: String) -> Option<Sourced<Material>> {
    Some(Sourced::new(Material::Inline(pem.into_bytes()), Source::Flag("--test")))
}

/// How the server behaves once a connection is made.
#[derive(Clone, Copy, PartialEq)]
enum Manner {
    Answers(&'static str),
    Plain,
    HangsUp,
    Silent,
}

const OK: Manner = Manner::Answers("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}");

/// Starts a server for one connection and returns its port.
async fn serve(
    issuer: &Issuer,
    names: &[&str],
    years: (i32, i32),
    manner: Manner,
    wants_client: bool,
) -> u16 {
    let (certificate, key) = issue(issuer, names, years);
    let chain = vec![CertificateDer::from(certificate)];
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(tokio_rustls::rustls::crypto::aws_lc_rs::default_provider());
    let builder =
        ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions().unwrap();
    let config = if wants_client {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from(issuer.der().to_vec())).unwrap();
        let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider).build().unwrap();
        builder.with_client_cert_verifier(verifier).with_single_cert(chain, key).unwrap()
    } else {
        builder.with_no_client_auth().with_single_cert(chain, key).unwrap()
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (mut tcp, _) = listener.accept().await.unwrap();
        let mut request = [0; 4096];
        if manner == Manner::Plain {
            let _ = tcp.write_all(b"HTTP/1.0 400 Bad Request\r\n\r\n").await;
            let _ = tcp.read(&mut request).await;
            return;
        }
        let Ok(mut tls) = TlsAcceptor::from(Arc::new(config)).accept(tcp).await else { return };
        let _ = tls.read(&mut request).await;
        match manner {
            Manner::Answers(text) => {
                let _ = tls.write_all(text.as_bytes()).await;
                let _ = tls.shutdown().await;
            }
            Manner::Silent => std::future::pending().await,
            Manner::Plain | Manner::HangsUp => {}
        }
    });
    port
}

fn connection(port: u16, ca: &Issuer) -> Connection {
    let mut connection = Connection::to(format!("https://127.0.0.1:{port}"), Source::Flag("--server"));
    connection.certificate_authority = inline(ca.pem());
    connection.timeout = Some(Duration::from_secs(2));
    connection
}

async fn ask(connection: &Connection) -> Result<serde_json::Value, Error> {
    Client::connect("test", connection).unwrap().get_json("/version").await
}

#[tokio::test]
async fn a_good_server_is_asked() {
    let ca = authority();
    let port = serve(&ca, &["127.0.0.1"], NOW, OK, false).await;
    assert_eq!(ask(&connection(port, &ca)).await.unwrap(), serde_json::json!({}));
}

/// A proxy that passes one connection on, and tells what it was asked.
async fn proxy() -> (Proxy, tokio::task::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = format!("http://user:pass@{}", listener.local_addr().unwrap());
    let asked = tokio::spawn(async move {
        let (mut near, _) = listener.accept().await.unwrap();
        let mut asked = Vec::new();
        while !asked.ends_with(b"\r\n\r\n") {
            asked.push(near.read_u8().await.unwrap());
        }
        let asked = String::from_utf8(asked).unwrap();
        let target = asked.split(' ').nth(1).unwrap().to_owned();
        let mut far = tokio::net::TcpStream::connect(target).await.unwrap();
        near.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
        asked
    });
    (Proxy::parse(&proxy).unwrap(), asked)
}

#[tokio::test]
async fn a_server_is_asked_through_a_proxy() {
    let ca = authority();
    let port = serve(&ca, &["127.0.0.1"], NOW, OK, false).await;
    let mut connection = connection(port, &ca);
    let (proxy, asked) = proxy().await;
    connection.proxy = Some(proxy);
    assert_eq!(ask(&connection).await.unwrap(), serde_json::json!({}));
    let asked = asked.await.unwrap();
    assert!(asked.starts_with(&format!("CONNECT 127.0.0.1:{port} HTTP/1.1\r\n")), "{asked}");
    assert!(asked.contains("Proxy-Authorization: Basic dXNlcjpwYXNz\r\n"), "{asked}");
}

#[tokio::test]
async fn a_name_may_be_set_apart_from_the_address() {
    let ca = authority();
    let port = serve(&ca, &["labd.example"], NOW, OK, false).await;
    let mut connection = connection(port, &ca);
    connection.tls_server_name = Some(Sourced::new("labd.example".into(), Source::Flag("--tls-server-name")));
    ask(&connection).await.unwrap();
}

/// A server that is wrong in one way, and the fault it must be reported as.
async fn check(names: &[&str], years: (i32, i32), manner: Manner, expected: Fault) {
    let ca = authority();
    let port = serve(&ca, names, years, manner, false).await;
    let error = ask(&connection(port, &ca)).await.unwrap_err();
    assert_eq!(error.fault(), Some(&expected), "{error:?}");
    assert!(error.hint().is_some());
    assert_eq!(error.to_string(), "cannot read /version");
}

#[tokio::test]
async fn faults_are_told_apart() {
    let me = &["127.0.0.1"];
    check(me, (2010, 2011), OK, Fault::Expired("2011-01-01T00:00:00Z".into())).await;
    check(me, (2090, 2100), OK, Fault::NotYetValid("2090-01-01T00:00:00Z".into())).await;
    let wrong = Fault::WrongName { expected: "127.0.0.1".into(), presented: vec!["labd.example".into()] };
    check(&["labd.example"], NOW, OK, wrong).await;
    check(me, NOW, Manner::Plain, Fault::NotTls).await;
    check(me, NOW, Manner::HangsUp, Fault::Closed).await;
    check(me, NOW, Manner::Silent, Fault::AnswerTimeout(2)).await;
    check(me, NOW, Manner::Answers("HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{}"), Fault::Closed).await;
}

#[tokio::test]
async fn another_ca_is_told() {
    let port = serve(&authority(), &["127.0.0.1"], NOW, OK, false).await;
    let error = ask(&connection(port, &authority())).await.unwrap_err();
    assert_eq!(error.fault(), Some(&Fault::UnknownIssuer));
}

#[tokio::test]
async fn nobody_listening_is_told() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let error = ask(&connection(port, &authority())).await.unwrap_err();
    assert_eq!(error.fault(), Some(&Fault::Refused));
    let mut elsewhere = connection(port, &authority());
    elsewhere.server.value = "https://no-such-host.invalid".into();
    assert_eq!(ask(&elsewhere).await.unwrap_err().fault(), Some(&Fault::Resolve));
}

#[tokio::test]
async fn client_certificates_are_sent_and_their_refusal_is_told() {
    let ca = authority();
    let attempt = async |credentials: Credentials| {
        let port = serve(&ca, &["127.0.0.1"], NOW, OK, true).await;
        let mut connection = connection(port, &ca);
        connection.credentials = credentials;
        ask(&connection).await
    };
    let with = |issuer: &Issuer, years| {
        let (certificate, key) = issue(issuer, &["me"], years);
        let client_certificate = inline(certificate.pem());
        Credentials { client_certificate, client_key: inline(key.serialize_pem()), token: None }
    };
    attempt(with(&ca, NOW)).await.unwrap();
    for (credentials, why) in [
        (Credentials::default(), "none was sent"),
        (with(&ca, (2010, 2011)), "it expired"),
        (with(&authority(), NOW), "it is not signed by a CA the server trusts"),
    ] {
        let error = attempt(credentials).await.unwrap_err();
        assert_eq!(error.fault(), Some(&Fault::ClientCertificate(why.into())), "{error:?}");
    }
}

#[tokio::test]
async fn a_refusal_is_a_status() {
    let ca = authority();
    let answer = Manner::Answers("HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n");
    let port = serve(&ca, &["127.0.0.1"], NOW, answer, false).await;
    let error = ask(&connection(port, &ca)).await.unwrap_err();
    assert_eq!(error.status().map(|s| s.code), Some(401));
    assert!(error.hint().unwrap().contains("log in"));
}

/// Connections that cannot even be tried say which value is wrong, never what a secret is.
#[test]
fn bad_values_are_named() {
    let ca = authority();
    let change = |change: &dyn Fn(&mut Connection)| {
        let mut connection = connection(1, &ca);
        change(&mut connection);
        Client::connect("test", &connection).unwrap_err().to_string()
    };
    let token = Some(Sourced::new(Material::Inline(b"se\ncret".to_vec()), Source::Variable("LAB_TOKEN")));
    for (message, expected) in [
        (change(&|c| c.server.value = "http://x".into()), "flag --server must begin with https://"),
        (change(&|c| c.server.value = "labd".into()), "flag --server must be a URL"),
        (change(&|c| c.server.value = "ht tp".into()), "flag --server is not a URL"),
        (change(&|c| c.certificate_authority = inline("x".into())), "flag --test has no certificate in PEM"),
        (change(&|c| c.credentials.client_key = inline("x".into())), "flag --test has no client-certificate"),
        (change(&|c| c.credentials.token = token.clone()), "LAB_TOKEN has characters that no token has"),
    ] {
        assert!(message.contains(expected), "{message}");
        assert!(!message.contains("cret"));
    }
}
