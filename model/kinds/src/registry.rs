//! The registry: every kind, by path and by every name that people use.

pub use crate::kind::{
    Cell, Column, ColumnType, Kind, LazySchema, NameRule, Scope, SelectableField, Subresource,
};

use lab_object::GroupVersion;
use std::{cmp::Reverse, collections::BTreeMap, sync::Arc};

/// All kinds. Cloning is cheap enough to do on every change of the set: the kinds themselves are shared.
#[derive(Clone, Default)]
pub struct Registry {
    kinds: Vec<Arc<Kind>>,
    by_resource: BTreeMap<(String, String, String), usize>,
    by_kind: BTreeMap<(String, String, String), usize>,
    by_name: BTreeMap<String, Vec<usize>>,
}

impl Registry {
    /// A registry of these kinds, in this order.
    pub fn new(kinds: impl IntoIterator<Item = Kind>) -> Self {
        let mut registry = Self { kinds: kinds.into_iter().map(Arc::new).collect(), ..Self::default() };
        registry.index();
        registry
    }

    /// Adds a kind, in place of one with the same group, version and plural.
    pub fn insert(&mut self, kind: Kind) {
        let kind = Arc::new(kind);
        match self.position(&kind.group, &kind.version, &kind.plural) {
            Some(at) => self.kinds[at] = kind,
            None => self.kinds.push(kind),
        }
        self.index();
    }

    /// Removes the kind at a path; returns it if there was one.
    pub fn remove(&mut self, group: &str, version: &str, plural: &str) -> Option<Arc<Kind>> {
        let removed = self.kinds.remove(self.position(group, version, plural)?);
        self.index();
        Some(removed)
    }

    /// Every kind, in order of registration.
    pub fn kinds(&self) -> &[Arc<Kind>] {
        &self.kinds
    }

    /// The kind at a path.
    pub fn by_resource(&self, group: &str, version: &str, plural: &str) -> Option<&Arc<Kind>> {
        self.position(group, version, plural).map(|at| &self.kinds[at])
    }

    /// The kind that an object's `apiVersion` (here apart) and `kind` name.
    pub fn by_kind(&self, group: &str, version: &str, kind: &str) -> Option<&Arc<Kind>> {
        self.by_kind.get(&(group.into(), version.into(), kind.into())).map(|&at| &self.kinds[at])
    }

    /// The kind that people mean by a name: plural, singular, short name or kind in any case, optionally followed by
    /// `.group` or `.version.group`. Where several kinds answer to it, the one registered first.
    pub fn by_name(&self, name: &str) -> Option<&Arc<Kind>> {
        self.all_by_name(name).into_iter().next()
    }

    /// Every kind that answers to a name, the preferred one first. Versions of one kind all answer, the stable ones
    /// before the others.
    pub fn all_by_name(&self, name: &str) -> Vec<&Arc<Kind>> {
        let at = self.by_name.get(&name.to_lowercase()).map(Vec::as_slice).unwrap_or_default();
        at.iter().map(|&at| &self.kinds[at]).collect()
    }

    /// Plurals of the kinds whose names are nearest to a mistyped one, at most three, all equally near.
    pub fn suggest(&self, name: &str) -> Vec<&str> {
        let name = name.to_lowercase();
        // A third of the letters may be wrong: more than that is another word.
        let near = |known: &&str| {
            let distance = strsim::osa_distance(&name, known);
            (distance <= known.len().max(name.len()) / 3).then_some(distance)
        };
        let distance = |kind: &Kind| {
            let names = [&kind.plural, &kind.singular].into_iter().chain(&kind.short_names);
            names.map(String::as_str).filter_map(|known| near(&known)).min()
        };
        let found: Vec<(usize, &str)> =
            self.kinds.iter().filter_map(|kind| Some((distance(kind)?, kind.plural.as_str()))).collect();
        let best = found.iter().map(|(distance, _)| *distance).min();
        let mut plurals: Vec<&str> = Vec::new();
        for (distance, plural) in found {
            if Some(distance) == best && !plurals.contains(&plural) {
                plurals.push(plural);
            }
        }
        plurals.truncate(3);
        plurals
    }

