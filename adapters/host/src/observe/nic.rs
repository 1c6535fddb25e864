//! Network interfaces.

use super::Tree;
use lab_kinds::metal::server::Nic;
use lab_object::mac::MacAddress;
use std::{net::IpAddr, path::Path};

/// The machine's NICs, by name: those that stand for a device, so neither bridges nor tunnels.
pub fn read(tree: &Tree, boot: Option<MacAddress>) -> Vec<Nic> {
    let addresses = if tree.root() == Path::new("/") { addresses() } else { Vec::new() };
    let names = tree.names("sys/class/net").into_iter();
    names.filter_map(|name| one(tree, name, boot, &addresses)).collect()
}

fn one(tree: &Tree, name: String, boot: Option<MacAddress>, addresses: &[(String, IpAddr)]) -> Option<Nic> {
    let folder = format!("sys/class/net/{name}");
    // Ethernet only (ARPHRD_ETHER, 1).
    if !tree.has(&format!("{folder}/device")) || tree.text(&format!("{folder}/type")) != "1" {
        return None;
    }
    let mac: MacAddress = tree.text(&format!("{folder}/address")).parse().ok()?;
    // The kernel refuses to say anything of the link while the interface is down.
    let link = tree.number(&format!("{folder}/carrier")).map(|carrier| carrier == 1);
    let speed = tree.number(&format!("{folder}/speed")).and_then(|speed| i32::try_from(speed).ok());
    let own = addresses.iter().filter(|(of, address)| *of == name && !is_link_local(address));
    Some(Nic {
        mac,
        driver: tree.link_name(&format!("{folder}/device/driver")).unwrap_or_default(),
        link,
        // -1 while nobody knows.
        speed_mbps: speed.filter(|speed| *speed > 0),
        boot: boot == Some(mac),
        network: None,
        addresses: own.map(|(_, address)| *address).collect(),
        lldp: None,
        name,
    })
}

fn addresses() -> Vec<(String, IpAddr)> {
    let found = if_addrs::get_if_addrs().unwrap_or_default();
    found.into_iter().map(|interface| (interface.name.clone(), interface.ip())).collect()
}

fn is_link_local(address: &IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}
