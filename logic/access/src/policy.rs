//! Roles, bindings and users as they are now, and what they come to for one caller.

use crate::{
    access::{Access, Holder, Roles},
    facts::Facts,
    grants::Grants,
    machine::Machine,
};
use lab_object::Json;
use serde::Deserialize;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// The group that may do everything, as Kubernetes names it.
pub const MASTERS: &str = "system:masters";
/// The group of those whose certificate a login gave: they have the groups that their User names at present, whatever stands
/// in the certificate, and nothing once there is no such User.
pub const LOGIN: &str = "lab:login";
/// The group of everybody who is known, as Kubernetes names it.
pub const AUTHENTICATED: &str = "system:authenticated";

/// All that decides who may do what. It is fed with objects and asked for callers.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    pub(crate) roles: Arc<Roles>,
    bindings: BTreeMap<String, Binding>,
    users: BTreeMap<String, User>,
    bastions: BTreeMap<String, Site>,
    /// Where each server stands.
    servers: BTreeMap<String, Standing>,
    /// The site of each network.
    networks: BTreeMap<String, Option<String>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Binding {
    role: String,
    #[serde(default)]
    subjects: Vec<Subject>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Subject {
    kind: String,
    name: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct User {
    groups: Vec<String>,
    disabled: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct Site {
    site: Option<String>,
    networks: Vec<Served>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Served {
    network: String,
}

/// Where a server stands, and the Secret with which its BMC is spoken to.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Standing {
    secret: Option<(String, String)>,
    bastion: Option<String>,
    networks: Vec<String>,
}

impl Standing {
    fn read(server: &Json) -> Option<Self> {
        let text = |path: &str| server.pointer(path).and_then(Json::as_str).map(ToOwned::to_owned);
        let credentials = "/spec/bmc/credentials";
        let secret = text(&format!("{credentials}/namespace")).zip(text(&format!("{credentials}/name")));
        let facts = Facts::of(server).ok()?;
        let networks = facts.networks().map(ToOwned::to_owned).collect();
        Some(Self { secret, bastion: facts.bastion().map(ToOwned::to_owned), networks })
    }
}

impl Policy {
    /// Whether objects of a kind are part of the policy.
    pub fn concerns(group: &str, resource: &str) -> bool {
        matches!(
            (group, resource),
            ("iam.lab", "roles" | "rolebindings" | "users")
                | ("metal.lab", "bastions" | "networks" | "servers")
        )
    }

    /// Takes an object over, or its removal; returns whether that may decide anything differently. An object that cannot
    /// be read gives nobody anything.
    pub fn set(&mut self, group: &str, resource: &str, name: &str, object: Option<&Json>) -> bool {
        match (group, resource) {
            ("iam.lab", "roles") => {
                let role = object.and_then(|object| {
                    let facts = Facts::of(object).ok()?;
                    Some(facts.permissions().filter_map(|text| text.parse().ok()).collect())
                });
                self.roles.get(name) != role.as_ref() && replace(Arc::make_mut(&mut self.roles), name, role)
            }
            ("iam.lab", "rolebindings") => replace(&mut self.bindings, name, spec(object)),
            // A user who cannot be read is better locked out than let in.
            ("iam.lab", "users") => {
                let locked = || User { disabled: true, groups: Vec::new() };
                let user = object.map(|object| {
                    object
                        .get("spec")
                        .map_or_else(|| Some(User::default()), |_| spec(Some(object)))
                        .unwrap_or_else(locked)
                });
                replace(&mut self.users, name, user)
            }
            ("metal.lab", "servers") => replace(&mut self.servers, name, object.and_then(Standing::read)),
            ("metal.lab", "bastions") => replace(&mut self.bastions, name, spec(object)),
            ("metal.lab", "networks") => {
                let site = object.map(|object| Facts::of(object).ok()?.site().map(ToOwned::to_owned));
                replace(&mut self.networks, name, site)
            }
            _ => false,
        }
    }

    /// Every group of a caller: those they came with, those that their User object names, and that of everybody known.
    pub fn groups(&self, user: &str, groups: &[String]) -> Vec<String> {
        let logged_in = groups.iter().any(|group| group == LOGIN);
        let brought = groups.iter().filter(|group| !logged_in || *group == LOGIN);
        let own = self.users.get(user).map(|user| user.groups.as_slice()).unwrap_or_default();
        let mut all: Vec<String> = Vec::new();
        for group in brought.chain(own).map(String::as_str).chain([AUTHENTICATED]) {
            if all.iter().all(|known| known != group) {
                all.push(group.to_owned());
            }
        }
        all
    }

    /// What a caller who is known may do. A machine's identity is judged by what it is, everybody else by what
    /// is bound to them and their groups; a user who is disabled may do nothing, whatever their certificate says.
    pub fn access(&self, user: &str, groups: &[String]) -> Access {
        if self.users.get(user).is_some_and(|user| user.disabled) {
            return Access::nothing("the user is disabled");
        }
        if groups.iter().any(|group| group == LOGIN) && !self.users.contains_key(user) {
            return Access::nothing("there is no such user any more");
        }
        let groups = self.groups(user, groups);
        if groups.iter().any(|group| group == MASTERS) {
            return Access::EVERYTHING;
        }
        if let Some(machine) = Machine::of(user, &groups) {
            return Access(Holder::Machine(self.at_site(machine)));
        }
        let mut grants = Grants::default();
        for binding in self.bindings.values().filter(|binding| binding.names(user, &groups)) {
            self.roles.get(&binding.role).into_iter().flatten().for_each(|permission| grants.add(permission));
        }
        Access(Holder::Granted { grants, roles: self.roles.clone() })
    }

    /// A bastion with all that its site consists of.
    fn at_site(&self, machine: Machine) -> Machine {
        let Machine::Bastion { name, .. } = machine else { return machine };
        let own = self.bastions.get(&name);
        let site = own.and_then(|bastion| bastion.site.as_deref());
        let mut bastions = BTreeSet::from([name.clone()]);
        let mut networks: BTreeSet<String> =
            own.iter().flat_map(|bastion| &bastion.networks).map(|served| served.network.clone()).collect();
        if site.is_some() {
            let same = |other: Option<&str>| other == site;
            bastions.extend(
                self.bastions.iter().filter(|(_, b)| same(b.site.as_deref())).map(|(n, _)| n.clone()),
            );
            networks.extend(self.networks.iter().filter(|(_, s)| same(s.as_deref())).map(|(n, _)| n.clone()));
        }
        // Of a server that stands nowhere yet nobody has the secret, and nobody invites its agent.
        let here = |server: &Standing| match &server.bastion {
            Some(bastion) => bastions.contains(bastion),
            None => !server.networks.is_empty() && server.networks.iter().all(|name| networks.contains(name)),
        };
        let own = || self.servers.iter().filter(|(_, server)| here(server));
        let secrets = own().filter_map(|(_, server)| server.secret.clone()).collect();
        let servers = own().map(|(name, _)| name.clone()).collect();
        Machine::Bastion { name, bastions, networks, servers, secrets }
    }
}

impl Binding {
    fn names(&self, user: &str, groups: &[String]) -> bool {
        self.subjects.iter().any(|subject| match subject.kind.as_str() {
            "User" => subject.name == user,
            "Group" => groups.contains(&subject.name),
            _ => false,
        })
    }
}

/// The part of an object's `spec` that counts.
fn spec<T: for<'de> Deserialize<'de>>(object: Option<&Json>) -> Option<T> {
    T::deserialize(object?.get("spec")?).ok()
}

/// Sets or removes an entry; returns whether it is another one now.
fn replace<T: PartialEq>(map: &mut BTreeMap<String, T>, name: &str, value: Option<T>) -> bool {
    if map.get(name) == value.as_ref() {
        return false;
    }
    match value {
        Some(value) => map.insert(name.to_owned(), value),
        None => map.remove(name),
    };
    true
}
