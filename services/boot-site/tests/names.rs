//! Every file name that a DHCP answer can contain is served over TFTP and HTTP, by the real servers.

use lab_boot_site::{Settings, Site, Surroundings};
use lab_kinds::metal::Server;
use lab_kinds::metal::network::{Dhcp, DhcpMode, DhcpRange, NetworkSpec};
use lab_machine::client::{Client, Message, Request};
use lab_machine::offer::{self, offer};
use lab_machine::program::PROGRAMS;
use lab_netboot::{http, tftp};
use lab_object::mac::MacAddress;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};

const MAC: MacAddress = MacAddress([0x52, 0x54, 0, 0, 0, 1]);

struct Still;
impl Surroundings for Still {
    fn now(&self) -> jiff::Timestamp {
        jiff::Timestamp::from_second(1_000_000).expect("it is a time")
    }
    fn token(&self) -> String {
        "t0ken".into()
    }
}

fn network(mode: DhcpMode) -> NetworkSpec {
    NetworkSpec {
        dhcp: Dhcp {
            mode,
            ranges: vec![DhcpRange { start: [127, 0, 0, 50].into(), end: [127, 0, 0, 60].into() }],
            ..Dhcp::beside_another()
        },
        ..NetworkSpec::new("127.0.0.0/8".parse().expect("it is a network"))
    }
}

/// Every kind of client that is told apart, in every mode, with and without Secure Boot: the files they are sent for.
fn advertised(site: &offer::Site) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut signed = Server::default();
    signed.status.hardware.firmware.secure_boot = Some(true);
    let old_ipxe: &[u8] = &[0xeb, 3, 1, 0, 0];
    for architecture in 0..=41u8 {
        for vendor in ["PXEClient", "HTTPClient", "U-Boot.armv8"] {
            for (user, ipxe) in
                [(None, None), (Some(b"iPXE".to_vec()), None), (Some(b"iPXE".to_vec()), Some(old_ipxe))]
            {
                for message in [Message::Discover, Message::Request] {
                    for port in [67, 4011] {
                        let request = Request {
                            port,
                            vendor_class: Some(vendor.into()),
                            user_class: user.clone(),
                            architectures: Some(vec![0, architecture]),
                            ipxe: ipxe.map(<[u8]>::to_vec),
                            ..Request::new(message, MAC)
                        };
                        let client = Client::of(&request);
                        for mode in [DhcpMode::Full, DhcpMode::Proxy] {
                            for server in [None, Some(&signed)] {
                                let offered = offer(&request, &client, &network(mode), server, site);
                                names.extend(offered.ok().and_then(|offer| offer.file));
                            }
                        }
                    }
                }
            }
        }
    }
    names
}

async fn by_http(at: SocketAddr, path: &str) -> Vec<u8> {
    let mut stream = TcpStream::connect(at).await.expect("it listens");
    let request = format!("GET /{path} HTTP/1.1\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("it is sent");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.expect("it is answered");
    assert!(answer.starts_with(b"HTTP/1.1 200 OK\r\n"), "{path}: {}", String::from_utf8_lossy(&answer));
    let head = answer.windows(4).position(|four| four == b"\r\n\r\n").expect("there is a head");
    answer.split_off(head + 4)
}

async fn by_tftp(at: SocketAddr, path: &str) -> Vec<u8> {
    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a port is free");
    let request = [&[0, 1], path.as_bytes(), b"\0octet\0"].concat();
    socket.send_to(&request, at).await.expect("it is sent");
    let (mut content, mut buffer) = (Vec::new(), [0; 600]);
    loop {
        let (length, peer) = socket.recv_from(&mut buffer).await.expect("it is answered");
        assert_eq!(buffer[..2], [0, 3], "{path}: {}", String::from_utf8_lossy(&buffer[..length]));
        socket.send_to(&[0, 4, buffer[2], buffer[3]], peer).await.expect("it is sent");
        content.extend_from_slice(&buffer[4..length]);
        if length < 516 {
            return content;
        }
    }
}

#[tokio::test]
async fn whatever_machines_are_sent_for_is_there() {
    let folder = tempfile::tempdir().expect("there is room");
    for program in PROGRAMS {
        for path in [&[program.path], program.companions].concat() {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().expect("it is in a folder")).expect("there is room");
            std::fs::write(&path, path.display().to_string().repeat(40)).expect("there is room");
        }
    }
    let site = Arc::new(Site::new(
        Settings { http_port: 80, folder: folder.path().into(), labd: None },
        Arc::new(Still),
    ));
    site.serve_on([("lo".into(), ([127, 0, 0, 1].into(), 8))].into());
    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a port is free");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let (tftp_at, http_at) =
        (socket.local_addr().expect("it has one"), listener.local_addr().expect("it has one"));
    tokio::spawn(tftp::serve(socket, site.clone(), tftp::Settings::default()));
    tokio::spawn(http::serve(listener, site.clone(), http::Settings::default()));

    let all = PROGRAMS.iter().map(|program| program.path).collect();
    let address = offer::Site { address: [127, 0, 0, 1].into(), http_port: 80, programs: all };
    let mut names = advertised(&address);
    // The real thing: every program, by name and by URL, and scripts in both ways.
    for program in PROGRAMS {
        assert!(names.iter().any(|name| name.ends_with(program.path)), "nobody is sent for {}", program.path);
    }
    assert!(
        names.iter().any(|name| name.starts_with("http://") && name.ends_with("script.ipxe")),
        "{names:?}"
    );
    assert!(names.iter().any(|name| name.starts_with("boot/")), "{names:?}");
    let companions = PROGRAMS.iter().flat_map(|program| program.companions);
    names.extend(companions.map(|path| (*path).to_owned()));
    for name in names {
        let path = name.strip_prefix("http://127.0.0.1/").unwrap_or(&name);
        let (one, other) = (by_http(http_at, path).await, by_tftp(tftp_at, path).await);
        assert!(!one.is_empty() && one == other, "{path}");
    }
}
