//! Which Server a booting machine is: by MAC address and SMBIOS UUID together.
//!
//! A MAC address moves with its card, and a UUID can stand twice where a maker left the default in. A machine that is mistaken for
//! another one may lose its disks, so that the two have to agree before anything but discovery is answered.

use lab_kinds::metal::Server;
use lab_object::mac::MacAddress;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// UUIDs that makers left in many boards.
const SHARED_UUIDS: &[&str] = &[
    "03000200-0400-0500-0006-000700080009",
    "12345678-1234-5678-90ab-cddeefaabbcc",
    "fefefefe-fefe-fefe-fefe-fefefefefefe",
];

/// Whether two names of a machine agree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recognition {
    /// No Server has this MAC address or this UUID.
    Unknown,
    /// This Server, beyond doubt.
    Certain {
        /// Name of the Server.
        server: String,
    },
    /// This Server has the UUID, but another NIC than those it is known to have. Discovery adds the new one.
    NewNic {
        /// Name of the Server.
        server: String,
    },
    /// The MAC address is that of one Server and the UUID says that it is another machine: the NIC was moved, or the main
    /// board replaced. A person has to say which.
    Contradiction {
        /// Name of the Server with the MAC address.
        by_mac: String,
        /// Name of the Server with the UUID, where there is one.
        by_uuid: Option<String>,
    },
}

impl Recognition {
    /// Name of the Server whose wishes count for the machine.
    pub fn server(&self) -> Option<&str> {
        match self {
            Self::Certain { server } | Self::NewNic { server } => Some(server),
            Self::Unknown | Self::Contradiction { .. } => None,
        }
    }
}

/// Servers by MAC address and UUID.
#[derive(Debug, Clone, Default)]
pub struct Index {
    by_mac: HashMap<MacAddress, BTreeSet<String>>,
    by_uuid: HashMap<String, BTreeSet<String>>,
    known: BTreeMap<String, Known>,
}

#[derive(Debug, Clone, Default)]
struct Known {
    macs: BTreeSet<MacAddress>,
    uuid: Option<String>,
}

impl Index {
    /// Takes a Server in, in place of what was known of it.
    pub fn put(&mut self, server: &Server) {
        let Some(name) = server.metadata.name.clone() else { return };
        self.remove(&name);
        let known =
            Known { macs: macs(server), uuid: uuid(server).filter(|u| trusted(u)).map(str::to_owned) };
        for mac in &known.macs {
            self.by_mac.entry(*mac).or_default().insert(name.clone());
        }
        if let Some(uuid) = &known.uuid {
            self.by_uuid.entry(uuid.clone()).or_default().insert(name.clone());
        }
        self.known.insert(name, known);
    }

    /// Forgets a Server.
    pub fn remove(&mut self, name: &str) {
        let Some(known) = self.known.remove(name) else { return };
        for mac in known.macs {
            leave(&mut self.by_mac, &mac, name);
        }
        if let Some(uuid) = known.uuid {
            leave(&mut self.by_uuid, &uuid, name);
        }
    }

    /// Which Server a machine with this NIC and this UUID is.
    pub fn find(&self, mac: MacAddress, uuid: Option<&str>) -> Recognition {
        let uuid = uuid.filter(|uuid| trusted(uuid));
        let by_mac = self.by_mac.get(&mac).and_then(only);
        let by_uuid = uuid.and_then(|uuid| self.by_uuid.get(uuid)).and_then(only);
        match (by_mac, by_uuid) {
            (None, None) => Recognition::Unknown,
            (None, Some(server)) => Recognition::NewNic { server: server.into() },
            (Some(server), Some(same)) if server == same => Recognition::Certain { server: server.into() },
            (Some(by_mac), Some(by_uuid)) => {
                Recognition::Contradiction { by_mac: by_mac.into(), by_uuid: Some(by_uuid.into()) }
            }
            (Some(server), None) => {
                let known = self.known.get(server).and_then(|known| known.uuid.as_deref());
                match (known, uuid) {
                    (Some(known), Some(said)) if known != said => {
                        Recognition::Contradiction { by_mac: server.into(), by_uuid: None }
                    }
                    _ => Recognition::Certain { server: server.into() },
                }
            }
        }
    }
}

fn leave<K: std::hash::Hash + Eq>(map: &mut HashMap<K, BTreeSet<String>>, key: &K, name: &str) {
    if let Some(names) = map.get_mut(key) {
        names.remove(name);
        if names.is_empty() {
            map.remove(key);
        }
    }
}

