//! The addresses of a network that can be given out, and those that are kept.

use ipnet::IpNet;
use lab_kinds::metal::network::{DhcpRange, NetworkSpec};
use lab_kinds::metal::{Network, Server};
use lab_object::mac::MacAddress;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, Ipv4Addr};

/// The addresses of a network.
#[derive(Debug, Clone, Default)]
pub struct Pool {
    ranges: Vec<DhcpRange>,
    /// Addresses that are kept, with those who may have them; nobody for routers and the like.
    kept: BTreeMap<Ipv4Addr, BTreeSet<MacAddress>>,
    by_mac: HashMap<MacAddress, Ipv4Addr>,
    cidr: Option<IpNet>,
}

impl Pool {
    /// The addresses of a network: its ranges, what its reservations and the servers' own addresses keep, and what is never
    /// given out: the router's, the DNS servers' and the boot server's own.
    pub fn new<'a>(
        name: &str,
        network: &NetworkSpec,
        servers: impl IntoIterator<Item = &'a Server>,
        own: &[Ipv4Addr],
    ) -> Self {
        let mut pool =
            Self { ranges: network.dhcp.ranges.clone(), cidr: Some(network.cidr), ..Self::default() };
        pool.ranges.sort_by_key(|range| range.start);
        for address in network.gateway.iter().chain(&network.dns) {
            pool.keep(*address, None);
        }
        for address in own {
            pool.keep(IpAddr::V4(*address), None);
        }
        for reservation in &network.dhcp.reservations {
            pool.keep(IpAddr::V4(reservation.address), Some(reservation.mac));
        }
        for server in servers {
            pool.keep_for(server, name);
        }
        pool
    }

    fn keep(&mut self, address: IpAddr, mac: Option<MacAddress>) {
        let IpAddr::V4(address) = address else { return };
        if !self.contains(address) {
            return;
        }
        self.kept.entry(address).or_default().extend(mac);
        if let Some(mac) = mac {
            self.by_mac.entry(mac).or_insert(address);
        }
    }

    /// A server's addresses on this network. One without a NIC is for whichever NIC boots.
    fn keep_for(&mut self, server: &Server, network: &str) {
        let here = server.spec.addresses.iter();
        let here = here.filter(|wish| wish.network.as_deref().is_none_or(|name| name == network));
        for wish in here {
            let named = server.metadata.name.as_deref().and_then(|name| MacAddress::parse(name).ok());
            let any = server
                .spec
                .macs
                .iter()
                .copied()
                .chain(server.status.nics.iter().map(|nic| nic.mac))
                .chain(named);
            match wish.mac {
                Some(mac) => self.keep(wish.address, Some(mac)),
                None => {
                    self.keep(wish.address, None);
                    any.for_each(|mac| self.keep(wish.address, Some(mac)));
                }
            }
        }
    }

    /// Whether an address lies in the network.
    pub fn contains(&self, address: Ipv4Addr) -> bool {
        self.cidr.is_some_and(|cidr| cidr.contains(&IpAddr::V4(address)))
    }

    /// The address that is kept for a client.
    pub fn kept_for(&self, mac: MacAddress) -> Option<Ipv4Addr> {
        self.by_mac.get(&mac).copied()
    }

    /// Whether a client may have an address at all.
    pub fn allows(&self, mac: MacAddress, address: Ipv4Addr) -> bool {
        match self.kept.get(&address) {
            Some(holders) => holders.contains(&mac),
            None => self.ranges.iter().any(|range| range.start <= address && address <= range.end),
        }
    }

    /// How many addresses the ranges have.
    pub fn size(&self) -> u64 {
        self.ranges.iter().map(length).sum()
    }

    /// The addresses of the ranges once round, beginning where a client's hardware address points. A machine so tends to get the
    /// same address even where the table was lost, and a free one is found at once in a pool that is not full.
    pub(super) fn round(&self, mac: MacAddress) -> impl Iterator<Item = Ipv4Addr> + '_ {
        let size = self.size();
        let start = if size == 0 { 0 } else { fnv1a(&mac.0) % size };
        (start..size)
            .chain(0..start)
            .filter_map(|at| self.at(at))
            .filter(|address| !self.kept.contains_key(address))
    }

    fn at(&self, mut index: u64) -> Option<Ipv4Addr> {
        for range in &self.ranges {
            if index < length(range) {
                return Some(Ipv4Addr::from_bits(range.start.to_bits() + u32::try_from(index).ok()?));
            }
            index -= length(range);
        }
        None
    }
}

fn length(range: &DhcpRange) -> u64 {
    u64::from(range.end.to_bits()).saturating_sub(range.start.to_bits().into())
        + u64::from(range.end >= range.start)
}

/// FNV-1a, which spreads neighbouring hardware addresses.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// The network a request came from: that of the relay, where one passed it on; or else that of the interface's address.
pub fn network_of<'a>(
    networks: impl IntoIterator<Item = &'a Network>,
    relay: Option<Ipv4Addr>,
    interface: Option<Ipv4Addr>,
) -> Option<&'a Network> {
    let address = IpAddr::V4(relay.or(interface)?);
    let here = networks.into_iter().filter(|network| network.spec.cidr.contains(&address));
    here.max_by_key(|network| network.spec.cidr.prefix_len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(name: &str, cidr: &str) -> Network {
        let spec = NetworkSpec::new(cidr.parse().expect("it is a network"));
        Network::new(name, spec)
    }

    #[test]
    fn the_relay_decides_the_network() {
        let networks =
            [network("wide", "10.0.0.0/8"), network("near", "10.1.0.0/24"), network("far", "10.2.0.0/24")];
        let check = |relay: Option<&str>, interface: Option<&str>, expected: Option<&str>| {
            let address = |text: Option<&str>| text.map(|text| text.parse().expect("it is an address"));
            let found = network_of(&networks, address(relay), address(interface));
            assert_eq!(found.and_then(|network| network.metadata.name.as_deref()), expected);
        };
        check(None, Some("10.1.0.2"), Some("near"));
        check(Some("10.2.0.1"), Some("10.1.0.2"), Some("far"));
        check(Some("10.3.0.1"), Some("10.1.0.2"), Some("wide"));
        check(Some("192.168.0.1"), Some("10.1.0.2"), None);
        check(None, None, None);
    }
}
