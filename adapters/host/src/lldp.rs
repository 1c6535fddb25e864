//! What is at the other end of each cable, as that says by itself (IEEE 802.1AB): switches tell it every half minute.

mod frame;

pub use frame::{Malformed, Said, parse};

use nix::sys::socket::{LinkAddr, recvfrom};
use socket2::{Domain, Protocol, Socket, Type};
use std::{io, os::fd::AsRawFd};

/// The EtherType of these frames.
const LLDP: u16 = 0x88cc;
/// The longest Ethernet frame that is read, in bytes; these are sent to fit the smallest MTU.
const LONGEST: usize = 1600;

/// Hears neighbours on all interfaces.
#[derive(Debug)]
pub struct Listener {
    socket: Socket,
}

impl Listener {
    /// Begins to listen. An interface hears its neighbours once it is up and takes multicast
    /// ([`crate::network::hear_multicast`]).
    ///
    /// # Errors
    /// The kernel has no packet sockets, or this process may not have one (`CAP_NET_RAW`).
    pub fn new() -> io::Result<Self> {
        // The kernel wants the number as it stands in the frame (packet(7)).
        let frames = Protocol::from(i32::from(LLDP.to_be()));
        Ok(Self { socket: Socket::new(Domain::PACKET, Type::DGRAM, Some(frames))? })
    }

    /// Waits for the next neighbour that says something that can be understood: the name of the interface, and what is said.
    ///
    /// # Errors
    /// The socket fails.
    pub fn next(&self) -> io::Result<(String, Said)> {
        let mut bytes = [0; LONGEST];
        loop {
            let (length, from) = match recvfrom::<LinkAddr>(self.socket.as_raw_fd(), &mut bytes) {
                Err(nix::Error::EINTR) => continue,
                // Told once when an interface goes down; the others are heard all the same.
                Err(nix::Error::ENETDOWN) => continue,
                other => other?,
            };
            let index = from.and_then(|address| u32::try_from(address.ifindex()).ok()).unwrap_or_default();
            let Ok(name) = nix::net::if_::if_indextoname(index) else { continue };
            match parse(&bytes[..length]) {
                Ok(said) => return Ok((name.to_string_lossy().into_owned(), said)),
                Err(error) => tracing::debug!(interface = ?name, %error, "LLDP"),
            }
        }
    }
}
