//! Which of a bastion's interfaces answer machines: only those on a network that somebody described.
//!
//! A boot server that answers DHCP on every network it is plugged into takes other people's machines. So nothing is answered
//! where no Network object says so.

use jiff::{SignedDuration, Timestamp};
use lab_kinds::metal::network::DhcpMode;
use lab_kinds::metal::{Bastion, Network};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

/// An interface of the bastion's machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attached {
    /// The system's name for it.
    pub name: String,
    /// Its addresses, with the prefix lengths of their networks.
    pub addresses: Vec<(Ipv4Addr, u8)>,
}

/// An interface that is served on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Served {
    /// The interface's name.
    pub interface: String,
    /// The address under which machines reach the bastion there.
    pub address: Ipv4Addr,
    /// The prefix length of that address's network.
    pub prefix: u8,
    /// The Network objects that are served through it.
    pub networks: Vec<String>,
}

/// What a bastion serves: the networks that it names; or, where it names none, those of its site (or, without a site, those
/// without one) in which one of its interfaces has an address. A network whose DHCP is `off` is not served.
pub fn serving<'a>(
    interfaces: &[Attached],
    bastion: Option<&Bastion>,
    networks: impl IntoIterator<Item = &'a Network>,
) -> Vec<Served> {
    let mut served: BTreeMap<String, Served> = BTreeMap::new();
    for network in networks {
        let Some(name) = network.metadata.name.as_deref() else { continue };
        let Some(wanted) = wanted(bastion, network, name) else { continue };
        let Some((interface, address, prefix)) = place(interfaces, bastion, network, wanted) else {
            continue;
        };
        let entry = served.entry(interface.to_owned()).or_insert_with(|| Served {
            interface: interface.into(),
            address,
            prefix,
            networks: Vec::new(),
        });
        entry.networks.push(name.to_owned());
    }
    served.into_values().collect()
}

/// How long a bastion may be silent that records a heartbeat every minute.
const SILENCE: SignedDuration = SignedDuration::from_mins(3);

/// Whether a bastion that counts as connected has not been heard for too long.
pub fn is_lost(bastion: &Bastion, now: Timestamp) -> bool {
    let heard = bastion.status.last_heartbeat.map(|last| last.0);
    bastion.status.online == Some(true) && heard.is_none_or(|last| now.duration_since(last) > SILENCE)
}

/// On which interface a network is to be served: one that is named, or any (`None`); nothing where it is not to be served.
fn wanted<'a>(bastion: Option<&'a Bastion>, network: &Network, name: &str) -> Option<Option<&'a str>> {
    if network.spec.dhcp.mode == DhcpMode::Off || network.metadata.deletion_timestamp.is_some() {
        return None;
    }
    let spec = bastion.map(|bastion| &bastion.spec);
    match spec.filter(|spec| !spec.networks.is_empty()) {
        Some(spec) => {
            let entry = spec.networks.iter().find(|entry| entry.network == name)?;
            Some(entry.interface.as_deref())
        }
        None => (network.spec.site == spec.and_then(|spec| spec.site.clone())).then_some(None),
    }
}

