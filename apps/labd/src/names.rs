//! By which names and addresses this machine is called.

use lab_pki::ServerNames;
use std::net::SocketAddr;

/// The names for the certificate of a server that listens at `listen`: those every API server has, this machine's host
/// name and addresses, and those that were configured.
pub fn of_this_machine(listen: SocketAddr, configured: &[String]) -> ServerNames {
    let mut names = ServerNames::of_api_server();
    if let Some(host) = host_name() {
        names.add(&host);
    }
    if listen.ip().is_unspecified() {
        names.addresses.extend(addresses());
    } else {
        names.addresses.insert(listen.ip());
    }
    for name in configured {
        names.add(name);
    }
    names
}

/// The host name, if it can stand in a certificate.
fn host_name() -> Option<String> {
    let name = rustix::system::uname().nodename().to_str().ok()?.to_ascii_lowercase();
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
    (!name.is_empty() && name.chars().all(fits)).then_some(name)
}

/// The addresses of this machine's interfaces. Where they cannot be read, the certificate goes without them.
fn addresses() -> Vec<std::net::IpAddr> {
    match if_addrs::get_if_addrs() {
        Ok(interfaces) => interfaces
            .iter()
            .map(if_addrs::Interface::ip)
            // An address that holds on one link only cannot be told apart in a certificate.
            .filter(|ip| !matches!(ip, std::net::IpAddr::V6(v6) if v6.is_unicast_link_local()))
            .collect(),
        Err(error) => {
            tracing::warn!(%error, "this machine's addresses cannot be read; name those it is called by with --name");
            Vec::new()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_and_configured_names_are_there() {
        let names =
            of_this_machine("192.0.2.1:6443".parse().unwrap(), &["Lab.Example.org".into(), "::2".into()]);
        for dns in ["localhost", "kubernetes.default.svc", "lab.example.org"] {
            assert!(names.dns.contains(dns), "{dns}");
        }
        for address in ["127.0.0.1", "::1", "192.0.2.1", "::2"] {
            assert!(names.addresses.contains(&address.parse().unwrap()), "{address}");
        }
    }
}
