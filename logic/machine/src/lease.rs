//! Which address a client gets: a table of leases as plain data, changed by pure functions of request and time.
//!
//! Clients are told apart by hardware address alone. Firmware, iPXE, installer and installed system send different client
//! identifiers (option 61) for one NIC, and would use up an address each.

mod pool;
mod table;

pub use pool::{Pool, network_of};
pub use table::{Figures, Lease, Leases, State, UnknownVersion};

use std::net::Ipv4Addr;

/// No address can be given out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoAddress {
    /// The network has neither ranges nor an address for this machine.
    #[error("the network has no DHCP ranges, and no address is kept for this machine")]
    NoRanges,
    /// Every address is taken.
    #[error("every address of the network's DHCP ranges is taken")]
    Exhausted,
    /// The one address kept for the machine is in use by another one.
    #[error("the address {address} that is kept for this machine is in use by another one")]
    InConflict {
        /// The address.
        address: Ipv4Addr,
    },
}

/// What becomes of a request for an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The client has it.
    Ack(Ipv4Addr),
    /// The client must not have it and starts anew.
    Nak {
        /// Why, for the client's log and the machine's timeline.
        why: String,
    },
}
