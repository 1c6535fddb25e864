//! The bastion's engine: what machines ask over the wire is decided by `lab-machine` and carried out by `lab-netboot`.
//!
//! [`Site`] holds what is known (servers, networks, operating systems, leases, timelines) and answers from it. It keeps
//! answering from what it had when nothing new comes in. Whoever starts it hands in clock and tokens.

mod dhcp;
mod files;
mod knowledge;
mod log;

pub use knowledge::{Knowledge, Machine};
pub use log::Line;

use lab_machine::offer::Site as Address;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;

/// What a site is configured with.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The site's address on each interface's network.
    pub addresses: BTreeMap<String, Ipv4Addr>,
    /// The TCP port of its HTTP server.
    pub http_port: u16,
    /// The folder with the files it serves: boot programs at its top, `systems/` and `artefacts/` in it.
    pub folder: PathBuf,
}

/// The clock and tokens, which are handed in so that a run can be replayed.
pub trait Surroundings: Send + Sync {
    /// The time.
    fn now(&self) -> jiff::Timestamp;
    /// A token that was never given out before, of 128 random bits or more, in characters that URLs keep.
    fn token(&self) -> String;
}

/// A site's boot server.
pub struct Site {
    settings: Settings,
    surroundings: Arc<dyn Surroundings>,
    knowledge: Mutex<Knowledge>,
}

impl Site {
    /// A site that knows nothing yet.
    pub fn new(settings: Settings, surroundings: Arc<dyn Surroundings>) -> Self {
        Self { settings, surroundings, knowledge: Mutex::new(Knowledge::default()) }
    }

    /// Looks at what is known, or changes it. Answers wait meanwhile.
    pub fn with<T>(&self, look: impl FnOnce(&mut Knowledge) -> T) -> T {
        look(&mut self.knowledge.lock())
    }

    /// The site as the machines of an interface reach it, with the boot programs that are in its folder now.
    fn address(&self, ip: Ipv4Addr) -> Address {
        let held = |path: &&str| self.settings.folder.join(path).is_file();
        let programs =
            lab_machine::program::PROGRAMS.iter().map(|program| program.path).filter(held).collect();
        Address { address: ip, http_port: self.settings.http_port, programs }
    }
}
