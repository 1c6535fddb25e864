//! A boot server under attack on the loopback interface: made-up machines, half-open transfers, slow connections, endless log lines. Machines
//! boot meanwhile, and nothing grows without bound.

use jiff::Timestamp;
use lab_boot_site::{Settings, Site, System};
use lab_firmware::Kind;
use lab_kinds::metal::Network;
use lab_kinds::metal::network::{Dhcp, DhcpMode, DhcpRange, NetworkSpec};
use lab_netboot::dhcp::{Socket, listen};
use lab_netboot::{http, syslog, tftp};
use lab_object::mac::MacAddress;
use lab_rack::simulated::{machines, power_on};
use lab_rack::wire::{Way, Wire};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpSocket, UdpSocket};
use tokio::task::JoinSet;

const SITE: Ipv4Addr = Ipv4Addr::new(127, 9, 0, 1);
/// How many transfers are begun and left.
const HALF_OPEN: u16 = 2_000;
/// How many connections are slow.
const SLOW: u16 = 1_000;
/// How many clients are made up.
const MADE_UP: u32 = 21_000;
/// How many lines are sent.
const LINES: usize = 20_000;

fn network() -> Network {
    let range = DhcpRange { start: [127, 9, 1, 0].into(), end: [127, 9, 250, 255].into() };
    let spec = NetworkSpec {
        dhcp: Dhcp { mode: DhcpMode::Full, ranges: vec![range], ..Dhcp::beside_another() },
        ..NetworkSpec::new("127.9.0.0/16".parse().expect("it is a network"))
    };
    Network::new("rack", spec)
}

/// Where the servers are.
#[derive(Clone, Copy)]
struct Servers {
    dhcp: SocketAddrV4,
    tftp: SocketAddr,
    http: SocketAddr,
    syslog: SocketAddr,
}

async fn serve(folder: &Path, tasks: &mut JoinSet<std::io::Result<()>>) -> (Arc<Site>, Servers) {
    let http_socket = TcpListener::bind((SITE, 0)).await.expect("a port is free");
    let http = http_socket.local_addr().expect("it has one");
    let settings = Settings { http_port: http.port(), folder: folder.into(), labd: None };
    let site = Arc::new(Site::new(settings, Arc::new(System)));
    site.serve_on([("lo".into(), (SITE, 16))].into());
    site.with(|known| known.put_network(network()));
    let socket = Socket::open("lo", 0).expect("a port is free");
    let dhcp = SocketAddrV4::new(SITE, socket.port());
    let answerer = site.clone();
    tasks.spawn(async move { listen(&socket, "lo".into(), None, &*answerer).await });
    let tftp_socket = UdpSocket::bind((SITE, 0)).await.expect("a port is free");
    let tftp = tftp_socket.local_addr().expect("it has one");
    tasks.spawn(tftp::serve(tftp_socket, site.clone(), tftp::Settings::default()));
    tasks.spawn(http::serve(http_socket, site.clone(), http::Settings::default()));
    let udp = UdpSocket::bind((SITE, 0)).await.expect("a port is free");
    let syslog = udp.local_addr().expect("it has one");
    let tcp = TcpListener::bind(syslog).await.expect("the port is free");
    tasks.spawn(syslog::serve_udp(udp, site.clone()));
    tasks.spawn(syslog::serve_tcp(tcp, site.clone()));
    (site, Servers { dhcp, tftp, http, syslog })
}

/// Addresses of attackers, eight connections from each.
fn attacker(number: u16) -> SocketAddr {
    let [high, low] = (number / 8).to_be_bytes();
    (Ipv4Addr::new(127, 66, high, low), 0).into()
}

