//! The kinds that are served, as controllers need them: each once, by its place in a list.

use lab_client::{Api, Client, Key};
use lab_kinds::Registry;
use lab_object::{GroupVersion, GroupVersionResource};
use std::{collections::HashMap, fmt};

/// One served kind.
pub(crate) struct Resource {
    pub gvr: GroupVersionResource,
    pub kind: String,
    pub namespaced: bool,
    /// As people write it: `leases.coordination.k8s.io`.
    pub name: String,
}

/// Every served kind once, whatever number of versions it has.
pub(crate) struct Served {
    resources: Vec<Resource>,
    by_kind: HashMap<(String, String), usize>,
}

/// One object, by kind and name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Place {
    /// The kind's place among the served ones.
    pub resource: usize,
    /// The object's namespace and name.
    pub key: Key,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}/{}", self.resource, self.key)
    }
}

impl Served {
    pub fn new(registry: &Registry) -> Self {
        let mut served = Self { resources: Vec::new(), by_kind: HashMap::new() };
        // Nothing that can only be read owns anything, or goes.
        for kind in registry.kinds().iter().filter(|kind| !kind.read_only) {
            let name = (kind.group.clone(), kind.kind.clone());
            if served.by_kind.contains_key(&name) {
                continue;
            }
            served.by_kind.insert(name, served.resources.len());
            served.resources.push(Resource {
                gvr: kind.gvr(),
                kind: kind.kind.clone(),
                namespaced: kind.namespaced(),
                name: kind.qualified(),
            });
        }
        served
    }

    pub fn all(&self) -> impl Iterator<Item = (usize, &Resource)> {
        self.resources.iter().enumerate()
    }

    pub fn get(&self, at: usize) -> &Resource {
        &self.resources[at]
    }

    /// The kind that an `apiVersion` and `kind` mean, in whatever version.
    pub fn find(&self, api_version: &str, kind: &str) -> Option<usize> {
        let group = GroupVersion::parse(api_version)?.group;
        self.by_kind.get(&(group, kind.to_owned())).copied()
    }

    /// The objects of a kind in the place's namespace.
    pub fn api<T>(&self, client: &Client, place: &Place) -> Api<T> {
        let namespace = Some(place.key.namespace.as_str()).filter(|n| !n.is_empty());
        client.dynamic(&self.get(place.resource).gvr, namespace).of()
    }
}
