//! What a site knows.

use crate::machine::Machine;
use jiff::Timestamp;
use lab_kinds::metal::server::BootOnce;
use lab_kinds::metal::{Bastion, Network, OperatingSystem, Server};
use lab_machine::lease::{Figures, Leases, Pool};
use lab_machine::recognise::{Index, Recognition};
use lab_machine::timeline::Event;
use lab_object::mac::MacAddress;
use lab_wire::log::Line;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::Ipv4Addr;

/// How many machines are kept. Made-up hardware addresses push out those that were heard longest ago.
const MACHINES: usize = 20_000;
/// How many go at a time.
const FORGOTTEN: usize = MACHINES / 20;
/// How many servers of others are remembered of a network.
const FOREIGN: usize = 16;

/// What a site knows of the machines on it.
#[derive(Debug, Default)]
pub struct Knowledge {
    pub(crate) servers: BTreeMap<String, Server>,
    index: Index,
    pub(crate) networks: BTreeMap<String, Network>,
    pub(crate) operating_systems: BTreeMap<String, OperatingSystem>,
    pub(crate) bastion: Option<Bastion>,
    pools: HashMap<String, Pool>,
    /// Leases by the names of their networks.
    pub leases: BTreeMap<String, Leases>,
    pub(crate) machines: HashMap<MacAddress, Machine>,
    /// The machines whose newest boots have these tokens.
    pub(crate) tokens: HashMap<String, MacAddress>,
    /// Addresses that booting machines took from other servers.
    taken: HashMap<Ipv4Addr, MacAddress>,
    /// Other DHCP servers, by the networks they were heard on.
    foreign: BTreeMap<String, BTreeSet<Ipv4Addr>>,
    /// One-shot answers that were served and still stand in their Servers.
    pub(crate) served: BTreeMap<String, ServedOnce>,
    /// Machines of which something is to be reported.
    pub(crate) unreported: BTreeSet<MacAddress>,
    /// Machines of which something is to be stored.
    pub(crate) unsaved: BTreeSet<MacAddress>,
    /// Machines that have lines labd is to be handed.
    pub(crate) unfed: BTreeSet<MacAddress>,
    /// Machines that were pushed out, and whose files are to go.
    pub(crate) forgotten: Vec<MacAddress>,
    /// Counts changes of the objects, so that a copy is written only of new ones.
    pub(crate) revision: u64,
    /// Counts those without which nothing is served: Networks and the Bastion.
    pub(crate) ground: u64,
}

/// A one-shot answer that was served to a Server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ServedOnce {
    pub once: BootOnce,
    /// The Server's UID, as another one may come by its name.
    pub uid: Option<String>,
}

impl Knowledge {
    /// Takes a Server in.
    pub fn put_server(&mut self, server: Server) {
        let Some(name) = server.metadata.name.clone() else { return };
        self.index.put(&server);
        self.pools.clear();
        self.revision += 1;
        // Taken away and set anew, it is another wish.
        if self.served.get(&name).is_some_and(|served| !served.is_of(&server)) {
            self.served.remove(&name);
        }
        let again = self.served.contains_key(&name) && !lab_machine::sighting::once_is_spent(&server);
        if again {
            let macs = self
                .machines
                .keys()
                .copied()
                .filter(|mac| self.index.find(*mac, None).server() == Some(&name));
            self.unreported.extend(macs.collect::<Vec<_>>());
        }
        self.servers.insert(name, server);
    }

    /// Forgets a Server.
    pub fn remove_server(&mut self, name: &str) {
        self.index.remove(name);
        self.pools.clear();
        self.servers.remove(name);
        self.served.remove(name);
        self.revision += 1;
    }

    /// Takes a Network in.
    pub fn put_network(&mut self, network: Network) {
        self.pools.clear();
        self.revision += 1;
        self.ground += 1;
        self.networks.extend(network.metadata.name.clone().map(|name| (name, network)));
    }

    /// Forgets a Network. Its leases stay, as it may come back.
    pub fn remove_network(&mut self, name: &str) {
        self.pools.clear();
        self.revision += 1;
        self.ground += 1;
        self.networks.remove(name);
    }

    /// Takes an OperatingSystem in.
    pub fn put_operating_system(&mut self, os: OperatingSystem) {
        self.revision += 1;
        self.operating_systems.extend(os.metadata.name.clone().map(|name| (name, os)));
    }

    /// Forgets an OperatingSystem.
    pub fn remove_operating_system(&mut self, name: &str) {
        self.revision += 1;
        self.operating_systems.remove(name);
    }

    /// Takes the site's own Bastion in, or forgets it.
    pub fn set_bastion(&mut self, bastion: Option<Bastion>) {
        self.revision += 1;
        self.ground += 1;
        self.bastion = bastion;
    }

    /// The site's own Bastion.
    pub fn bastion(&self) -> Option<&Bastion> {
        self.bastion.as_ref()
    }

    /// Every Network that is known.
    pub fn networks(&self) -> impl Iterator<Item = &Network> {
        self.networks.values()
    }

    /// A Server by its name.
    pub fn server(&self, name: &str) -> Option<&Server> {
        self.servers.get(name)
    }

    /// A machine that was heard.
    pub fn machine(&self, mac: MacAddress) -> Option<&Machine> {
        self.machines.get(&mac)
    }

    /// How many machines were heard.
    pub fn machines(&self) -> usize {
        self.machines.len()
    }