/// A name that only one Server has. Two Servers with one MAC address or UUID are not told apart by it.
fn only(names: &BTreeSet<String>) -> Option<&str> {
    let mut names = names.iter();
    names.next().filter(|_| names.next().is_none()).map(String::as_str)
}

fn trusted(uuid: &str) -> bool {
    !SHARED_UUIDS.contains(&uuid)
}

/// Every MAC address of a Server: entered, discovered, and the one it is named by.
fn macs(server: &Server) -> BTreeSet<MacAddress> {
    let named = server.metadata.name.as_deref().and_then(|name| MacAddress::parse(name).ok());
    let discovered = server.status.nics.iter().map(|nic| nic.mac);
    server.spec.macs.iter().copied().chain(discovered).chain(named).collect()
}

fn uuid(server: &Server) -> Option<&str> {
    server.spec.uuid.as_deref().or(server.status.uuid.as_deref())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: [MacAddress; 3] =
        [MacAddress([2, 0, 0, 0, 0, 1]), MacAddress([2, 0, 0, 0, 0, 2]), MacAddress([2, 0, 0, 0, 0, 3])];
    const A: &str = "11111111-1111-1111-1111-111111111111";
    const B: &str = "22222222-2222-2222-2222-222222222222";
    const C: &str = "33333333-3333-3333-3333-333333333333";

    fn server(name: &str, macs: &[MacAddress], uuid: Option<&str>) -> Server {
        let mut server = Server::default();
        server.metadata.name = Some(name.into());
        server.spec.macs = macs.to_vec();
        server.status.uuid = uuid.map(Into::into);
        server
    }

    #[test]
    fn both_names_have_to_agree() {
        let mut index = Index::default();
        index.put(&server("a", &MAC[..1], Some(A)));
        index.put(&server("b", &MAC[1..2], Some(B)));
        index.put(&server("no-uuid", &MAC[2..], None));
        let check = |mac: usize, uuid, expected| {
            let mac = MAC.get(mac).copied().unwrap_or(MacAddress([9; 6]));
            assert_eq!(index.find(mac, uuid), expected, "{mac} {uuid:?}");
        };
        let certain = |name: &str| Recognition::Certain { server: name.into() };
        let contradiction = |by_mac: &str, by_uuid: Option<&str>| Recognition::Contradiction {
            by_mac: by_mac.into(),
            by_uuid: by_uuid.map(Into::into),
        };
        check(0, Some(A), certain("a"));
        check(0, None, certain("a"));
        check(2, Some(C), certain("no-uuid"));
        check(9, Some(A), Recognition::NewNic { server: "a".into() });
        check(9, Some(C), Recognition::Unknown);
        check(9, None, Recognition::Unknown);
        check(0, Some(B), contradiction("a", Some("b")));
        check(0, Some(C), contradiction("a", None));
        check(2, Some(A), contradiction("no-uuid", Some("a")));
    }

    #[test]
    fn what_stands_twice_tells_nothing() {
        let mut index = Index::default();
        index.put(&server("a", &MAC[..1], Some(A)));
        index.put(&server("b", &MAC[1..2], Some(A)));
        index.put(&server("c", &[], Some(SHARED_UUIDS[0])));
        assert_eq!(index.find(MAC[2], Some(A)), Recognition::Unknown);
        assert_eq!(index.find(MAC[0], Some(A)), Recognition::Certain { server: "a".into() });
        assert_eq!(index.find(MAC[2], Some(SHARED_UUIDS[0])), Recognition::Unknown);
    }

    #[test]
    fn a_server_changes_and_goes() {
        let mut index = Index::default();
        index.put(&server("02-00-00-00-00-03", &[], None));
        assert_eq!(index.find(MAC[2], None).server(), Some("02-00-00-00-00-03"));
        index.put(&server("a", &MAC[..1], Some(A)));
        index.put(&server("a", &MAC[1..2], Some(B)));
        assert_eq!(index.find(MAC[0], Some(A)), Recognition::Unknown);
        assert_eq!(index.find(MAC[1], Some(B)).server(), Some("a"));
        index.remove("a");
        assert_eq!(index.find(MAC[1], Some(B)), Recognition::Unknown);
        assert_eq!((index.by_mac.len(), index.by_uuid.len()), (1, 0));
    }
}