    /// Every group with its versions: groups in order of registration, versions with the preferred one first.
    pub fn groups(&self) -> Vec<(&str, Vec<&str>)> {
        let mut groups: Vec<(&str, Vec<&str>)> = Vec::new();
        for kind in &self.kinds {
            let at = groups.iter().position(|(group, _)| *group == kind.group).unwrap_or_else(|| {
                groups.push((&kind.group, Vec::new()));
                groups.len() - 1
            });
            let versions = &mut groups[at].1;
            if !versions.contains(&kind.version.as_str()) {
                versions.push(&kind.version);
            }
        }
        for (_, versions) in &mut groups {
            versions.sort_by_key(|v| preference(v));
        }
        groups
    }

    /// Every group and version, in the order of [`Registry::groups`].
    pub fn group_versions(&self) -> Vec<GroupVersion> {
        let groups = self.groups();
        let pairs = groups.iter().flat_map(|(group, versions)| versions.iter().map(move |v| (*group, *v)));
        pairs.map(|(group, version)| GroupVersion::new(group, version)).collect()
    }

    /// The kinds of one group and version, in order of registration.
    pub fn in_group_version<'a>(
        &'a self,
        group: &'a str,
        version: &'a str,
    ) -> impl Iterator<Item = &'a Arc<Kind>> {
        self.kinds.iter().filter(move |k| k.group == group && k.version == version)
    }

    fn position(&self, group: &str, version: &str, plural: &str) -> Option<usize> {
        self.by_resource.get(&(group.into(), version.into(), plural.into())).copied()
    }

    fn index(&mut self) {
        self.by_resource.clear();
        self.by_kind.clear();
        self.by_name.clear();
        let ranks: BTreeMap<String, usize> = self
            .groups()
            .into_iter()
            .enumerate()
            .map(|(rank, (group, _))| (group.to_owned(), rank))
            .collect();
        for (at, kind) in self.kinds.iter().enumerate() {
            let key = |last: &str| (kind.group.clone(), kind.version.clone(), last.to_owned());
            self.by_resource.insert(key(&kind.plural), at);
            self.by_kind.insert(key(&kind.kind), at);
            for name in names(kind) {
                self.by_name.entry(name).or_default().push(at);
            }
        }
        for found in self.by_name.values_mut() {
            found.sort_by_key(|&at| {
                let kind = &self.kinds[at];
                (ranks.get(&kind.group).copied(), preference(&kind.version), at)
            });
            found.dedup();
        }
    }
}

/// Every name that a kind answers to, in lower case.
fn names(kind: &Kind) -> Vec<String> {
    let plain = [&kind.plural, &kind.singular, &kind.kind].into_iter().chain(&kind.short_names);
    let mut names = Vec::new();
    for name in plain.map(|n| n.to_lowercase()) {
        if !kind.group.is_empty() {
            names.push(format!("{name}.{}", kind.group));
        }
        // The core group's version is followed by a bare dot in kubectl's notation: `pods.v1.`.
        names.push(format!("{name}.{}.{}", kind.version, kind.group));
        names.push(name);
    }
    names.sort_unstable();
    names.dedup();
    names
}

/// Kubernetes' order of versions: stable before beta before alpha, the higher number first, anything else last by name.
fn preference(version: &str) -> (Reverse<(u8, u32, u32)>, &str) {
    (Reverse(parse_version(version).unwrap_or((0, 0, 0))), version)
}