    /// A machine of which something is about to change.
    pub(crate) fn heard(&mut self, mac: MacAddress) -> Option<&mut Machine> {
        let machine = self.machines.get_mut(&mac)?;
        self.unsaved.insert(mac);
        self.unfed.insert(mac);
        Some(machine)
    }

    /// Notes what happened to a machine.
    pub fn record(&mut self, mac: MacAddress, now: Timestamp, event: Event) -> &mut Machine {
        self.make_room(mac);
        self.unreported.insert(mac);
        self.unsaved.insert(mac);
        self.unfed.insert(mac);
        let machine = self.machines.entry(mac).or_default();
        machine.record(now, event);
        machine
    }

    /// Forgets those that were heard longest ago, many at a time: a flood of made-up machines must not have all of them looked through for
    /// each. Machines that labd knows go last.
    fn make_room(&mut self, mac: MacAddress) {
        if self.machines.len() < MACHINES || self.machines.contains_key(&mac) {
            return;
        }
        let known = |mac: &MacAddress| self.index.find(*mac, None).server().is_some();
        let mut all: Vec<_> =
            self.machines.iter().map(|(mac, machine)| (known(mac), machine.last_word(), *mac)).collect();
        all.select_nth_unstable(FORGOTTEN);
        for (_, _, mac) in all.into_iter().take(FORGOTTEN) {
            self.forget(mac);
        }
    }

    fn forget(&mut self, mac: MacAddress) {
        let gone = self.machines.remove(&mac);
        let token = gone.and_then(|machine| machine.token);
        token.inspect(|(token, _)| {
            self.tokens.remove(token);
        });
        self.unreported.remove(&mac);
        self.unsaved.remove(&mac);
        self.unfed.remove(&mac);
        self.forgotten.push(mac);
    }

    /// Which Server a machine is, and that Server.
    pub(crate) fn recognise(&self, mac: MacAddress, uuid: Option<&str>) -> (Recognition, Option<&Server>) {
        let recognition = self.index.find(mac, uuid);
        let server = recognition.server().and_then(|name| self.servers.get(name));
        (recognition, server)
    }

    /// A Server as it counts here for the machine that booted over this NIC: without a one-shot answer that was served and still stands in
    /// it, and with what the machine has installed since labd was told.
    pub(crate) fn as_it_counts(&self, server: &Server, mac: MacAddress) -> Server {
        let mut server = server.clone();
        let installed = self.machine(mac).and_then(|machine| machine.own.installed());
        let known = server.status.install.as_ref().and_then(|install| install.finished);
        if let Some(installed) = installed.filter(|installed| installed.finished > known) {
            server.status.install = Some(installed.clone());
        }
        let name = server.metadata.name.as_deref().unwrap_or_default();
        if self.served.get(name).is_some_and(|served| served.is_of(&server)) {
            server.spec.boot.once = None;
        }
        server
    }

    /// A machine has what it was to be given once.
    pub(crate) fn once_was_served(&mut self, name: &str) {
        let Some(server) = self.servers.get(name) else { return };
        let Some(once) = server.spec.boot.once else { return };
        self.served.insert(name.to_owned(), ServedOnce { once, uid: server.metadata.uid.clone() });
        self.revision += 1;
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

    /// How many addresses of a network are given out and free.
    pub(crate) fn figures(&mut self, network: &Network, own: &[Ipv4Addr], now: Timestamp) -> Figures {
        let (pool, leases) = self.addresses(network, own);
        leases.figures(pool, now)
    }

    /// A machine said which address it takes or has, as it does also to other servers.
    pub(crate) fn took(&mut self, address: Ipv4Addr, mac: MacAddress) {
        // Somebody makes them up; what is true is said again at the next boot.
        if self.taken.len() >= MACHINES {
            self.taken.clear();
        }
        self.taken.insert(address, mac);
    }

    /// Another DHCP server was heard.
    pub(crate) fn heard_foreign(&mut self, network: &Network, server: Ipv4Addr) {
        let Some(name) = network.metadata.name.clone() else { return };
        let servers = self.foreign.entry(name).or_default();
        if servers.len() < FOREIGN {
            servers.insert(server);
        }
    }

    /// Other DHCP servers on a network.
    pub(crate) fn foreign(&self, network: &str) -> impl Iterator<Item = Ipv4Addr> {
        self.foreign.get(network).into_iter().flatten().copied()
    }

    /// The machine that has an address, or had it last.
    pub(crate) fn by_address(&self, address: Ipv4Addr) -> Option<MacAddress> {
        let leased = self.leases.values().find_map(|leases| leases.last_holder(address));
        leased.or_else(|| self.taken.get(&address).copied())
    }

    /// The newest lines of a machine's log, the oldest first.
    pub fn lines(&self, mac: MacAddress) -> Vec<Line> {
        self.machine(mac).into_iter().flat_map(|machine| machine.lines()).cloned().collect()
    }

    /// Puts a machine back as it was stored. What happened to it since it was last reported is to be reported.
    pub(crate) fn restore(&mut self, mac: MacAddress, machine: Machine) {
        if let Some(address) = machine.address {
            self.took(address, mac);
        }
        if machine.last_heard() > machine.reported {
            self.unreported.insert(mac);
        }
        self.tokens.extend(machine.token.as_ref().map(|(token, _)| (token.clone(), mac)));
        self.unfed.insert(mac);
        self.machines.insert(mac, machine);
    }
}

impl ServedOnce {
    fn is_of(&self, server: &Server) -> bool {
        server.spec.boot.once == Some(self.once) && server.metadata.uid == self.uid
    }
}
