//! This machine's network interfaces: what a boot server serves on where nothing is configured.

use lab_object::mac::MacAddress;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr};

/// An interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// The system's name for it.
    pub name: String,
    /// Its hardware address, where it has one.
    pub mac: Option<MacAddress>,
    /// Its IPv4 addresses, with the prefix lengths of their networks.
    pub addresses: Vec<(Ipv4Addr, u8)>,
    /// The router that the system's default route goes through, where it goes through this interface.
    pub gateway: Option<Ipv4Addr>,
}

/// Every interface that has an IPv4 address and is not the loopback one, by name.
pub fn interfaces() -> io::Result<Vec<Interface>> {
    let gateways = default_routes(&fs::read_to_string("/proc/net/route").unwrap_or_default());
    let mut found: BTreeMap<String, Interface> = BTreeMap::new();
    for address in if_addrs::get_if_addrs()? {
        let (false, IpAddr::V4(ip), if_addrs::IfAddr::V4(v4)) =
            (address.is_loopback(), address.ip(), &address.addr)
        else {
            continue;
        };
        let interface = found.entry(address.name.clone()).or_insert_with(|| Interface {
            mac: mac(&address.name),
            gateway: gateways.get(&address.name).copied(),
            name: address.name.clone(),
            addresses: Vec::new(),
        });
        let prefix = u8::try_from(v4.netmask.to_bits().leading_ones()).unwrap_or(32);
        interface.addresses.push((ip, prefix));
    }
    Ok(found.into_values().collect())
}

/// How many machines this system's kernel keeps hardware addresses of at once, in all its networks together; nothing where it does not say.
/// Beyond that, packets to further ones are dropped ("neighbour table overflow").
pub fn most_neighbours() -> Option<u64> {
    fs::read_to_string("/proc/sys/net/ipv4/neigh/default/gc_thresh3").ok()?.trim().parse().ok()
}

fn mac(interface: &str) -> Option<MacAddress> {
    MacAddress::parse(fs::read_to_string(format!("/sys/class/net/{interface}/address")).ok()?.trim()).ok()
}

/// Default routes in the kernel's table: interface, destination and gateway in hexadecimal, as the processor orders bytes.
fn default_routes(table: &str) -> BTreeMap<String, Ipv4Addr> {
    let mut routes = BTreeMap::new();
    for line in table.lines().skip(1) {
        let mut fields = line.split_whitespace();
        let (Some(interface), Some("00000000"), Some(gateway)) =
            (fields.next(), fields.next(), fields.next())
        else {
            continue;
        };
        if let Ok(gateway @ 1..) = u32::from_str_radix(gateway, 16) {
            routes.entry(interface.to_owned()).or_insert(Ipv4Addr::from(gateway.to_ne_bytes()));
        }
    }
    routes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_endian = "little")]
    fn routes_as_the_kernel_writes_them() {
        let table = "Iface\tDestination\tGateway \tFlags\n\
                     eth0\t00000000\t0100A8C0\t0003\n\
                     eth0\t0000A8C0\t00000000\t0001\n\
                     eth1\t00000000\t00000000\t0001\nx\n";
        let expected = BTreeMap::from([("eth0".to_owned(), Ipv4Addr::new(192, 168, 0, 1))]);
        assert_eq!(default_routes(table), expected);
    }

    #[test]
    fn this_machines_interfaces_can_be_listed() {
        for interface in interfaces().expect("they can be listed") {
            assert!(!interface.addresses.is_empty() && interface.name != "lo", "{interface:?}");
        }
    }
}
