//! DHCP for IPv4 (RFC 2131) as booting machines speak it.
//!
//! [`packet`] reads requests and writes answers, [`socket`] moves them, [`neighbours`] looks whether an address is in use,
//! [`mod@listen`] ties these to whoever decides.

pub mod client;
pub mod listen;
pub mod neighbours;
pub mod packet;
mod route;
pub mod socket;

pub use listen::{Answerer, Received, listen};
pub use neighbours::{Found, Neighbours};
pub use packet::{Malformed, Options, Packet, Reply, TooLarge};
pub use route::{Destination, destination};
pub use socket::Socket;
