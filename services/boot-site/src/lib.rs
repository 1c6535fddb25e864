//! The bastion's engine: what machines ask over the wire is decided by `lab-machine` and carried out by `lab-netboot`.
//!
//! [`Site`] holds what is known (servers, networks, operating systems, leases, timelines) and answers from it. It keeps
//! answering from what it had when nothing new comes in. [`start`] connects it: informers feed it, sockets are opened on the
//! networks that are to be served, and what it sees is reported and stored.

mod agent;
mod answers;
mod cache;
mod dhcp;
mod feed;
mod figures;
mod files;
mod follow;
mod keep;
mod knowledge;
mod log;
mod machine;
mod programs;
mod progress;
pub mod rehearse;
mod report;
mod running;
mod wire;

pub use agent::{Labd, Place};
pub use figures::SiteFigures;
pub use keep::KeepError;
pub use knowledge::Knowledge;
pub use machine::{LINES, Machine};
pub use running::{Health, Options, Running, start};
pub use wire::Ports;

use figures::Figures;
use lab_machine::offer::Site as Address;
use parking_lot::{Mutex, RwLock};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use tokio::sync::Notify;

/// What a site is configured with.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The TCP port of its HTTP server.
    pub http_port: u16,
    /// The folder with the files it serves: boot programs at its top, `systems/` and `artefacts/` in it. Boot programs that are not
    /// there are looked for where Debian's packages put them. Agents that distributions' installers leave in what they install lie in it
    /// as well ([`lab_install::agent::served_at`]).
    pub folder: PathBuf,
    /// Where agents of installed machines find labd; without it they get none.
    pub labd: Option<Labd>,
}

/// The clock and tokens, which are handed in so that a run can be replayed.
pub trait Surroundings: Send + Sync {
    /// The time.
    fn now(&self) -> jiff::Timestamp;
    /// A token that was never given out before, of 128 random bits or more, in characters that URLs keep.
    fn token(&self) -> String;
}

/// This machine's clock, and tokens of the system's randomness.
#[derive(Debug, Clone, Copy)]
pub struct System;

impl Surroundings for System {
    fn now(&self) -> jiff::Timestamp {
        jiff::Timestamp::now()
    }

    fn token(&self) -> String {
        // A generator made for secrets, seeded by the system.
        rand::random::<[u8; 20]>().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// A site's boot server.
pub struct Site {
    settings: Settings,
    surroundings: Arc<dyn Surroundings>,
    /// The site's address on each interface's network, and that network's prefix length.
    addresses: RwLock<BTreeMap<String, (Ipv4Addr, u8)>>,
    knowledge: Arc<Mutex<Knowledge>>,
    /// Where leases are stored; nowhere in tests of other things.
    leases: Arc<Mutex<Option<keep::LeaseFile>>>,
    /// Where artefacts are kept; nowhere in tests of other things.
    cache: OnceLock<Arc<cache::Cache>>,
    executables: agent::Executables,
    figures: Figures,
    /// Networks, the Bastion or interfaces may have changed.
    changed: Notify,
}

impl Site {
    /// A site that knows nothing yet and is on no network.
    pub fn new(settings: Settings, surroundings: Arc<dyn Surroundings>) -> Self {
        Self {
            settings,
            surroundings,
            addresses: RwLock::default(),
            knowledge: Arc::default(),
            leases: Arc::default(),
            cache: OnceLock::new(),
            executables: agent::Executables::default(),
            figures: Figures::default(),
            changed: Notify::new(),
        }
    }

    /// Where artefacts are fetched to, for whoever does not [`start`] the site.
    pub fn keep_artefacts(&self, folder: &std::path::Path) -> Result<(), KeepError> {
        // Said once, it stays.
        let _ = self.cache.set(Arc::new(cache::Cache::open(folder)?));
        Ok(())
    }

    /// Looks at what is known, or changes it. Answers wait meanwhile.
    pub fn with<T>(&self, look: impl FnOnce(&mut Knowledge) -> T) -> T {
        look(&mut self.knowledge.lock())
    }

    /// Says which interfaces are served on, with the site's address there and the prefix length of its network.
    pub fn serve_on(&self, addresses: BTreeMap<String, (Ipv4Addr, u8)>) {
        *self.addresses.write() = addresses;
    }

    /// The site's own addresses, which nobody else gets.
    pub(crate) fn addresses(&self) -> Vec<Ipv4Addr> {
        self.addresses.read().values().map(|(address, _)| *address).collect()
    }

    /// Our address on the network that a peer is on; behind a router or relay, any of ours.
    fn facing(&self, peer: IpAddr) -> Ipv4Addr {
        let addresses = self.addresses.read();
        let near = addresses.values().find(|(address, prefix)| {
            let IpAddr::V4(peer) = peer.to_canonical() else { return false };
            let mask = u32::MAX.checked_shl(32 - u32::from(*prefix)).unwrap_or(0);
            peer.to_bits() & mask == address.to_bits() & mask
        });
        near.or_else(|| addresses.values().next()).map_or(Ipv4Addr::LOCALHOST, |(address, _)| *address)
    }

    /// The site as the machines of an interface reach it, with the boot programs that are there now.
    fn address(&self, ip: Ipv4Addr) -> Address {
        let held = |path: &&str| programs::find(&self.settings.folder, path).is_some();
        let programs =
            lab_machine::program::PROGRAMS.iter().map(|program| program.path).filter(held).collect();
        Address { address: ip, http_port: self.settings.http_port, programs }
    }
}
