//! Who calls, and the one place where it is decided what they may do.

use lab_object::{Reason, Status};
use std::net::SocketAddr;

/// The group that may do everything, as Kubernetes names it.
pub const MASTERS: &str = "system:masters";
/// The user of a request without credentials.
pub const ANONYMOUS: &str = "system:anonymous";

/// Who makes a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The user's name; [`ANONYMOUS`] without credentials.
    pub user: String,
    /// The user's groups.
    pub groups: Vec<String>,
    /// Where the request came from; `None` within the process.
    pub address: Option<SocketAddr>,
}

impl Caller {
    /// A caller without credentials.
    pub fn anonymous(address: Option<SocketAddr>) -> Self {
        Self { user: ANONYMOUS.into(), groups: vec!["system:unauthenticated".into()], address }
    }

    /// A part of this process, such as a controller, which may do everything.
    pub fn internal(name: &str) -> Self {
        Self { user: format!("system:{name}"), groups: vec![MASTERS.into()], address: None }
    }

    /// Whether the caller showed no credentials.
    pub fn is_anonymous(&self) -> bool {
        self.user == ANONYMOUS
    }
}

/// What a caller asks to do.
#[derive(Debug, Clone, Copy)]
pub struct Attributes<'a> {
    /// Kubernetes' verb: `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`.
    pub verb: &'a str,
    /// To what.
    pub target: Target<'a>,
}

/// What an action is aimed at.
#[derive(Debug, Clone, Copy)]
pub enum Target<'a> {
    /// A path that is no object's, such as `/metrics`.
    Path(&'a str),
    /// An object, or all of a kind.
    Objects {
        /// The tenant.
        tenant: &'a str,
        /// Group of the kind; empty for the core group.
        group: &'a str,
        /// Plural of the kind.
        resource: &'a str,
        /// The subresource; empty for the object itself.
        subresource: &'a str,
        /// The namespace; empty without one, or for all of them.
        namespace: &'a str,
        /// Name of the object; empty for all of a kind.
        name: &'a str,
    },
}

/// Decides who may do what.
pub trait Authorizer: Send + Sync + 'static {
    /// `Ok` when the caller may; else the reason, for people.
    fn authorize(&self, caller: &Caller, attributes: &Attributes<'_>) -> Result<(), String>;
}

/// The first policy: whoever is of [`MASTERS`] may do everything, and nobody else anything.
#[derive(Debug, Clone, Copy)]
pub struct MastersOnly;

impl Authorizer for MastersOnly {
    fn authorize(&self, caller: &Caller, _: &Attributes<'_>) -> Result<(), String> {
        if caller.groups.iter().any(|group| group == MASTERS) {
            Ok(())
        } else {
            Err(format!("only members of group {MASTERS:?} have access"))
        }
    }
}

/// Paths that answer everyone: whether the server lives, and what it is.
const PUBLIC: [&str; 4] = ["/healthz", "/livez", "/readyz", "/version"];

/// Admits a request or refuses it: 401 without credentials, 403 without permission.
pub(crate) fn admit(
    authorizer: &dyn Authorizer,
    caller: &Caller,
    attributes: &Attributes<'_>,
) -> Result<(), Status> {
    if let Target::Path(path) = attributes.target
        && PUBLIC
            .iter()
            .any(|public| path.strip_prefix(public).is_some_and(|r| r.is_empty() || r.starts_with('/')))
    {
        return Ok(());
    }
    if caller.is_anonymous() {
        return Err(Status::failure(Reason::Unauthorized, "Unauthorized"));
    }
    authorizer.authorize(caller, attributes).map_err(|why| forbidden(caller, attributes, &why))
}

fn forbidden(caller: &Caller, attributes: &Attributes<'_>, why: &str) -> Status {
    let (user, verb) = (&caller.user, attributes.verb);
    match attributes.target {
        Target::Path(path) => Status::failure(
            Reason::Forbidden,
            format!("forbidden: User {user:?} cannot {verb} path {path:?}: {why}"),
        ),
        Target::Objects { group, resource, subresource, namespace, name, .. } => {
            let what =
                if subresource.is_empty() { resource.into() } else { format!("{resource}/{subresource}") };
            let scope = if namespace.is_empty() {
                "at the cluster scope".into()
            } else {
                format!("in the namespace {namespace:?}")
            };
            let subject = Status::qualified(resource, group);
            let subject = if name.is_empty() { subject } else { format!("{subject} {name:?}") };
            let message = format!(
                "{subject} is forbidden: User {user:?} cannot {verb} resource {what:?} in API group {group:?} {scope}: {why}"
            );
            let details = lab_object::StatusDetails {
                name: name.into(),
                group: group.into(),
                kind: resource.into(),
                ..Default::default()
            };
            Status::failure(Reason::Forbidden, message).with_details(details)
        }
    }
}