/// Clients that ask once and are never heard again, with hardware addresses nobody has.
async fn made_up_clients(to: SocketAddrV4) {
    let socket = UdpSocket::bind((SITE, 0)).await.expect("a port is free");
    let mut bytes = vec![0; 240];
    bytes[..4].copy_from_slice(&[1, 1, 6, 0]);
    bytes[236..].copy_from_slice(&[99, 130, 83, 99]);
    bytes.extend([53, 1, 1, 60, 9]);
    bytes.extend(b"PXEClient");
    bytes.extend([93, 2, 0, 7, 255]);
    for number in 0..MADE_UP {
        bytes[28..30].copy_from_slice(&[2, 0x66]);
        bytes[30..34].copy_from_slice(&number.to_be_bytes());
        let _ = socket.send_to(&bytes, to).await;
        // 2,000 a second: more than fit into the socket are lost in any case, those of others as well.
        if number % 20 == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// Transfers that are begun and never go on, and those of files that are not to be had.
async fn half_open_transfers(to: SocketAddr) {
    let mut sockets = Vec::new();
    for number in 0..HALF_OPEN {
        let socket = UdpSocket::bind(attacker(number)).await.expect("there are enough ports");
        let path = if number % 4 == 0 { "../../etc/shadow" } else { "snponly.efi" };
        let request = format!("\0\x01{path}\0octet\0blksize\x001468\0windowsize\x0064\0");
        let _ = socket.send_to(request.as_bytes(), to).await;
        sockets.push(socket);
        if number % 20 == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    std::future::pending::<()>().await;
}

/// Connections that send a byte now and then, or take nothing of what they asked for.
async fn slow_connections(to: SocketAddr, connected: Arc<AtomicUsize>) {
    let mut streams = Vec::new();
    for number in 0..SLOW {
        let socket = TcpSocket::new_v4().expect("there are enough sockets");
        socket.bind(attacker(number)).expect("there are enough ports");
        let Ok(mut stream) = socket.connect(to).await else { continue };
        let begin: &[u8] = if number % 2 == 0 { b"GET /slow" } else { b"GET /snponly.efi HTTP/1.1\r\n\r\n" };
        let _ = stream.write_all(begin).await;
        connected.fetch_add(1, Ordering::Relaxed);
        streams.push(stream);
    }
    loop {
        for stream in streams.iter_mut().step_by(2) {
            let _ = stream.write_all(b"x").await;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// Lines of a machine that never stops talking, by UDP, and a line that never ends, by TCP.
async fn endless_lines(to: SocketAddr, from: Ipv4Addr) {
    let udp = UdpSocket::bind((from, 0)).await.expect("a port is free");
    let socket = TcpSocket::new_v4().expect("there are enough sockets");
    socket.bind((from, 0).into()).expect("a port is free");
    let mut tcp = socket.connect(to).await.expect("it listens");
    for number in 0..LINES {
        let line = format!("<13>Nov 21 12:00:00 host program[1]: {number} {}", "flood ".repeat(100));
        let _ = udp.send_to(line.as_bytes(), to).await;
        let _ = tcp.write_all(&[b'x'; 1024]).await;
        if number % 50 == 0 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

/// Memory of this program, in MiB.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux tells");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("it has memory");
    let kib = line.split_whitespace().nth(1).and_then(|word| word.parse::<usize>().ok());
    kib.expect("it is a number") / 1024
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn machines_boot_meanwhile() {
    let files = rustix::process::Resource::Nofile;
    let limit = rustix::process::getrlimit(files);
    let most = rustix::process::Rlimit { current: limit.maximum, ..limit };
    rustix::process::setrlimit(files, most).expect("as many as are allowed can be had");
    let folder = tempfile::tempdir().expect("there is room");
    lab_rack::programs::fill(folder.path(), 10, 20_000, 50_000).expect("there is room");
    let mut tasks = JoinSet::new();
    let (site, servers) = serve(folder.path(), &mut tasks).await;
    let talker = MacAddress([2, 0x77, 0, 0, 0, 1]);
    let talks_from = Ipv4Addr::new(127, 9, 0, 77);
    site.with(|known| {
        let event = lab_machine::timeline::Event::Heartbeat;
        known.record(talker, Timestamp::now(), event);
        known.leases.entry("rack".into()).or_default().restore(lab_machine::lease::Lease {
            address: talks_from,
            mac: talker,
            state: lab_machine::lease::State::Bound,
            until: i64::MAX,
        });
    });
    let before = resident();
    let mut attack = JoinSet::new();
    let connected = Arc::new(AtomicUsize::new(0));
    let made_up = attack.spawn(made_up_clients(servers.dhcp));
    attack.spawn(half_open_transfers(servers.tftp));
    attack.spawn(slow_connections(servers.http, connected.clone()));
    let lines = attack.spawn(endless_lines(servers.syslog, talks_from));
    tokio::time::sleep(Duration::from_millis(300)).await;
    // In the middle of it.
    let kinds = [Kind::Bios, Kind::UefiPxe, Kind::UefiPxe2016, Kind::UefiHttp];
    let way = Way::loopback(servers.dhcp, servers.tftp.port());
    let wire = Wire::open(Way { pace: 0.5, ..way }).expect("it opens");
    let booted = power_on(&wire, machines(40, &kinds), Duration::from_secs(90)).await;
    let left: Vec<_> = booted.iter().filter(|booted| !booted.runs_kernel()).collect();
    assert!(left.is_empty(), "{} were left behind: {left:#?}", left.len());
    while !(made_up.is_finished() && lines.is_finished()) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let slowest = booted.iter().map(|booted| booted.took).max();
    let after = resident();
    let (heard, said) = site.with(|known| (known.machines(), known.lines(talker).len()));
    println!(
        "the slowest took {slowest:?}; {heard} machines heard, memory {before} MiB before, {after} after"
    );
    assert!(connected.load(Ordering::Relaxed) > usize::from(SLOW) / 2, "the attack was one");
    assert!(heard <= 20_000, "{heard} machines are kept");
    assert!(heard > 1_000, "{heard} made-up machines were heard");
    assert!((1..=2_000).contains(&said), "{said} lines are kept");
    assert!(after - before < 400, "memory grew by {} MiB", after - before);
    assert_eq!(tasks.try_join_next().map(|ended| format!("{ended:?}")), None, "every server goes on");
}
