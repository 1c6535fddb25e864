//! Other names by which objects may be asked for: an index that follows the store.

use crate::key::{self, Key};
use lab_kinds::{Kind, Registry};
use lab_object::{Json, mac::MacAddress};
use lab_store::{Change, Error, Range, Revision, Store};
use parking_lot::RwLock;
use std::{
    collections::{BTreeSet, HashMap},
    net::IpAddr,
    sync::{Arc, Weak},
    time::Duration,
};
use tokio::sync::watch;

/// Longest time that a request waits for the index to catch up with what was written before it.
const PATIENCE: Duration = Duration::from_secs(2);

/// Pause before following again after the store refused.
const PAUSE: Duration = Duration::from_millis(200);

/// Objects by their other names.
pub(crate) struct Aliases {
    index: RwLock<Index>,
    /// The revision up to which the index knows everything.
    progress: watch::Sender<Revision>,
    store: Arc<dyn Store>,
    registry: Arc<Registry>,
}

#[derive(Default)]
struct Index {
    /// From a place (tenant, kind and namespace) and another name to the names of its objects.
    names: HashMap<String, BTreeSet<String>>,
    /// From a key to the entries of `names` that the object is in.
    entries: HashMap<Arc<str>, Vec<String>>,
}

impl Index {
    fn set(&mut self, key: &Arc<str>, entries: Vec<String>) {
        let name = key.rsplit('/').next().unwrap_or_default();
        for old in self.entries.remove(key).into_iter().flatten() {
            if let Some(names) = self.names.get_mut(&old) {
                names.remove(name);
                if names.is_empty() {
                    self.names.remove(&old);
                }
            }
        }
        if !entries.is_empty() {
            for entry in &entries {
                self.names.entry(entry.clone()).or_default().insert(name.to_owned());
            }
            self.entries.insert(key.clone(), entries);
        }
    }
}

impl Aliases {
    /// An index that follows the store as long as it is used.
    pub(crate) fn follow(registry: Arc<Registry>, store: Arc<dyn Store>) -> Arc<Self> {
        let aliases =
            Arc::new(Self { index: RwLock::default(), progress: watch::Sender::new(0), store, registry });
        if aliases.registry.kinds().iter().any(|kind| kind.aliases.is_some()) {
            tokio::spawn(run(Arc::downgrade(&aliases)));
        }
        aliases
    }

    /// Names of the objects of a kind that answer to another name: none, one, or several where it is ambiguous.
    pub(crate) async fn find(&self, tenant: &str, kind: &Kind, namespace: &str, name: &str) -> Vec<String> {
        if kind.aliases.is_none() {
            return Vec::new();
        }
        // A client must find by its hostname what it created a moment ago.
        let written = self.store.revision();
        let mut progress = self.progress.subscribe();
        if tokio::time::timeout(PATIENCE, progress.wait_for(|&at| at >= written)).await.is_err() {
            tracing::warn!(written, "the index of aliases lags behind");
        }
        let place = key::object(tenant, kind, namespace, "");
        let index = self.index.read();
        let mut found = BTreeSet::new();
        for form in forms(name) {
            found.extend(index.names.get(&format!("{place}{form}")).into_iter().flatten().cloned());
        }
        found.into_iter().collect()
    }

    /// What an object is to be found by: its other names, each behind its place.
    fn entries(&self, key: &str, value: &[u8]) -> Option<Vec<String>> {
        let parts = Key::parse(key)?;
        let kind = self.registry.kinds().iter().find(|kind| {
            kind.plural == parts.resource && kind.group == parts.group && kind.aliases.is_some()
        })?;
        let object: Json = serde_json::from_slice(value).ok()?;
        let place = key::object(parts.tenant, kind, parts.namespace, "");
        let aliases = kind.aliases.map(|aliases| aliases(&object)).unwrap_or_default();
        Some(aliases.into_iter().map(|alias| format!("{place}{}", alias.to_lowercase())).collect())
    }

    /// Whether objects at this key have other names at all.
    fn concerns(&self, key: &str) -> bool {
        Key::parse(key).is_some_and(|parts| {
            self.registry
                .kinds()
                .iter()
                .any(|k| k.aliases.is_some() && k.plural == parts.resource && k.group == parts.group)
        })
    }

    fn set(&self, key: &Arc<str>, value: Option<&[u8]>) {
        if self.concerns(key) {
            let entries = value.and_then(|value| self.entries(key, value)).unwrap_or_default();
            self.index.write().set(key, entries);
        }
    }

    /// Reads everything; returns the revision from which to follow. All tenants' kinds lie between each other, so that
    /// the whole store is read, in parts.
    async fn fill(&self) -> Result<Revision, Error> {
        *self.index.write() = Index::default();
        let mut range = Range { prefix: "/".into(), limit: Some(5000), ..Range::default() };
        loop {
            let listing = self.store.list(range.clone()).await?;
            for entry in &listing.entries {
                self.set(&entry.key, Some(&entry.value));
            }
            match listing.entries.last() {
                Some(last) if listing.remaining > 0 => {
                    range.after = Some(last.key.to_string());
                    range.at = Some(listing.revision);
                }
                _ => return Ok(listing.revision),
            }
        }
    }
}

/// Follows the store until nobody uses the index any more, or the store is closed.
async fn run(aliases: Weak<Aliases>) {
    loop {
        match follow(&aliases).await {
            Ok(()) | Err(Error::Closed) => return,
            Err(error) => tracing::warn!(%error, "the index of aliases is read anew"),
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn follow(aliases: &Weak<Aliases>) -> Result<(), Error> {
    let Some(index) = aliases.upgrade() else { return Ok(()) };
    let from = index.fill().await?;
    let mut events = index.store.watch("/", from).await?;
    index.progress.send_replace(from);
    drop(index);
    loop {
        let batch = events.next().await?;
        let Some(index) = aliases.upgrade() else { return Ok(()) };
        for event in &batch.events {
            let value = match &event.change {
                Change::Created { value } | Change::Updated { value, .. } => Some(&value[..]),
                Change::Deleted { .. } => None,
            };
            index.set(&event.key, value);
        }
        index.progress.send_replace(batch.progress);
    }
}

/// The canonical forms that a name may have been meant as: itself, a MAC address, an IP address.
fn forms(name: &str) -> Vec<String> {
    let mut forms = vec![name.to_lowercase()];
    if let Ok(mac) = MacAddress::parse(name) {
        forms.extend([mac.dashed(), mac.to_string()]);
    }
    if let Ok(address) = name.parse::<IpAddr>() {
        forms.push(address.to_string());
    }
    forms.sort_unstable();
    forms.dedup();
    forms
}
