//! What a site knows.

use crate::log::Line;
use jiff::Timestamp;
use lab_kinds::metal::{Network, OperatingSystem, Server};
use lab_machine::client::Platform;
use lab_machine::lease::{Leases, Pool};
use lab_machine::recognise::{Index, Recognition};
use lab_machine::timeline::{Event, Timeline};
use lab_object::mac::MacAddress;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::Ipv4Addr;

/// How many entries a machine's timeline keeps.
const ENTRIES: usize = 500;
/// How many machines are kept that are no Servers. Made-up hardware addresses push out the one that was heard longest ago.
const MACHINES: usize = 20_000;

/// What a site knows of the machines on it.
#[derive(Debug, Default)]
pub struct Knowledge {
    servers: BTreeMap<String, Server>,
    index: Index,
    networks: BTreeMap<String, Network>,
    operating_systems: BTreeMap<String, OperatingSystem>,
    pools: HashMap<String, Pool>,
    /// Leases by the names of their networks; stored and read back by whoever starts the site.
    pub leases: BTreeMap<String, Leases>,
    machines: HashMap<MacAddress, Machine>,
    /// Addresses that booting machines took from other servers.
    taken: HashMap<Ipv4Addr, MacAddress>,
}

/// A machine that was heard.
#[derive(Debug, Clone)]
pub struct Machine {
    /// Its UUID, where its firmware said one.
    pub uuid: Option<String>,
    /// What its firmware is.
    pub platform: Option<Platform>,
    /// The token of its newest boot, and the Server it was for.
    pub token: Option<(String, String)>,
    /// What happened to it.
    pub timeline: Timeline,
    /// Its newest log lines.
    pub(crate) lines: VecDeque<Line>,
}

impl Knowledge {
    /// Takes a Server in.
    pub fn put_server(&mut self, server: Server) {
        self.index.put(&server);
        self.pools.clear();
        self.servers.extend(server.metadata.name.clone().map(|name| (name, server)));
    }

    /// Forgets a Server.
    pub fn remove_server(&mut self, name: &str) {
        self.index.remove(name);
        self.pools.clear();
        self.servers.remove(name);
    }

    /// Takes a Network in.
    pub fn put_network(&mut self, network: Network) {
        self.pools.clear();
        self.networks.extend(network.metadata.name.clone().map(|name| (name, network)));
    }

    /// Forgets a Network. Its leases stay, as it may come back.
    pub fn remove_network(&mut self, name: &str) {
        self.pools.clear();
        self.networks.remove(name);
    }

    /// Takes an OperatingSystem in.
    pub fn put_operating_system(&mut self, os: OperatingSystem) {
        self.operating_systems.extend(os.metadata.name.clone().map(|name| (name, os)));
    }

    /// Forgets an OperatingSystem.
    pub fn remove_operating_system(&mut self, name: &str) {
        self.operating_systems.remove(name);
    }

    /// A machine that was heard.
    pub fn machine(&self, mac: MacAddress) -> Option<&Machine> {
        self.machines.get(&mac)
    }

    pub(crate) fn heard(&mut self, mac: MacAddress) -> Option<&mut Machine> {
        self.machines.get_mut(&mac)
    }

    /// Notes what happened to a machine.
    pub fn record(&mut self, mac: MacAddress, now: Timestamp, event: Event) -> &mut Machine {
        if self.machines.len() >= MACHINES && !self.machines.contains_key(&mac) {
            let oldest =
                self.machines.iter().min_by_key(|(_, machine)| machine.timeline.last()).map(|(mac, _)| *mac);
            oldest.map(|mac| self.machines.remove(&mac));
        }
        let machine = self.machines.entry(mac).or_insert_with(|| Machine {
            uuid: None,
            platform: None,
            token: None,
            timeline: Timeline::new(ENTRIES),
            lines: VecDeque::new(),
        });
        machine.timeline.record(now, event);
        machine
    }

    /// Which Server a machine is, and that Server.
    pub(crate) fn recognise(&self, mac: MacAddress, uuid: Option<&str>) -> (Recognition, Option<&Server>) {
        let recognition = self.index.find(mac, uuid);
        let server = recognition.server().and_then(|name| self.servers.get(name));
        (recognition, server)
    }

    /// What is to be installed on a Server.
    pub(crate) fn operating_system(&self, server: Option<&Server>) -> Option<&OperatingSystem> {
        self.operating_systems.get(&server?.spec.install.as_ref()?.operating_system)
    }

    /// The network a request came from.
    pub(crate) fn network(&self, relay: Option<Ipv4Addr>, interface: Ipv4Addr) -> Option<&Network> {
        lab_machine::lease::network_of(self.networks.values(), relay, Some(interface))
    }

    /// A network's addresses and leases.
    pub(crate) fn addresses(&mut self, network: &Network, own: &[Ipv4Addr]) -> (&Pool, &mut Leases) {
        let name = network.metadata.name.clone().unwrap_or_default();
        let servers = &self.servers;
        let pool = self
            .pools
            .entry(name.clone())
            .or_insert_with(|| Pool::new(&name, &network.spec, servers.values(), own));
        (pool, self.leases.entry(name).or_default())
    }

    /// A machine said which address it takes or has, as it does also to other servers.
    pub(crate) fn took(&mut self, address: Ipv4Addr, mac: MacAddress) {
        // Somebody makes them up; what is true is said again at the next boot.
        if self.taken.len() >= MACHINES {
            self.taken.clear();
        }
        self.taken.insert(address, mac);
    }

    /// The machine that has an address, or had it last.
    pub(crate) fn by_address(&self, address: Ipv4Addr) -> Option<MacAddress> {
        let leased = self.leases.values().find_map(|leases| leases.last_holder(address));
        leased.or_else(|| self.taken.get(&address).copied())
    }
}
