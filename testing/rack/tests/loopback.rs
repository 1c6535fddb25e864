//! Simulated machines against the real servers on the loopback interface, over a bad wire.

use ipnet::IpNet;
use lab_boot_site::{Settings, Site, System};
use lab_firmware::Kind;
use lab_kinds::metal::network::{Dhcp, DhcpMode, DhcpRange, NetworkSpec};
use lab_kinds::metal::{Network, Server};
use lab_netboot::dhcp::{Socket, listen};
use lab_netboot::{http, tftp};
use lab_rack::faults::Faults;
use lab_rack::simulated::{machines, power_on};
use lab_rack::wire::{Way, Wire};
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, UdpSocket};
use tokio::task::JoinSet;

const SITE: Ipv4Addr = Ipv4Addr::new(127, 9, 0, 1);

fn network() -> Network {
    let cidr: IpNet = "127.9.0.0/16".parse().expect("it is a network");
    let range = DhcpRange { start: [127, 9, 1, 0].into(), end: [127, 9, 200, 255].into() };
    let dhcp = Dhcp { mode: DhcpMode::Full, ranges: vec![range], ..Dhcp::beside_another() };
    let spec = NetworkSpec { dhcp, ..NetworkSpec::new(cidr) };
    Network::new("rack", spec)
}

/// A site with sockets of its own, and the way there.
async fn site(folder: &Path, tasks: &mut JoinSet<std::io::Result<()>>) -> (Arc<Site>, Way) {
    let listener = TcpListener::bind((SITE, 0)).await.expect("a port is free");
    let http_port = listener.local_addr().expect("it has one").port();
    let site =
        Arc::new(Site::new(Settings { http_port, folder: folder.into(), labd: None }, Arc::new(System)));
    site.serve_on([("lo".into(), (SITE, 16))].into());
    site.with(|known| known.put_network(network()));
    let socket = Socket::open("lo", 0).expect("a port is free");
    let dhcp = (SITE, socket.port());
    let answerer = site.clone();
    tasks.spawn(async move { listen(&socket, "lo".into(), None, &*answerer).await });
    let tftp = UdpSocket::bind((SITE, 0)).await.expect("a port is free");
    let tftp_port = tftp.local_addr().expect("it has one").port();
    let settings = tftp::Settings { timeout: Duration::from_millis(300), retries: 12, ..Default::default() };
    tasks.spawn(tftp::serve(tftp, site.clone(), settings));
    tasks.spawn(http::serve(listener, site.clone(), http::Settings::default()));
    let way = Way::loopback(std::net::SocketAddrV4::new(dhcp.0, dhcp.1), tftp_port);
    (site, way)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_reach_their_kernel_over_a_bad_wire() {
    let folder = tempfile::tempdir().expect("there is room");
    lab_rack::programs::fill(folder.path(), 10, 20_000, 50_000).expect("there is room");
    let mut tasks = JoinSet::new();
    let (site, way) = site(folder.path(), &mut tasks).await;
    let kinds =
        [Kind::Bios, Kind::BiosPxe, Kind::UefiPxe, Kind::UefiPxe2016, Kind::UefiHttp, Kind::SecureBoot];
    let machines = machines(90, &kinds);
    site.with(|known| {
        for machine in machines.iter().filter(|machine| machine.kind().checks_signatures()) {
            let mut server = Server::default();
            server.metadata.name = Some(machine.mac().dashed());
            server.spec.macs = vec![machine.mac()];
            server.status.hardware.firmware.secure_boot = Some(true);
            known.put_server(server);
        }
    });
    let wire = Wire::open(Way { faults: Faults::BAD, pace: 0.1, ..way }).expect("it opens");
    let booted = power_on(&wire, machines, Duration::from_secs(60)).await;
    let left: Vec<_> = booted.iter().filter(|booted| !booted.runs_kernel()).collect();
    assert!(left.is_empty(), "{} of {} were left behind: {left:#?}", left.len(), booted.len());
    let slowest = booted.iter().map(|booted| booted.took).max();
    println!("the slowest took {slowest:?}");
}