/// The interface for a network, and the address there. One that is named need not have an address of the network: a relay may
/// stand between.
fn place<'a>(
    interfaces: &'a [Attached],
    bastion: Option<&Bastion>,
    network: &Network,
    wanted: Option<&str>,
) -> Option<(&'a str, Ipv4Addr, u8)> {
    let own = bastion.and_then(|bastion| bastion.spec.address);
    let here = |address: &Ipv4Addr| network.spec.cidr.contains(&IpAddr::V4(*address));
    let candidates = interfaces.iter().filter(|interface| wanted.is_none_or(|name| name == interface.name));
    let all = candidates.flat_map(|interface| {
        interface.addresses.iter().map(|(address, prefix)| (interface.name.as_str(), *address, *prefix))
    });
    let all: Vec<_> = all.collect();
    let within = || all.iter().filter(|(_, address, _)| here(address));
    let preferred = within().find(|(_, address, _)| Some(IpAddr::V4(*address)) == own);
    preferred.or_else(|| within().next()).or_else(|| wanted.and(all.first())).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use lab_kinds::metal::bastion::BastionNetwork;
    use lab_kinds::metal::network::{Dhcp, NetworkSpec};

    fn network(name: &str, cidr: &str, site: Option<&str>, mode: DhcpMode) -> Network {
        let spec = NetworkSpec {
            site: site.map(Into::into),
            dhcp: Dhcp { mode, ..Dhcp::beside_another() },
            ..NetworkSpec::new(cidr.parse().expect("it is a network"))
        };
        Network::new(name, spec)
    }

    fn bastion(site: Option<&str>, networks: &[(&str, Option<&str>)]) -> Bastion {
        let mut bastion = Bastion::default();
        bastion.spec.site = site.map(Into::into);
        let named = networks.iter().map(|(network, interface)| BastionNetwork {
            network: (*network).into(),
            interface: interface.map(Into::into),
        });
        bastion.spec.networks = named.collect();
        bastion
    }

    /// `interface address networks`, one served interface after another.
    #[track_caller]
    fn check(bastion: Option<Bastion>, expected: &[&str]) {
        let interface = |name: &str, addresses: &[[u8; 4]]| Attached {
            name: name.into(),
            addresses: addresses.iter().map(|address| ((*address).into(), 24)).collect(),
        };
        let interfaces = [
            interface("eth0", &[[192, 168, 1, 5]]),
            interface("eth1", &[[10, 1, 0, 2], [10, 1, 0, 3], [10, 2, 0, 2]]),
            interface("eth2", &[[10, 3, 0, 2]]),
        ];
        let networks = [
            network("rack", "10.1.0.0/24", None, DhcpMode::Full),
            network("oob", "10.2.0.0/24", None, DhcpMode::Proxy),
            network("quiet", "10.3.0.0/24", None, DhcpMode::Off),
            network("far", "10.9.0.0/24", None, DhcpMode::Full),
            network("office", "192.168.1.0/24", Some("office"), DhcpMode::Proxy),
        ];
        let found: Vec<String> = serving(&interfaces, bastion.as_ref(), &networks)
            .iter()
            .map(|served| format!("{} {} {}", served.interface, served.address, served.networks.join(",")))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn bastions_are_lost_after_three_minutes() {
        let at = |second| Timestamp::from_second(second).expect("it is a time");
        let check = |online, heard: Option<i64>, now, expected| {
            let mut bastion = bastion(None, &[]);
            bastion.status.online = online;
            bastion.status.last_heartbeat = heard.map(|second| lab_object::Time(at(second)));
            assert_eq!(is_lost(&bastion, at(now)), expected, "{online:?} {heard:?} {now}");
        };
        check(Some(true), Some(1000), 1180, false);
        check(Some(true), Some(1000), 1181, true);
        check(Some(true), None, 1000, true);
        check(Some(false), Some(1000), 9000, false);
        check(None, None, 9000, false);
    }

    #[test]
    fn only_what_is_described_is_served() {
        check(None, &["eth1 10.1.0.2 rack,oob"]);
        check(Some(bastion(None, &[])), &["eth1 10.1.0.2 rack,oob"]);
        check(Some(bastion(Some("office"), &[])), &["eth0 192.168.1.5 office"]);
        check(Some(bastion(Some("elsewhere"), &[])), &[]);
        check(Some(bastion(Some("elsewhere"), &[("oob", None)])), &["eth1 10.2.0.2 oob"]);
        check(Some(bastion(None, &[("quiet", None), ("unknown", None)])), &[]);
        // A relay passes requests on from a network that the bastion has no address in.
        check(Some(bastion(None, &[("far", None)])), &[]);
        check(Some(bastion(None, &[("far", Some("eth2"))])), &["eth2 10.3.0.2 far"]);
        check(Some(bastion(None, &[("rack", Some("eth0"))])), &["eth0 192.168.1.5 rack"]);
        check(Some(bastion(None, &[("rack", Some("eth7"))])), &[]);
        let mut other = bastion(None, &[]);
        other.spec.address = Some(IpAddr::from([10, 1, 0, 3]));
        check(Some(other), &["eth1 10.1.0.3 rack,oob"]);
        assert_eq!(serving(&[], None, &[network("rack", "10.1.0.0/24", None, DhcpMode::Full)]), []);
    }
}
