//! The administrator's kubeconfig: everything kubectl and labctl need, in one file.

use anyhow::Context;
use base64::{Engine, prelude::BASE64_STANDARD};
use lab_client::{Kubeconfig, config};
use lab_pki::{Authority, Identity, Issued, Lifetime, files};
use std::{
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    path::Path,
    time::{Duration, SystemTime},
};

/// How long the certificate in it holds. It is renewed when a third of that is left.
const LIFE: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Who the administrator is.
pub const ADMIN: &str = "admin";

/// The URL by which this machine reaches a server that listens at `listen`.
pub fn url(listen: SocketAddr) -> String {
    let mut address = listen;
    if listen.ip().is_unspecified() {
        match listen {
            SocketAddr::V4(_) => address.set_ip(Ipv4Addr::LOCALHOST.into()),
            SocketAddr::V6(_) => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        }
    }
    format!("https://{address}")
}

/// Writes the file unless there is one that still serves: for this server and authority, with a certificate that is
/// not running out. Returns whether it was written.
pub fn keep(path: &Path, authority: &Authority, server: &str, now: SystemTime) -> anyhow::Result<bool> {
    if files::read_private(path)?.is_some() && still_serves(path, authority, server, now) {
        return Ok(false);
    }
    let issued = issue(authority, now)?;
    let text = render(authority, server, &issued);
    files::write(path, text.as_bytes(), files::PRIVATE)
        .context("cannot keep the administrator's kubeconfig")?;
    Ok(true)
}

/// A certificate for the administrator, given out at `now`.
pub fn issue(authority: &Authority, now: SystemTime) -> anyhow::Result<Issued> {
    let admin = Identity::new(ADMIN, ["system:masters"]);
    Ok(authority.issue_client(&admin, Lifetime::starting(now, LIFE))?)
}

fn still_serves(path: &Path, authority: &Authority, server: &str, now: SystemTime) -> bool {
    let connection = Kubeconfig::read(path).and_then(|c| c.connection(&config::Overrides::default()));
    let Ok(connection) = connection else { return false };
    let pem = |material: &Option<config::Sourced<config::Material>>| {
        material.as_ref().and_then(|m| m.read_text().ok()).unwrap_or_default()
    };
    let lifetime = Lifetime::of_certificate_pem(&pem(&connection.credentials.client_certificate));
    connection.server.value == server
        && pem(&connection.certificate_authority) == authority.certificate_pem().trim()
        && lifetime.is_ok_and(|lifetime| !lifetime.renewal_due(now))
}

/// The file's text.
pub fn render(authority: &Authority, server: &str, issued: &Issued) -> String {
    let encode = |pem: &str| BASE64_STANDARD.encode(pem);
    format!(
        "\
# Written by labd, and again when its certificate runs out. Whoever has this file may do everything.
apiVersion: v1
kind: Config
current-context: lab
clusters:
- name: lab
  cluster:
    server: {server}
    certificate-authority-data: {ca}
contexts:
- name: lab
  context:
    cluster: lab
    user: admin
users:
- name: admin
  user:
    client-certificate-data: {certificate}
    client-key-data: {key}
",
        ca = encode(authority.certificate_pem()),
        certificate = encode(&issued.certificate_pem),
        key = encode(&issued.key_pem),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_reaches_the_server() {
        let check = |listen: &str, expected: &str| assert_eq!(url(listen.parse().unwrap()), expected);
        check("0.0.0.0:6443", "https://127.0.0.1:6443");
        check("[::]:6443", "https://[::1]:6443");
        check("192.0.2.1:443", "https://192.0.2.1:443");
        check("[2001:db8::1]:443", "https://[2001:db8::1]:443");
    }

    #[test]
    fn it_is_written_when_it_no_longer_serves() {
        let dir = tempfile::tempdir().unwrap();
        let now = SystemTime::now();
        let authority = Authority::load_or_create(dir.path(), now).unwrap();
        let other = tempfile::tempdir().unwrap();
        let other = Authority::load_or_create(other.path(), now).unwrap();
        let path = dir.path().join("admin.kubeconfig");
        let check = |authority: &Authority, server: &str, now: SystemTime, written: bool| {
            assert_eq!(keep(&path, authority, server, now).unwrap(), written);
        };
        let day = Duration::from_secs(24 * 60 * 60);
        check(&authority, "https://a:1", now, true);
        check(&authority, "https://a:1", now + 200 * day, false);
        check(&authority, "https://b:1", now, true);
        check(&authority, "https://b:1", now + 300 * day, true);
        check(&authority, "https://b:1", now + 300 * day, false);
        check(&other, "https://b:1", now + 300 * day, true);
        std::fs::write(&path, "nonsense").unwrap();
        assert!(keep(&path, &other, "https://b:1", now + 300 * day).unwrap());
    }
}
