//! How the agent of an installed system joins: with a token that this site makes for exactly one Server, hands to the machine when it is
//! told to install, and makes known to labd by its hash. labd may be out of reach meanwhile; the agent tries until it is let in.

use super::Work;
use crate::{Knowledge, Site};
use lab_client::{Client, Error, WriteParams};
use lab_kinds::iam::join_token::{JoinToken, JoinTokenSpec, Joiner};
use lab_kinds::metal::Server;
use lab_object::mac::MacAddress;
use lab_object::{OwnerReference, Resource};
use lab_wire::site::Joining;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::net::{IpAddr, SocketAddr};

/// Where agents find labd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Labd {
    /// How it is reached.
    pub place: Place,
    /// SHA-256 of its authority's key, as it prints it: `sha256:` and 64 hexadecimal digits.
    pub ca_hash: String,
}

/// How a labd is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// It is in this process, and listens here. With an unspecified address, machines reach it at the address at which they reach
    /// this site.
    Here(SocketAddr),
    /// At a URL, as this site reaches it.
    Url(String),
}

impl Labd {
    /// Its URL for a machine that reaches this site at an address; nothing where nobody else reaches it.
    fn url(&self, here: IpAddr) -> Option<String> {
        let listens = match &self.place {
            Place::Here(listens) => listens,
            Place::Url(url) => {
                let uri = url.parse::<http::Uri>().ok()?;
                // A word alone is taken for a host.
                let host = uri.scheme().and_then(|_| uri.host())?;
                let ip: Option<IpAddr> = host.trim_matches(['[', ']']).parse().ok();
                let own = ip.map_or(host == "localhost", |ip| ip.is_loopback() || ip.is_unspecified());
                return (!own).then(|| url.clone());
            }
        };
        let ip = listens.ip();
        let ip = if ip.is_unspecified() { here } else { ip };
        (!ip.is_loopback()).then(|| format!("https://{}", SocketAddr::new(ip, listens.port())))
    }
}

/// A token that was made for a machine.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Token {
    /// The plan that it is installed by.
    plan: String,
    token: String,
    /// Whether labd knows of it.
    known: bool,
}

impl std::fmt::Debug for Token {
    /// Does not show it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Token").field("plan", &self.plan).field("known", &self.known).finish_non_exhaustive()
    }
}

impl Token {
    /// Its SHA-256, as labd stores it.
    fn hash(&self) -> String {
        let digest = Sha256::digest(&self.token);
        digest.iter().fold("sha256:".to_owned(), |text, byte| text + &format!("{byte:02x}"))
    }
}

impl Site {
    /// How the agent of the system that a plan installs is to join; or why it cannot. The same plan has the same token, however often it is
    /// begun.
    pub(crate) fn invite(&self, mac: MacAddress, plan: String) -> Result<Joining, String> {
        let labd = self.settings.labd.as_ref();
        let labd = labd.ok_or(
            "the boot server does not know where agents find labd, as its kubeconfig does not hold labd's authority; let the machine join by hand",
        )?;
        let fresh = self.surroundings.token();
        let address = self.with(|known| known.machine(mac).and_then(|machine| machine.address));
        let here = address.map_or(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), |address| {
            IpAddr::V4(self.facing(IpAddr::V4(address)))
        });
        let server = labd.url(here).ok_or(
            "labd is reached from the boot server's own machine only; have it listen where machines reach it, and let this one join by hand",
        )?;
        let token = self.with(|known| {
            let machine = known.heard(mac)?;
            let token = match machine.own.token().filter(|token| token.plan == plan) {
                Some(token) => token.clone(),
                None => Token { plan, token: fresh, known: false },
            };
            machine.keep_token(token.clone());
            known.unreported.extend((!token.known).then_some(mac));
            Some(token.token)
        });
        let token = token.ok_or("the machine is not known any more")?;
        Ok(Joining { server, ca_hash: labd.ca_hash.clone(), token })
    }

    /// Makes the token of a machine known to labd, where it is not yet.
    pub(crate) async fn announce(
        &self,
        client: &Client,
        mac: MacAddress,
        server: &Server,
    ) -> Result<(), Error> {
        let Some(token) = self.with(|known| unknown(known, mac)) else { return Ok(()) };
        let api = client.resource::<JoinToken>();
        match api.create(&invitation(server, &token), &WriteParams::default()).await {
            Err(error) if !error.is_already_exists() => return Err(error),
            _ => {}
        }
        self.with(|known| {
            let machine = known.heard(mac).filter(|machine| machine.own.token() == Some(&token));
            machine
                .into_iter()
                .for_each(|machine| machine.keep_token(Token { known: true, ..token.clone() }));
        });
        Ok(())
    }
}

fn unknown(known: &Knowledge, mac: MacAddress) -> Option<Token> {
    let own = &known.machine(mac)?.own;
    let installs = matches!(own.ordered(), Some(Work::Install(_)));
    own.token().filter(|token| installs && !token.known).cloned()
}

/// The object that lets exactly this Server's agent in, once. It goes with the Server.
fn invitation(server: &Server, token: &Token) -> JoinToken {
    let name = server.metadata.name.clone().unwrap_or_default();
    let hash = token.hash();
    let spec = JoinTokenSpec {
        joiner: Joiner::Agent,
        token_hash: Some(hash.clone()),
        uses: 1,
        expires: None,
        environment: None,
        server: Some(name.clone()),
        site: None,
    };
    let digits = hash.trim_start_matches("sha256:");
    let mut invitation = JoinToken::new(format!("{name}.{}", digits.get(..12).unwrap_or(digits)), spec);
    invitation.metadata.owner_references = vec![OwnerReference {
        api_version: format!("{}/{}", Server::GROUP, Server::VERSION),
        kind: Server::KIND.into(),
        name,
        uid: server.metadata.uid.clone().unwrap_or_default(),
        controller: None,
        block_owner_deletion: None,
    }];
    invitation
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_machines_find_labd() {
        let at = |place: Place| Labd { place, ca_hash: String::new() }.url([10, 9, 0, 1].into());
        let check = |listens: &str, expected: Option<&str>| {
            let place = Place::Here(listens.parse().expect("it is an address"));
            assert_eq!(at(place).as_deref(), expected, "{listens}");
        };
        check("0.0.0.0:6443", Some("https://10.9.0.1:6443"));
        check("[::]:6443", Some("https://10.9.0.1:6443"));
        check("192.0.2.7:443", Some("https://192.0.2.7:443"));
        check("[2001:db8::1]:6443", Some("https://[2001:db8::1]:6443"));
        check("127.0.0.1:6443", None);
        for url in ["https://labd.example:6443", "https://192.0.2.7", "https://[2001:db8::1]:6443"] {
            assert_eq!(at(Place::Url(url.into())).as_deref(), Some(url));
        }
        for own in ["https://localhost:6443", "https://127.0.0.1:6443", "https://[::1]:6443", "none"] {
            assert_eq!(at(Place::Url(own.into())), None, "{own}");
        }
    }

    #[test]
    fn a_token_is_never_shown() {
        let token = Token { plan: "p".into(), token: "abc".into(), known: false };
        assert!(!format!("{token:?}").contains("abc"));
        assert_eq!(token.hash(), "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        let object = invitation(&Server::default(), &token);
        assert!(!format!("{object:?}").contains("abc"));
    }
}
