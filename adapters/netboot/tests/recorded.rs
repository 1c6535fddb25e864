//! Packets recorded from real firmware, built again from the traces, through reading, deciding and writing.

use dhcproto::v4::MessageType;
use ipnet::IpNet;
use lab_kinds::metal::network::{Dhcp, DhcpMode, NetworkSpec};
use lab_machine::client::{Class, Client, Message, Platform, Request};
use lab_machine::offer::{Form, Site, offer};
use lab_netboot::dhcp::{Destination, Packet, Reply, destination};
use std::net::{Ipv4Addr, SocketAddrV4};

const TRACES: &[(&str, &str)] = &[
    ("bios", include_str!("../../../logic/machine/traces/bios.log")),
    ("full-60-43", include_str!("../../../logic/machine/traces/full-60-43.log")),
    ("full-no60", include_str!("../../../logic/machine/traces/full-no60.log")),
    ("http-proxy", include_str!("../../../logic/machine/traces/http-proxy.log")),
    ("pb", include_str!("../../../logic/machine/traces/pb.log")),
    ("proxy-43", include_str!("../../../logic/machine/traces/proxy-43.log")),
    ("sb-pb", include_str!("../../../logic/machine/traces/sb-pb.log")),
];
const UUID: &str = "11223344-5566-7788-99aa-bbccddeeff00";

/// A trace's line as bytes on the wire, with the port they were sent to; nothing for lines that do not hold a whole packet.
fn packet(line: &str) -> Option<(Vec<u8>, u16)> {
    let (_, rest) = line.split_once(" DHCP ")?;
    let mut words = rest.split(' ');
    let (_message, to) = (words.next()?, words.next()?);
    let mut bytes = vec![0; 240];
    bytes[..4].copy_from_slice(&[1, 1, 6, 0]);
    bytes[4..8].copy_from_slice(&[1, 2, 3, 4]);
    bytes[28..34].copy_from_slice(&[0x52, 0x54, 0, 0, 0, 1]);
    bytes[236..].copy_from_slice(&[99, 130, 83, 99]);
    for word in words {
        let (name, value) = word.split_once('=')?;
        match name {
            "flags" => bytes[10..12].copy_from_slice(&hex(value)),
            "ciaddr" => bytes[12..16].copy_from_slice(&value.parse::<Ipv4Addr>().ok()?.octets()),
            code => {
                let value = match value.strip_prefix("b'") {
                    Some(text) => text.trim_end_matches('\'').as_bytes().to_vec(),
                    None if value.starts_with('[') => value
                        .trim_matches(['[', ']'])
                        .split(',')
                        .map(|n| n.parse().expect("a number"))
                        .collect(),
                    None => hex(value),
                };
                bytes.extend([code.parse().ok()?, u8::try_from(value.len()).ok()?]);
                bytes.extend(value);
            }
        }
    }
    bytes.push(255);
    Some((bytes, to.rsplit(':').next()?.parse().ok()?))
}

fn hex(text: &str) -> Vec<u8> {
    let byte = |at| u8::from_str_radix(&text[at..at + 2], 16).expect("it is hexadecimal");
    (0..text.len()).step_by(2).map(byte).collect()
}

fn request(packet: &Packet, port: u16) -> Request {
    let option = |code| packet.options.get(code).map(<[u8]>::to_vec);
    Request {
        message: if packet.message == MessageType::Discover { Message::Discover } else { Message::Request },
        mac: packet.mac,
        port,
        relay: packet.relay,
        client_address: packet.client_address,
        requested_address: packet.options.address(50),
        server: packet.options.address(54),
        vendor_class: option(60),
        user_class: option(77),
        architectures: option(93),
        machine_id: option(97),
        ipxe: option(175),
    }
}

fn network(mode: DhcpMode) -> NetworkSpec {
    let cidr = "10.9.0.0/24".parse::<IpNet>().expect("it is a network");
    NetworkSpec { dhcp: Dhcp { mode, ..Dhcp::beside_another() }, ..NetworkSpec::new(cidr) }
}

/// What each trace's firmware is recognised as.
#[test]
fn firmware_is_recognised() {
    let firmware = |name: &str| match name {
        "bios" => (Class::Ipxe, Platform::Bios),
        "http-proxy" => (Class::Http, Platform::UefiX64),
        _ => (Class::Pxe, Platform::UefiX64),
    };
    for (name, trace) in TRACES {
        let mut clients = 0;
        for (bytes, port) in trace.lines().filter_map(packet) {
            let packet = Packet::decode(&bytes).expect("firmware sends packets");
            let client = Client::of(&request(&packet, port));
            let platform = client.platform.expect("it is known");
            let expected = if client.class == Class::Ipxe { (Class::Ipxe, platform) } else { firmware(name) };
            assert_eq!((client.class, platform), expected, "{name}");
            assert_eq!(client.uuid.as_deref(), Some(UUID), "{name}");
            if let Some(features) = client.ipxe {
                assert_eq!((features.http, features.https, features.version), (true, false, Some([1, 0, 0])));
            }
            clients += 1;
        }
        assert!(clients >= 2, "{name} has {clients} packets");
    }
}

/// Whatever firmware asks is answered in both modes, and the answers hold what firmware was found to insist on.
#[test]
fn answers_hold_what_firmware_insists_on() {
    let programs = lab_machine::program::PROGRAMS.iter().map(|program| program.path).collect();
    let site = Site { address: [10, 9, 0, 1].into(), http_port: 80, programs };
    for (name, trace) in TRACES {
        for (bytes, port) in trace.lines().filter_map(packet) {
            for mode in [DhcpMode::Full, DhcpMode::Proxy] {
                let packet = Packet::decode(&bytes).expect("firmware sends packets");
                let request = Request { server: None, ..request(&packet, port) };
                let client = Client::of(&request);
                let Ok(decided) = offer(&request, &client, &network(mode), None, &site) else {
                    assert!(mode == DhcpMode::Proxy && request.message == Message::Request, "{name}");
                    continue;
                };
                let discover = packet.message == MessageType::Discover;
                let reply = Reply {
                    your_address: decided.assigns.then(|| [10, 9, 0, 50].into()),
                    lease_seconds: decided.lease_seconds,
                    next_server: decided.next_server,
                    file: decided.file.clone(),
                    vendor_class: decided.vendor_class.map(Into::into),
                    vendor_options: decided.vendor_options.map(Into::into),
                    ipxe_options: decided.ipxe_options.map(Into::into),
                    echo_machine_id: decided.echo_machine_id,
                    ..Reply::new(if discover { MessageType::Offer } else { MessageType::Ack }, site.address)
                };
                let written = reply.encode(&packet).expect("it fits");
                let read = Packet::decode(&written).expect("it is a packet");
                assert!(written.len() <= 548);
                assert_eq!(read.options.address(54), Some(site.address));
                assert_eq!(read.options.get(97), packet.options.get(97));
                assert_eq!(read.options.get(67), decided.file.as_deref().map(str::as_bytes));
                // A proxy's answer gives no address and says whose it is.
                assert_eq!(read.your_address.is_none(), !decided.assigns);
                if mode == DhcpMode::Proxy {
                    assert!(read.options.get(60).is_some_and(|class| class.ends_with(b"Client")));
                }
                let sender = SocketAddrV4::new(packet.client_address.unwrap_or(Ipv4Addr::UNSPECIFIED), 68);
                let to = destination(&packet, reply.message, sender, port);
                let expected = if decided.form == Form::Binl {
                    Destination::Unicast(sender)
                } else {
                    Destination::Broadcast
                };
                assert_eq!(to, expected, "{name}");
            }
        }
    }
}
