//! The identities of machines: each gets what it needs, and no binding adds to it.

use crate::{ask::Ask, facts::Facts};
use lab_object::Json;
use std::collections::BTreeSet;

/// The group of agents; their users are `server:` and a Server's UID.
pub const SERVERS: &str = "lab:servers";
/// The group of bastions; their users are `bastion:` and a Bastion's name.
pub const BASTIONS: &str = "lab:bastions";

/// Who a machine is, and what it is responsible for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Machine {
    /// The agent of a server.
    Server {
        /// UID of the Server.
        uid: String,
    },
    /// A bastion.
    Bastion {
        /// Name of the Bastion.
        name: String,
        /// All bastions of its site, itself included.
        bastions: BTreeSet<String>,
        /// The networks of its site, and those that it serves besides.
        networks: BTreeSet<String>,
        /// The servers of its site.
        servers: BTreeSet<String>,
        /// The Secrets with which the BMCs of its site's servers are spoken to, by namespace and name.
        secrets: BTreeSet<(String, String)>,
    },
}

/// One line of what an identity may do: group, plural, subresource and verbs.
type Right = (&'static str, &'static str, &'static str, &'static [&'static str]);

const LOOK: &[&str] = &["get", "list", "watch"];
const REPORT: &[&str] = &["get", "update", "patch"];

/// An agent follows its own server, which holds its plan, reports on it, and opens the tunnel over which it is reached.
const OF_SERVERS: &[Right] = &[
    ("metal.lab", "servers", "", LOOK),
    ("metal.lab", "servers", "status", REPORT),
    ("metal.lab", "servers", "tunnel", &["create"]),
];

/// A bastion follows itself and what its site consists of, enters machines that it discovers, reports on them, takes away what
/// it has served once, makes the tokens by which the agents of its servers join, and reads what their BMCs are spoken to with.
const OF_BASTIONS: &[Right] = &[
    ("metal.lab", "bastions", "", LOOK),
    ("metal.lab", "bastions", "status", REPORT),
    ("metal.lab", "bastions", "logs", &["create"]),
    ("metal.lab", "networks", "", LOOK),
    ("metal.lab", "networks", "status", REPORT),
    ("metal.lab", "servers", "", LOOK),
    ("metal.lab", "servers", "", &["create", "update", "patch"]),
    ("metal.lab", "servers", "status", REPORT),
    ("metal.lab", "operatingsystems", "", LOOK),
    ("metal.lab", "disklayouts", "", LOOK),
    ("iam.lab", "jointokens", "", &["create"]),
    ("", "secrets", "", &["get"]),
];

impl Machine {
    /// The identity in a user's name and groups: both have to say it.
    pub fn of(user: &str, groups: &[String]) -> Option<Self> {
        let is_in = |group: &str| groups.iter().any(|g| g == group);
        let named = |prefix: &str| user.strip_prefix(prefix).filter(|name| !name.is_empty());
        if let Some(uid) = named("server:").filter(|_| is_in(SERVERS)) {
            return Some(Self::Server { uid: uid.into() });
        }
        let name = named("bastion:").filter(|_| is_in(BASTIONS))?;
        Some(Self::Bastion {
            name: name.into(),
            bastions: BTreeSet::from([name.to_owned()]),
            networks: BTreeSet::new(),
            servers: BTreeSet::new(),
            secrets: BTreeSet::new(),
        })
    }

    /// Whether this is asked of kinds the machine has to do with at all.
    pub(crate) fn may_ask(&self, ask: &Ask<'_>) -> bool {
        let rights = match self {
            Self::Server { .. } => OF_SERVERS,
            Self::Bastion { .. } => OF_BASTIONS,
        };
        rights.iter().any(|(group, resource, subresource, verbs)| {
            (*group, *resource, *subresource) == (ask.group, ask.resource, ask.subresource)
                && verbs.contains(&ask.verb)
        })
    }

    /// Whether an object is among those the machine is responsible for.
    ///
    /// A server belongs to the site of the bastion that answers it; one that no bastion answers yet, to the site of the
    /// networks it has addresses in; one of which neither is known may appear at any site.
    pub(crate) fn owns(&self, ask: &Ask<'_>, object: &Facts<'_>) -> bool {
        let is_in = |set: &BTreeSet<String>, name: Option<&str>| name.is_some_and(|name| set.contains(name));
        match (self, ask.resource) {
            (Self::Server { uid }, "servers") => object.uid() == Some(uid),
            (Self::Server { .. }, _) => false,
            (Self::Bastion { name, .. }, "bastions") => object.name() == Some(name),
            (Self::Bastion { networks, .. }, "networks") => is_in(networks, object.name()),
            (Self::Bastion { bastions, networks, .. }, "servers") => match object.bastion() {
                Some(bastion) => bastions.contains(bastion),
                None => object.networks().all(|network| networks.contains(network)),
            },
            (Self::Bastion { servers, .. }, "jointokens") => is_in(servers, object.server()),
            (Self::Bastion { secrets, .. }, "secrets") => {
                let named = object.namespace().zip(object.name());
                named.is_some_and(|(namespace, name)| {
                    secrets.contains(&(namespace.to_owned(), name.to_owned()))
                })
            }
            (Self::Bastion { .. }, resource) => matches!(resource, "operatingsystems" | "disklayouts"),
        }
    }

    /// Whether a change of a server is no more than that what was to be served once is taken away.
    fn may_change(old: &Json, new: &Json) -> bool {
        let wanted = |server: &Json| {
            let mut spec = server.get("spec").cloned().unwrap_or(Json::Null);
            let once = spec.get_mut("boot").and_then(|boot| boot.as_object_mut()?.remove("once"));
            if spec.get("boot").and_then(Json::as_object).is_some_and(serde_json::Map::is_empty) {
                spec.as_object_mut().map(|spec| spec.remove("boot"));
            }
            let texts = |field: &str| server.pointer(&format!("/metadata/{field}")).cloned();
            let metadata = ["name", "labels", "annotations", "finalizers", "ownerReferences"].map(texts);
            (once, (spec, metadata))
        };
        let ((before, rest_before), (after, rest_after)) = (wanted(old), wanted(new));
        (after.is_none() || after == before) && rest_before == rest_after
    }

    /// Why a machine may not do this to an object of its own; nothing where it may. `old` and `new` are as for
    /// [`crate::Access::decide`].
    pub(crate) fn refuses(ask: &Ask<'_>, old: Option<&Json>, new: Option<&Json>) -> Option<&'static str> {
        match (ask.resource, ask.subresource, old, new) {
            ("servers", "", Some(old), Some(new)) if !Self::may_change(old, new) => {
                Some("a bastion changes nothing of a server but that it takes spec.boot.once away")
            }
            ("servers", "", None, Some(new)) if !Self::may_enter(new) => {
                Some("a bastion enters machines by spec.macs and spec.uuid only")
            }
            ("jointokens", "", None, Some(new)) if !Self::may_invite(new) => Some(
                "a bastion makes tokens for the agent of one server, for one use and without an environment",
            ),
            _ => None,
        }
    }

    /// Whether a token is for one agent, once. Which server it is for was judged before.
    fn may_invite(token: &Json) -> bool {
        let at = |field: &str| token.pointer(&format!("/spec/{field}"));
        at("joiner").and_then(Json::as_str) == Some("agent")
            && at("uses").is_none_or(|uses| uses.as_i64() == Some(1))
            && at("environment").is_none()
            && at("site").is_none()
    }

    /// Whether a new object says no more than a bastion knows of a machine it discovered: how it is recognised. What is
    /// to become of the machine is for people to say.
    fn may_enter(server: &Json) -> bool {
        let empty = |value: &Json| value.as_object().is_some_and(serde_json::Map::is_empty);
        let known =
            |(field, value): (&String, &Json)| matches!(field.as_str(), "macs" | "uuid") || empty(value);
        server.get("spec").and_then(Json::as_object).is_none_or(|spec| spec.iter().all(known))
    }
}