fn parse_version(version: &str) -> Option<(u8, u32, u32)> {
    let rest = version.strip_prefix('v')?;
    let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let (major, stage) = (rest[..digits].parse().ok()?, &rest[digits..]);
    for (name, rank) in [("beta", 2), ("alpha", 1)] {
        if let Some(minor) = stage.strip_prefix(name) {
            return Some((rank, major, minor.parse().ok()?));
        }
    }
    stage.is_empty().then_some((3, major, 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A kind as one that is added at run time: nothing of it is known to the program.
    fn custom(group: &str, version: &str, plural: &str) -> Kind {
        let mut kind = (**crate::registry().by_name("lease").expect("it is registered")).clone();
        kind.group = group.into();
        kind.version = version.into();
        kind.plural = plural.into();
        kind.singular = plural.trim_end_matches('s').into();
        kind.kind = "Gadget".into();
        kind.short_names = vec!["gd".into()];
        kind.columns = vec![Column {
            name: format!("{plural} in {group}").into(),
            ..Column::path("", "spec.holderIdentity", "Who holds it.")
        }];
        kind
    }

    #[test]
    fn by_every_name() {
        let registry = crate::registry();
        let check = |names: &[&str], plural: Option<&str>| {
            for name in names {
                assert_eq!(registry.by_name(name).map(|kind| kind.plural.as_str()), plural, "{name}");
            }
        };
        check(&["servers", "server", "srv", "Server", "SERVERS"], Some("servers"));
        check(&["servers.metal.lab", "srv.metal.lab", "server.v1alpha1.metal.lab"], Some("servers"));
        check(&["net", "networks"], Some("networks"));
        check(&["os", "operatingsystem", "OperatingSystem"], Some("operatingsystems"));
        check(&["layout", "disklayouts"], Some("disklayouts"));
        check(&["cm", "configmap", "configmaps.v1."], Some("configmaps"));
        check(&["leases.coordination.k8s.io", "leases.v1.coordination.k8s.io"], Some("leases"));
        check(&["", "pods", "servers.iam.lab", "servers.v1.metal.lab", "servers."], None);
    }

    #[test]
    fn by_path_and_by_kind() {
        let registry = crate::registry();
        for kind in registry.kinds() {
            let by_path = registry.by_resource(&kind.group, &kind.version, &kind.plural);
            let by_kind = registry.by_kind(&kind.group, &kind.version, &kind.kind);
            assert!(by_path.is_some_and(|found| Arc::ptr_eq(found, kind)), "{kind:?}");
            assert!(by_kind.is_some_and(|found| Arc::ptr_eq(found, kind)), "{kind:?}");
            assert!(registry.by_kind(&kind.group, "v9", &kind.kind).is_none());
        }
    }

    #[test]
    fn suggests_the_nearest() {
        let registry = crate::registry();
        for (name, expected) in [
            ("sevrers", &["servers"] as &[&str]),
            ("serve", &["servers"]),
            ("Srever", &["servers"]),
            ("netwrok", &["networks"]),
            ("configmp", &["configmaps"]),
            ("rol", &["roles"]),
            ("pods", &[]),
            ("x", &[]),
            ("", &[]),
        ] {
            assert_eq!(registry.suggest(name), expected, "{name}");
        }
    }

    #[test]
    fn kinds_come_and_go_at_run_time() {
        let mut registry = crate::registry();
        let before = registry.kinds().len();
        for version in ["v1alpha1", "v2", "v1", "v1beta2", "v10", "other"] {
            registry.insert(custom("example.com", version, "gadgets"));
        }
        registry.insert(custom("metal.lab", "v1", "gadgets"));
        let versions: Vec<_> = registry.all_by_name("gd").iter().map(|kind| kind.api_version()).collect();
        let of_example =
            ["v10", "v2", "v1", "v1beta2", "v1alpha1", "other"].map(|v| format!("example.com/{v}"));
        assert_eq!(versions[0], "metal.lab/v1", "the group that was there first");
        assert_eq!(versions[1..], of_example);
        let (group, stable) = &registry.groups()[2];
        assert_eq!((*group, stable.as_slice()), ("metal.lab", ["v1", "v1alpha1"].as_slice()));
        assert_eq!(registry.in_group_version("example.com", "v2").count(), 1);

        registry.insert(custom("example.com", "v2", "gadgets"));
        assert_eq!(registry.kinds().len(), before + 7, "replaced, not added");
        assert!(registry.remove("example.com", "v10", "gadgets").is_some());
        assert!(registry.remove("example.com", "v10", "gadgets").is_none());
        let found = registry.by_name("gadgets.example.com").expect("others are left");
        assert_eq!((found.version.as_str(), &*found.table()[1].name), ("v2", "gadgets in example.com"));
        assert_eq!(crate::registry().kinds().len(), before, "clones are on their own");
    }

    #[test]
    fn groups_in_order() {
        let registry = crate::registry();
        let order: Vec<_> = registry.group_versions().iter().map(ToString::to_string).collect();
        let groups = ["metal.lab", "iam.lab", "audit.lab"].map(|group| format!("{group}/v1alpha1"));
        assert_eq!(order[..2], ["v1", "coordination.k8s.io/v1"]);
        assert_eq!(order[2..], groups);
    }
}
