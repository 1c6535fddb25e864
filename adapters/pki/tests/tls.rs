//! Certificates of ours in real TLS handshakes, in memory.

use lab_pki::{Authority, Identity, Issued, Lifetime, ServerNames, ServingCertificate, server_config};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, ServerConnection, crypto::aws_lc_rs, pki_types::ServerName,
};
use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

const HOUR: Duration = Duration::from_secs(60 * 60);

struct Site {
    _dir: tempfile::TempDir,
    authority: Authority,
}

impl Site {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let authority = Authority::load_or_create(dir.path(), SystemTime::now()).expect("an authority");
        Self { _dir: dir, authority }
    }

    fn life(&self) -> Lifetime {
        Lifetime::starting(SystemTime::now(), HOUR)
    }

    fn server(&self, name: &str) -> Issued {
        let mut names = ServerNames::of_api_server();
        names.add(name);
        self.authority.issue_server(&names, self.life()).expect("valid")
    }

    fn client(&self, bearer: Option<&Issued>) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.authority.certificate().clone()).expect("valid");
        let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("valid")
            .with_root_certificates(roots);
        match bearer {
            Some(issued) => {
                builder.with_client_auth_cert(vec![issued.certificate.clone()], issued.key()).expect("valid")
            }
            None => builder.with_no_client_auth(),
        }
    }
}

/// Shakes hands in memory; the server's connection when both agreed.
fn handshake(
    server: rustls::ServerConfig,
    client: ClientConfig,
    name: &str,
) -> Result<ServerConnection, rustls::Error> {
    let mut server = ServerConnection::new(Arc::new(server))?;
    let name = ServerName::try_from(name.to_owned()).expect("valid");
    let mut client = ClientConnection::new(Arc::new(client), name)?;
    while client.is_handshaking() || server.is_handshaking() {
        let mut wire = Vec::new();
        client.write_tls(&mut wire).expect("valid");
        server.read_tls(&mut wire.as_slice()).expect("valid");
        server.process_new_packets()?;
        let mut wire = Vec::new();
        server.write_tls(&mut wire).expect("valid");
        client.read_tls(&mut wire.as_slice()).expect("valid");
        client.process_new_packets()?;
    }
    Ok(server)
}

fn identity_in(connection: &ServerConnection) -> Option<Identity> {
    connection.peer_certificates().map(|chain| Identity::of_certificate(&chain[0]).expect("valid"))
}

#[test]
fn a_server_is_reached_by_each_of_its_names_and_no_other() {
    let site = Site::new();
    let check = |name: &str, accepted: bool| {
        let mut names = ServerNames::of_api_server();
        names.add("Lab.Example.org");
        names.add("192.0.2.7");
        names.add("2001:db8::7");
        let issued = site.authority.issue_server(&names, site.life()).unwrap();
        let serving = Arc::new(ServingCertificate::new(&issued).unwrap());
        let server = server_config(&site.authority, serving).unwrap();
        assert_eq!(handshake(server, site.client(None), name).is_ok(), accepted, "{name}");
    };
    for name in ["localhost", "127.0.0.1", "::1", "kubernetes.default.svc", "lab.example.org"] {
        check(name, true);
    }
    check("192.0.2.7", true);
    check("2001:db8::7", true);
    check("192.0.2.8", false);
    check("example.org", false);
}

#[test]
fn a_client_is_known_by_its_certificate_and_all_its_groups() {
    let site = Site::new();
    let check = |identity: Identity| {
        let bearer = site.authority.issue_client(&identity, site.life()).unwrap();
        let serving = Arc::new(ServingCertificate::new(&site.server("labd")).unwrap());
        let server = server_config(&site.authority, serving).unwrap();
        let connection = handshake(server, site.client(Some(&bearer)), "localhost").unwrap();
        assert_eq!(identity_in(&connection), Some(identity));
    };
    check(Identity::new("admin", ["system:masters"]));
    check(Identity::new("no-groups", [""; 0]));
    check(Identity::new("server:Zoë", ["a", "b", "c", "b:with/odd=characters,+"]));
    check(Identity::new("many", (0..40).map(|i| format!("group-{i}"))));
}

#[test]
fn a_client_without_a_certificate_is_anonymous() {
    let site = Site::new();
    let serving = Arc::new(ServingCertificate::new(&site.server("labd")).unwrap());
    let server = server_config(&site.authority, serving).unwrap();
    assert_eq!(identity_in(&handshake(server, site.client(None), "localhost").unwrap()), None);
}

#[test]
fn certificates_of_others_and_expired_ones_are_refused() {
    let (site, other) = (Site::new(), Site::new());
    let check = |bearer: Issued| {
        let serving = Arc::new(ServingCertificate::new(&site.server("labd")).unwrap());
        let server = server_config(&site.authority, serving).unwrap();
        assert!(handshake(server, site.client(Some(&bearer)), "localhost").is_err());
    };
    let admin = Identity::new("admin", ["system:masters"]);
    check(other.authority.issue_client(&admin, site.life()).unwrap());
    let past = Lifetime::starting(SystemTime::now() - 10 * HOUR, HOUR);
    check(site.authority.issue_client(&admin, past).unwrap());
    // A server's certificate is none for clients.
    check(site.server("labd"));
}

#[test]
fn a_replaced_certificate_is_shown_to_the_next_connection() {
    let site = Site::new();
    let serving = Arc::new(ServingCertificate::new(&site.server("before")).unwrap());
    let server = server_config(&site.authority, serving.clone()).unwrap();
    assert!(handshake(server.clone(), site.client(None), "before").is_ok());
    serving.replace(&site.server("after")).unwrap();
    assert!(handshake(server.clone(), site.client(None), "after").is_ok());
    assert!(handshake(server, site.client(None), "before").is_err());
}
