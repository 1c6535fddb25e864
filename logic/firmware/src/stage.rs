//! How files are fetched, and where a machine stands in its boot.

use crate::dhcp::{Answer, Speaker};
use crate::ipxe::Script;
use std::net::Ipv4Addr;

/// A file that is fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetch {
    /// From whom, and how.
    pub way: Way,
    /// Its path on the server, as it is asked for.
    pub path: String,
    /// Whether it is done without where there is none.
    pub optional: bool,
}

/// How a file is fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// By TFTP.
    Tftp {
        /// The server.
        server: Ipv4Addr,
        /// The block size that is asked for, in bytes.
        block: u16,
        /// The blocks at a time that are asked for.
        window: Option<u16>,
        /// Whether the file's size is asked for.
        size: bool,
        /// Whether a first request is broken off once it has said the size, as EDK2 does.
        twice: bool,
    },
    /// By HTTP.
    Http {
        /// The server.
        server: Ipv4Addr,
        /// Its port.
        port: u16,
        /// Whether its size is asked for before, by HEAD on the same connection.
        head: bool,
    },
}

impl Way {
    /// The server.
    pub fn server(self) -> Ipv4Addr {
        match self {
            Self::Tftp { server, .. } | Self::Http { server, .. } => server,
        }
    }

    /// As firmware fetches by TFTP.
    pub(crate) fn firmware(speaker: Speaker, server: Ipv4Addr) -> Self {
        match speaker {
            Speaker::Uefi | Speaker::UefiHttp => {
                Self::Tftp { server, block: 1468, window: Some(4), size: true, twice: true }
            }
            Speaker::BiosPxe => Self::Tftp { server, block: 1456, window: None, size: true, twice: false },
            _ => Self::Tftp { server, block: 1432, window: None, size: true, twice: false },
        }
    }

    /// As shim fetches from where it came from.
    pub(crate) fn shim(self) -> Self {
        match self {
            Self::Tftp { server, .. } => {
                Self::Tftp { server, block: 512, window: Some(4), size: false, twice: false }
            }
            http => http,
        }
    }

    /// As GRUB fetches from where it came from.
    pub(crate) fn grub(self) -> Self {
        match self {
            Self::Tftp { server, .. } => {
                Self::Tftp { server, block: 1024, window: None, size: true, twice: false }
            }
            Self::Http { server, port, .. } => Self::Http { server, port, head: false },
        }
    }
}

/// A URL's server, port and path; nothing for a host that is a name, as firmware may have nobody to ask for it.
pub(crate) fn url(text: &str, head: bool, speaker: Speaker) -> Option<Fetch> {
    let fetch = |way, path: &str| Some(Fetch { way, path: path.into(), optional: false });
    if let Some(rest) = text.strip_prefix("http://") {
        let (host, path) = rest.split_once('/')?;
        let (host, port) = host.split_once(':').unwrap_or((host, "80"));
        return fetch(Way::Http { server: host.parse().ok()?, port: port.parse().ok()?, head }, path);
    }
    let (host, path) = text.strip_prefix("tftp://")?.split_once('/')?;
    fetch(Way::firmware(speaker, host.parse().ok()?), path)
}

/// A kernel and what goes with it, as GRUB's configuration names them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct System {
    pub kernel: String,
    pub arguments: Vec<String>,
    pub initrds: Vec<String>,
}

/// Where a machine stands.
#[derive(Debug, Clone)]
pub(crate) enum Stage {
    /// It starts, and will look for offers.
    Starting(Speaker),
    /// It looks for offers.
    Offers { speaker: Speaker, attempt: usize, heard: Vec<Answer> },
    /// It asks for the address it was offered. `proxy` is the proxy's offer that goes with it.
    Asked { speaker: Speaker, attempt: usize, offer: Answer, proxy: Option<Answer> },
    /// It asks the boot server for its file.
    Second { speaker: Speaker, attempt: usize, server: Ipv4Addr },
    /// It fetches a boot program.
    Program { speaker: Speaker, fetch: Fetch },
    /// shim looks for what may be beside it; the last file is GRUB.
    Shim { way: Way, folder: String, at: usize },
    /// GRUB asks for its lists.
    GrubLists { way: Way, at: usize },
    /// GRUB reads a configuration.
    GrubConfiguration { way: Way, depth: usize },
    /// GRUB fetches a kernel and what goes with it.
    GrubKernel { way: Way, system: System, at: usize },
    /// iPXE fetches its first script.
    FirstScript(Speaker),
    /// iPXE's script runs, and waits for a file or a time.
    Script { speaker: Speaker, script: Box<Script>, wants: Waits },
    /// It is over.
    Over,
}

/// What a script waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Waits {
    Nothing,
    /// A file; the kernel, another script, or one that is only kept.
    Kernel,
    Chained,
    Other,
}
