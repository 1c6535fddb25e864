//! Addresses that somebody has already, though no server gave them: looked for on real interfaces before they are offered. The tests make
//! network namespaces, without root where the system lets users have them.

use lab_boot_site::{Settings, Site, System};
use lab_firmware::Kind;
use lab_kinds::metal::Network;
use lab_kinds::metal::network::{Dhcp, DhcpMode, DhcpRange, NetworkSpec};
use lab_machine::timeline::Event;
use lab_netboot::dhcp::{Neighbours, Packet, Socket, listen};
use lab_netboot::{http, tftp};
use lab_object::mac::MacAddress;
use lab_rack::place::{Neighbour, inside, ip};
use lab_rack::simulated::{machines, power_on};
use lab_rack::wire::{Way, Wire};
use std::net::{Ipv4Addr, UdpSocket};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

const SITE: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 1);

fn network(name: &str, cidr: &str, first: [u8; 4], last: [u8; 4]) -> Network {
    let range = DhcpRange { start: first.into(), end: last.into() };
    let spec = NetworkSpec {
        dhcp: Dhcp { mode: DhcpMode::Full, ranges: vec![range], ..Dhcp::beside_another() },
        ..NetworkSpec::new(cidr.parse().expect("it is a network"))
    };
    Network::new(name, spec)
}

/// A boot server at our end of the cable.
async fn serve(folder: &Path, networks: Vec<Network>, tasks: &mut JoinSet<std::io::Result<()>>) -> Arc<Site> {
    let settings = Settings { http_port: 80, folder: folder.into(), labd: None };
    let site = Arc::new(Site::new(settings, Arc::new(System)));
    site.serve_on([(Neighbour::HERE.into(), (SITE, 16))].into());
    site.with(|known| networks.into_iter().for_each(|network| known.put_network(network)));
    for port in [67, 4011] {
        let socket = Socket::open(Neighbour::HERE, port).expect("the port is free");
        let neighbours = Neighbours::open(Neighbour::HERE).expect("packet sockets are allowed here");
        let site = site.clone();
        tasks.spawn(async move { listen(&socket, Neighbour::HERE.into(), Some(&neighbours), &*site).await });
    }
    let socket = tokio::net::UdpSocket::bind((SITE, 69)).await.expect("the port is free");
    tasks.spawn(tftp::serve(socket, site.clone(), tftp::Settings::default()));
    let listener = tokio::net::TcpListener::bind((SITE, 80)).await.expect("the port is free");
    tasks.spawn(http::serve(listener, site.clone(), http::Settings::default()));
    site
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("it starts")
}

/// A network with 30 addresses, 15 of which have been given to hosts by hand: ten machines get others and boot.
#[test]
fn addresses_of_hosts_that_nobody_leased() {
    if !inside("addresses_of_hosts_that_nobody_leased") {
        return;
    }
    let neighbour = Neighbour::new().expect("a namespace is made");
    neighbour.crowd().expect("it has many addresses");
    let by_hand: Vec<Ipv4Addr> = (0..30).step_by(2).map(|last| Ipv4Addr::new(10, 9, 128, last)).collect();
    for address in &by_hand {
        let address = format!("{address}/32");
        neighbour.ip(&["address", "add", &address, "dev", Neighbour::THERE]).expect("it is given");
    }
    let folder = tempfile::tempdir().expect("there is room");
    lab_rack::programs::fill(folder.path(), 10, 20_000, 50_000).expect("there is room");
    let runtime = runtime();
    let mut tasks = JoinSet::new();
    let site = runtime.block_on(async {
        let rack = network("rack", "10.9.0.0/16", [10, 9, 128, 0], [10, 9, 128, 29]);
        serve(folder.path(), vec![rack], &mut tasks).await
    });
    let booted = neighbour.run(|| {
        let there = self::runtime();
        there.block_on(async {
            let wire = Wire::open(Way { pace: 0.2, ..Way::over(Neighbour::THERE) })?;
            let kinds = [Kind::Bios, Kind::UefiPxe];
            Ok(power_on(&wire, machines(10, &kinds), Duration::from_secs(60)).await)
        })
    });
    let booted = booted.expect("they are switched on");
    let left: Vec<_> = booted.iter().filter(|booted| !booted.runs_kernel()).collect();
    assert!(left.is_empty(), "{left:#?}");
    site.with(|known| {
        for booted in &booted {
            let address = known.leases["rack"].of(booted.mac).expect("it has an address");
            assert!(!by_hand.contains(&address), "{} was given {address}", booted.mac);
        }
        let timelines = booted.iter().filter_map(|booted| known.machine(booted.mac));
        let told = timelines.flat_map(|machine| machine.timeline.entries()).filter_map(|entry| {
            let Event::AddressInUse { address, holder } = entry.event else { return None };
            Some((address, holder))
        });
        let told: Vec<_> = told.collect();
        // Half of the addresses are in use: somebody met one.
        assert!(!told.is_empty());
        assert!(told.iter().all(|(address, holder)| by_hand.contains(address) && holder.is_some()));
    });
}

/// A DISCOVER as a relay passes it on, of a client that would like an address.
fn discover(relay: Ipv4Addr, wish: Ipv4Addr) -> Vec<u8> {
    let mut bytes = vec![0; 240];
    bytes[..8].copy_from_slice(&[1, 1, 6, 1, 0, 0, 0, 7]);
    bytes[24..28].copy_from_slice(&relay.octets());
    bytes[28..34].copy_from_slice(&MacAddress([0x52, 0x54, 0, 0, 0, 9]).0);
    bytes[236..].copy_from_slice(&[99, 130, 83, 99]);
    bytes.extend([53, 1, 1, 50, 4]);
    bytes.extend(wish.octets());
    bytes.push(255);
    bytes
}

/// Behind a relay nobody hears ARP: hosts there are asked by ICMP.
#[test]
fn addresses_behind_a_relay() {
    if !inside("addresses_behind_a_relay") {
        return;
    }
    let neighbour = Neighbour::new().expect("a namespace is made");
    neighbour.crowd().expect("it has many addresses");
    ip(&["route", "add", "10.8.0.0/24", "via", "10.9.255.254", "dev", Neighbour::HERE, "onlink"])
        .expect("the relay's network is reached");
    for address in ["10.8.0.1/32", "10.8.0.50/32"] {
        neighbour.ip(&["address", "add", address, "dev", Neighbour::THERE]).expect("it is given");
    }
    let folder = tempfile::tempdir().expect("there is room");
    let runtime = runtime();
    let mut tasks = JoinSet::new();
    let far = network("far", "10.8.0.0/24", [10, 8, 0, 50], [10, 8, 0, 51]);
    let _site = runtime.block_on(serve(folder.path(), vec![far], &mut tasks));
    let relay = Ipv4Addr::new(10, 8, 0, 1);
    let offer = |wish: Ipv4Addr| {
        neighbour.run(|| {
            let socket = UdpSocket::bind((relay, 67))?;
            socket.set_read_timeout(Some(Duration::from_secs(10)))?;
            let (mut buffer, began) = ([0; 1500], Instant::now());
            socket.send_to(&discover(relay, wish), (SITE, 67))?;
            let length = socket.recv(&mut buffer)?;
            println!("answered after {:?}", began.elapsed());
            Ok(Packet::decode(&buffer[..length])?.your_address)
        })
    };
    let used = Ipv4Addr::new(10, 8, 0, 50);
    let free = Ipv4Addr::new(10, 8, 0, 51);
    assert_eq!(offer(used).expect("there is an offer"), Some(free));
    assert_eq!(offer(used).expect("there is an offer"), Some(free));
}
