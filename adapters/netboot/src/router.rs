//! IPv6 router solicitations (RFC 4861 section 6.1.1), answered with "no router here".
//!
//! iPXE configures IPv6 before it goes on, and waits 16 seconds for a router where none answers: at every start, so often twice in a
//! boot. An advertisement with a router lifetime of 0 ends the wait, and gives nobody a route.

use lab_object::mac::MacAddress;
use socket2::{Domain, Protocol, Type};
use std::fs;
use std::io;
use std::net::{Ipv6Addr, SocketAddrV6};
use tokio::net::UdpSocket;

/// ICMPv6 types (RFC 4861 sections 4.1 and 4.2).
const SOLICITATION: u8 = 133;
const ADVERTISEMENT: u8 = 134;
/// Who listens as a router, and everybody.
const ALL_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2);
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
/// What everybody drops whose hop limit is less: it may have come from another link.
const HOPS: u32 = 255;

/// A socket on one interface that hears router solicitations.
#[derive(Debug)]
pub struct Solicitations {
    /// A raw socket. It sends and receives as one of UDP does, but for ports.
    socket: UdpSocket,
    everybody: SocketAddrV6,
}

impl Solicitations {
    /// Opens a socket on an interface; nothing where this machine is a router there: what it is asked then is none of ours, and
    /// saying otherwise would take everybody's route. Needs `CAP_NET_RAW` and an IPv6 address on the interface.
    pub fn open(interface: &str) -> io::Result<Option<Self>> {
        let forwards = fs::read_to_string(format!("/proc/sys/net/ipv6/conf/{interface}/forwarding"))?;
        if forwards.trim() != "0" {
            return Ok(None);
        }
        let socket = socket2::Socket::new(Domain::IPV6, Type::RAW, Some(Protocol::ICMPV6))?;
        // Asked of the kernel: /sys may show another network namespace.
        let index = rustix::net::netdevice::name_to_index(&socket, interface)?;
        socket.bind_device(Some(interface.as_bytes()))?;
        socket.join_multicast_v6(&ALL_ROUTERS, index)?;
        socket.set_multicast_if_v6(index)?;
        socket.set_multicast_hops_v6(HOPS)?;
        socket.set_multicast_loop_v6(false)?;
        socket.set_nonblocking(true)?;
        let everybody = SocketAddrV6::new(ALL_NODES, 0, 0, index);
        Ok(Some(Self { socket: UdpSocket::from_std(socket.into())?, everybody }))
    }

    /// Answers, and tells who asked, until the socket fails for good.
    pub async fn answer(&self, heard: impl Fn(MacAddress)) -> io::Result<()> {
        let mut buffer = [0; 1500];
        loop {
            let (length, _) = self.socket.recv_from(&mut buffer).await?;
            let Some(sender) = solicitation(&buffer[..length]) else { continue };
            sender.into_iter().for_each(&heard);
            if let Err(error) = self.socket.send_to(&no_router(), self.everybody).await {
                // The interface has no address at this moment; who asks, asks again.
                tracing::debug!(%error, "a router solicitation is not answered");
            }
        }
    }
}

/// Who solicits a router, where it says so; nothing for any other message.
pub fn solicitation(message: &[u8]) -> Option<Option<MacAddress>> {
    let [SOLICITATION, 0, _, _, _, _, _, _, options @ ..] = message else { return None };
    Some(source(options))
}

/// The source link-layer address option (type 1): its length in eights of bytes, and the address.
fn source(mut options: &[u8]) -> Option<MacAddress> {
    while let [kind, eights, ..] = options {
        let length = 8 * usize::from(*eights);
        if length == 0 {
            return None;
        }
        let option = options.get(..length)?;
        if *kind == 1 {
            return option.get(2..8).and_then(|bytes| bytes.try_into().ok()).map(MacAddress);
        }
        options = &options[length..];
    }
    None
}

/// An advertisement: hop limit unspecified, no flags, a lifetime of 0. The kernel fills the checksum in.
fn no_router() -> [u8; 16] {
    let mut message = [0; 16];
    message[0] = ADVERTISEMENT;
    message
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn who_asks() {
        let check = |bytes: &[u8], expected| assert_eq!(solicitation(bytes), expected, "{bytes:?}");
        let head = [133, 0, 0xab, 0xcd, 0, 0, 0, 0];
        let mac = MacAddress([0x52, 0x54, 0, 0, 0, 1]);
        check(&head, Some(None));
        check(&[&head[..], &[1, 1, 0x52, 0x54, 0, 0, 0, 1]].concat(), Some(Some(mac)));
        check(
            &[&head[..], &[14, 1, 0, 0, 0, 0, 0, 0, 1, 1, 0x52, 0x54, 0, 0, 0, 1]].concat(),
            Some(Some(mac)),
        );
        check(&[&head[..], &[1, 0, 0x52]].concat(), Some(None));
        check(&[&head[..], &[1, 2, 0x52]].concat(), Some(None));
        check(&[134, 0, 0, 0, 0, 0, 0, 0], None);
        check(&head[..7], None);
        check(&[], None);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let _ = solicitation(&[&[133, 0, 0, 0, 0, 0, 0, 0], &bytes[..]].concat());
        }
    }
}
