//! DHCP for IPv4 (RFC 2131) as booting machines speak it.
//!
//! [`packet`] reads requests and writes answers, [`socket`] moves them, [`mod@listen`] ties the two to whoever decides.

pub mod client;
pub mod listen;
pub mod packet;
mod route;
pub mod socket;

pub use listen::{Answerer, Received, listen};
pub use packet::{Malformed, Options, Packet, Reply, TooLarge};
pub use route::{Destination, destination};
pub use socket::Socket;
