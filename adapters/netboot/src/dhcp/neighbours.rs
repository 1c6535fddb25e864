//! Who has an address already, asked before it is offered for the first time (RFC 2131 section 2.2): by ARP on the interface's own network
//! (RFC 5227 section 2.1.1), by ICMP echo behind a relay.
//!
//! ARP goes out on a packet socket: asked of the kernel, a storm of new machines would fill its table of neighbours.

use lab_object::mac::MacAddress;
use nix::ifaddrs::getifaddrs;
use nix::sys::socket::{LinkAddr, bind};
use parking_lot::Mutex;
use socket2::{Domain, Protocol, Type};
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// How long each of two questions is waited on. Hosts answer ARP within a millisecond; the second question is for the one that is lost.
const NEAR: Duration = Duration::from_millis(50);
/// The same behind a relay, which may be far.
const FAR: Duration = Duration::from_millis(125);
/// How many questions there are for an address.
const QUESTIONS: usize = 2;

/// The EtherType of ARP.
const ARP: u16 = 0x0806;
/// The length of ARP for IPv4 over Ethernet, with the Ethernet header before it (RFC 826).
const ARP_LENGTH: usize = 42;

/// Who has an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// Nobody answered.
    Nobody,
    /// The machine with this hardware address.
    Machine(MacAddress),
    /// Somebody behind the relay.
    Beyond,
}

/// Who waits for which address.
type Waiting = Mutex<HashMap<Ipv4Addr, Vec<oneshot::Sender<Found>>>>;

/// The way to ask on one interface. It ends when dropped.
#[derive(Debug)]
pub struct Neighbours {
    mac: MacAddress,
    /// A packet socket and a raw one. They send and receive as those of UDP do, but for addresses and ports.
    arp: Arc<UdpSocket>,
    echo: Arc<UdpSocket>,
    waiting: Arc<Waiting>,
    _hearing: JoinSet<()>,
}

impl Neighbours {
    /// Opens the sockets on an interface. Needs `CAP_NET_RAW`.
    pub fn open(interface: &str) -> io::Result<Self> {
        let link = link(interface)?;
        let mac = MacAddress(link.addr().unwrap_or_default());
        let arp = socket2::Socket::new(Domain::PACKET, Type::RAW, Some(i32::from(ARP.to_be()).into()))?;
        bind(arp.as_raw_fd(), &link)?;
        let echo = socket2::Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::ICMPV4))?;
        let tokio = |socket: socket2::Socket| {
            socket.set_nonblocking(true)?;
            UdpSocket::from_std(socket.into()).map(Arc::new)
        };
        let (arp, echo) = (tokio(arp)?, tokio(echo)?);
        let waiting = Arc::new(Waiting::default());
        let mut hearing = JoinSet::new();
        hearing.spawn(hear(arp.clone(), waiting.clone(), has_address));
        hearing.spawn(hear(echo.clone(), waiting.clone(), |packet| Some((echoed(packet)?, Found::Beyond))));
        Ok(Self { mac, arp, echo, waiting, _hearing: hearing })
    }

    /// Looks for an address, on the interface's own network or behind a relay. Takes a tenth of a second where nobody has it, behind a relay
    /// a quarter.
    pub async fn look_for(&self, address: Ipv4Addr, relayed: bool) -> Found {
        let (tell, mut told) = oneshot::channel();
        self.waiting.lock().entry(address).or_default().push(tell);
        for _ in 0..QUESTIONS {
            let (asked, patience) = if relayed {
                (self.echo.send_to(&echo(), (IpAddr::V4(address), 0)).await, FAR)
            } else {
                (self.arp.send(&question(self.mac, address)).await, NEAR)
            };
            if let Err(error) = asked {
                tracing::debug!(%address, %error, "asking who has an address");
            }
            if let Ok(Ok(found)) = timeout(patience, &mut told).await {
                return found;
            }
        }
        drop(told);
        let mut waiting = self.waiting.lock();
        if let Some(others) = waiting.get_mut(&address) {
            others.retain(|other| !other.is_closed());
            if others.is_empty() {
                waiting.remove(&address);
            }
        }
        Found::Nobody
    }
}

/// An interface as packet sockets name it.
fn link(interface: &str) -> io::Result<LinkAddr> {
    getifaddrs()?
        .filter(|one| one.interface_name == interface)
        .find_map(|one| one.address?.as_link_addr().copied())
        .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "there is no such interface"))
}

