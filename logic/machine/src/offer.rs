//! What DHCP tells a client: in which form the boot server is named, and which file.
//!
//! Every choice here was measured or is named with its reason. What firmware does with an answer that is slightly wrong is
//! to wait a minute and boot from disk, without a word.

mod file;
mod form;

pub use form::{Form, offer};

use std::{collections::BTreeSet, net::Ipv4Addr};

/// The boot server as machines reach it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// Its address on the client's network.
    pub address: Ipv4Addr,
    /// The TCP port of its HTTP server.
    pub http_port: u16,
    /// Paths of the [programs](crate::program::PROGRAMS) it holds. No machine is sent for one that is not there.
    pub programs: BTreeSet<&'static str>,
}

impl Site {
    /// The absolute URL of a path on the boot server, with the address and not a name, as firmware may have no DNS server. It has
    /// no double slash, which some servers and firmware trip over.
    pub fn url(&self, path: &str) -> String {
        let path = path.trim_start_matches('/');
        match self.http_port {
            80 => format!("http://{}/{path}", self.address),
            port => format!("http://{}:{port}/{path}", self.address),
        }
    }
}

/// What is answered to a client, besides its address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// The form that was chosen.
    pub form: Form,
    /// Whether the answer gives an address out.
    pub assigns: bool,
    /// For how long, in seconds.
    pub lease_seconds: Option<u32>,
    /// Option 60.
    pub vendor_class: Option<&'static str>,
    /// Option 43.
    pub vendor_options: Option<&'static [u8]>,
    /// Option 175.
    pub ipxe_options: Option<&'static [u8]>,
    /// The boot file, for the header and option 67.
    pub file: Option<String>,
    /// The server of the boot file, for the header (siaddr) and option 66.
    pub next_server: Option<Ipv4Addr>,
    /// Whether option 97 is sent back as it came.
    pub echo_machine_id: bool,
    /// Why it is this one, for the machine's timeline.
    pub why: String,
}

/// The request is not answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoAnswer {
    /// Why, for the machine's timeline.
    pub why: String,
}

impl NoAnswer {
    fn new(why: impl Into<String>) -> Self {
        Self { why: why.into() }
    }
}
