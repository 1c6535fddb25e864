//! The sockets DHCP is spoken over: one per interface and port.

use super::Destination;
use socket2::{Domain, Protocol, Type};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use tokio::net::UdpSocket;

/// A socket on one interface.
#[derive(Debug)]
pub struct Socket {
    socket: UdpSocket,
    port: u16,
}

impl Socket {
    /// Opens a socket on an interface: port 67 for requests, 4011 for PXE's second question, 68 to overhear other servers. Needs
    /// `CAP_NET_BIND_SERVICE`. Port 0 takes any free one. Several may be open on one port, on different interfaces.
    pub fn open(interface: &str, port: u16) -> io::Result<Self> {
        let socket = socket2::Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_reuse_address(true)?;
        socket.set_broadcast(true)?;
        // Answers go out where the question came in, also without a route.
        socket.bind_device(Some(interface.as_bytes()))?;
        // A storm of machines that are switched on together waits here.
        socket.set_recv_buffer_size(4 << 20)?;
        socket.set_nonblocking(true)?;
        socket.bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)).into())?;
        let socket = UdpSocket::from_std(socket.into())?;
        Ok(Self { port: socket.local_addr()?.port(), socket })
    }

    /// The port it is open on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Waits for a packet. One from an IPv6 address cannot come in here.
    pub async fn receive(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddrV4)> {
        loop {
            if let (length, SocketAddr::V4(sender)) = self.socket.recv_from(buffer).await? {
                return Ok((length, sender));
            }
        }
    }

    /// Sends an answer.
    pub async fn send(&self, bytes: &[u8], to: Destination) -> io::Result<()> {
        let address = match to {
            Destination::Unicast(address) => address,
            Destination::Broadcast => SocketAddrV4::new(Ipv4Addr::BROADCAST, 68),
        };
        self.socket.send_to(bytes, address).await.map(drop)
    }
}
