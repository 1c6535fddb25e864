//! Objects come in: informers keep what a site knows up to date.

use crate::Site;
use lab_client::{Change, Client, Informer, InformerOptions};
use lab_kinds::metal::{Bastion, Network, OperatingSystem, Server};
use std::collections::BTreeSet;
use std::sync::Arc;

/// The informers of a site. Dropping this ends them.
pub(crate) struct Following {
    servers: Informer<Server>,
    networks: Informer<Network>,
    operating_systems: Informer<OperatingSystem>,
    bastions: Informer<Bastion>,
}

impl Following {
    /// Starts to follow what a site answers from. `seed` spreads the waits after failures.
    pub fn start(client: &Client, site: &Arc<Site>, bastion: &str, seed: u64) -> Self {
        let everything = InformerOptions::everything;
        let own =
            InformerOptions { fields: Some(format!("metadata.name={bastion}")), ..everything(seed ^ 1) };
        let following = Self {
            servers: Informer::start(client.resource(), everything(seed ^ 2)),
            networks: Informer::start(client.resource(), everything(seed ^ 3)),
            operating_systems: Informer::start(client.resource(), everything(seed ^ 4)),
            bastions: Informer::start(client.resource(), own),
        };
        let to = site.clone();
        following.servers.on_change(move |change| {
            to.with(|known| match own_copy(change) {
                Some(server) => known.put_server(server),
                None => known.remove_server(&change.key.name),
            });
        });
        let to = site.clone();
        following.networks.on_change(move |change| {
            to.with(|known| match own_copy(change) {
                Some(network) => known.put_network(network),
                None => known.remove_network(&change.key.name),
            });
            to.changed.notify_one();
        });
        let to = site.clone();
        following.operating_systems.on_change(move |change| {
            to.with(|known| match own_copy(change) {
                Some(os) => known.put_operating_system(os),
                None => known.remove_operating_system(&change.key.name),
            });
        });
        let to = site.clone();
        following.bastions.on_change(move |change| {
            to.with(|known| known.set_bastion(own_copy(change)));
            to.changed.notify_one();
        });
        following
    }

    /// Waits until everything is known, and drops what was remembered and is no more.
    pub async fn synced(&self, site: &Site) {
        self.servers.synced().await;
        self.networks.synced().await;
        self.operating_systems.synced().await;
        self.bastions.synced().await;
        let servers: BTreeSet<_> = names(&self.servers, |server| &server.metadata.name);
        let networks: BTreeSet<_> = names(&self.networks, |network| &network.metadata.name);
        let systems: BTreeSet<_> = names(&self.operating_systems, |os| &os.metadata.name);
        let bastion = !self.bastions.list().is_empty();
        site.with(|known| {
            for gone in left_over(known.servers.keys(), &servers) {
                known.remove_server(&gone);
            }
            for gone in left_over(known.networks.keys(), &networks) {
                known.remove_network(&gone);
            }
            for gone in left_over(known.operating_systems.keys(), &systems) {
                known.remove_operating_system(&gone);
            }
            if !bastion {
                known.set_bastion(None);
            }
        });
        site.changed.notify_one();
    }

    /// Why what is known is not up to date at the moment.
    pub fn trouble(&self) -> Option<String> {
        let of_networks = self.networks.trouble().or_else(|| self.operating_systems.trouble());
        self.servers.trouble().or(of_networks).or_else(|| self.bastions.trouble())
    }
}

fn own_copy<T: Clone>(change: &Change<T>) -> Option<T> {
    change.new.as_deref().cloned()
}

fn names<T>(informer: &Informer<T>, name: impl Fn(&T) -> &Option<String>) -> BTreeSet<String>
where
    T: serde::de::DeserializeOwned + Send + Sync + 'static,
{
    informer.list().iter().filter_map(|object| name(object).clone()).collect()
}

fn left_over<'a>(known: impl Iterator<Item = &'a String>, there: &BTreeSet<String>) -> Vec<String> {
    known.filter(|name| !there.contains(*name)).cloned().collect()
}