/// Tells those who wait who was heard, until the socket fails.
async fn hear(
    socket: Arc<UdpSocket>,
    waiting: Arc<Waiting>,
    read: impl Fn(&[u8]) -> Option<(Ipv4Addr, Found)>,
) {
    let mut buffer = [0; 128];
    loop {
        let length = match socket.recv(&mut buffer).await {
            Ok(length) => length,
            Err(error) => {
                // The interface is down for a moment; without answers addresses are offered all the same.
                tracing::debug!(%error, "hearing who has addresses");
                tokio::time::sleep(Duration::from_secs(1)).await;
                continue;
            }
        };
        let Some((address, found)) = read(&buffer[..length]) else { continue };
        for one in waiting.lock().remove(&address).into_iter().flatten() {
            // Who was told before waits no more.
            let _ = one.send(found);
        }
    }
}

/// "Who has this address?", from nobody's own address, so that no table of neighbours changes: an ARP probe.
fn question(mac: MacAddress, address: Ipv4Addr) -> [u8; ARP_LENGTH] {
    let mut frame = [0; ARP_LENGTH];
    frame[..6].fill(0xff);
    frame[6..12].copy_from_slice(&mac.0);
    frame[12..14].copy_from_slice(&ARP.to_be_bytes());
    // Ethernet, IPv4, their lengths, a request.
    frame[14..22].copy_from_slice(&[0, 1, 8, 0, 6, 4, 0, 1]);
    frame[22..28].copy_from_slice(&mac.0);
    frame[38..].copy_from_slice(&address.octets());
    frame
}

/// Who has which address, from what they say by ARP: an answer as well as a question of their own.
pub fn has_address(frame: &[u8]) -> Option<(Ipv4Addr, Found)> {
    let arp: &[u8; ARP_LENGTH] = frame.get(..ARP_LENGTH)?.try_into().ok()?;
    if arp[12..14] != ARP.to_be_bytes() || arp[14..20] != [0, 1, 8, 0, 6, 4] {
        return None;
    }
    let address = Ipv4Addr::new(arp[28], arp[29], arp[30], arp[31]);
    let mac = MacAddress([arp[22], arp[23], arp[24], arp[25], arp[26], arp[27]]);
    (!address.is_unspecified()).then_some((address, Found::Machine(mac)))
}

/// An ICMP echo request (RFC 792) without content, and its checksum.
fn echo() -> [u8; 8] {
    [8, 0, 0xf7, 0xff, 0, 0, 0, 0]
}

/// Who sent an ICMP echo reply, from the packet with its IP header.
pub fn echoed(packet: &[u8]) -> Option<Ipv4Addr> {
    let header = 4 * usize::from(packet.first()? & 15);
    let source: [u8; 4] = packet.get(12..16)?.try_into().ok()?;
    (header >= 20 && packet.get(header..header + 2)? == [0, 0]).then(|| source.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: MacAddress = MacAddress([0x52, 0x54, 0, 0, 0, 1]);
    const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 50);

    #[test]
    fn arp() {
        let check = |frame: &[u8], expected| assert_eq!(has_address(frame), expected, "{frame:?}");
        // A probe says nothing of who asks.
        let mut frame = question(MAC, ADDRESS);
        check(&frame, None);
        frame[28..32].copy_from_slice(&ADDRESS.octets());
        let found = Some((ADDRESS, Found::Machine(MAC)));
        check(&frame, found);
        frame[21] = 2;
        check(&frame, found);
        // Ethernet pads short frames.
        check(&[&frame[..], &[0; 18]].concat(), found);
        check(&frame[..ARP_LENGTH - 1], None);
        frame[19] = 16;
        check(&frame, None);
        check(&[], None);
    }

    #[test]
    fn echoes() {
        // The checksum makes the sum of all words come out as ones (RFC 1071).
        let sum: u32 = echo().chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1])).sum();
        assert_eq!(sum, 0xffff);
        let header = [&[0x45][..], &[0; 11], &ADDRESS.octets(), &[10, 9, 0, 1]].concat();
        let check = |packet: &[u8], expected| assert_eq!(echoed(packet), expected, "{packet:?}");
        check(&[&header[..], &[0; 8]].concat(), Some(ADDRESS));
        check(&[&header[..], &echo()].concat(), None);
        check(&[&header[..], &[3, 1, 0, 0]].concat(), None);
        check(&header, None);
        check(&[0x41; 40], None);
        check(&[], None);
    }
}
