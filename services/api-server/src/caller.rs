//! Who calls, and what is answered to those who may not.

use crate::request::RequestInfo;
use jiff::Timestamp;
use lab_access::credentials::{Certificate, Token};
use lab_object::{Reason, Status};
use std::{net::SocketAddr, sync::Arc};

pub use lab_access::policy::MASTERS;

/// The user of a request without credentials.
pub const ANONYMOUS: &str = "system:anonymous";

/// Who makes a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The user's name; [`ANONYMOUS`] without credentials.
    pub user: String,
    /// The user's groups.
    pub groups: Vec<String>,
    /// By what the user is known, for the audit trail: `certificate:` with the beginning of its SHA-256, or the like.
    /// Never the credential itself.
    pub credential: Arc<str>,
    /// Where the request came from; `None` within the process.
    pub address: Option<SocketAddr>,
    /// What they showed.
    pub shown: Credential,
}

/// What a caller showed to prove who they are. It is looked at again with every request, and while a watch runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Credential {
    /// Nothing; or the caller is a part of this process.
    #[default]
    None,
    /// A client certificate of our authority.
    Certificate(Arc<Certificate>),
    /// An API token.
    Token(Arc<Token>),
    /// A service account's token.
    Account(Arc<Account>),
}

/// A service account, as its token names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The tenant it is of.
    pub tenant: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// Until when its token is good.
    pub expires: Timestamp,
}

impl Credential {
    /// Until when it is good; `None` where it has no end.
    pub fn expires(&self) -> Option<Timestamp> {
        match self {
            Self::None => None,
            Self::Certificate(certificate) => Some(certificate.expires),
            Self::Token(token) => token.expires,
            Self::Account(account) => Some(account.expires),
        }
    }
}

impl Caller {
    /// A user in some groups, who showed nothing that could lapse.
    pub fn new<G: Into<String>>(user: impl Into<String>, groups: impl IntoIterator<Item = G>) -> Self {
        let groups = groups.into_iter().map(Into::into).collect();
        Self { user: user.into(), groups, credential: "none".into(), address: None, shown: Credential::None }
    }

    /// A caller without credentials.
    pub fn anonymous(address: Option<SocketAddr>) -> Self {
        Self { address, ..Self::new(ANONYMOUS, ["system:unauthenticated"]) }
    }

    /// A part of this process, such as a controller, which may do everything.
    pub fn internal(name: &str) -> Self {
        Self { credential: "internal".into(), ..Self::new(format!("system:{name}"), [MASTERS]) }
    }

    /// Whether the caller showed no credentials.
    pub fn is_anonymous(&self) -> bool {
        self.user == ANONYMOUS
    }

    /// Whether the caller came with a group.
    pub fn is_in(&self, group: &str) -> bool {
        self.groups.iter().any(|own| own == group)
    }
}

/// Paths that answer everyone: whether the server lives, and what it is.
const PUBLIC: [&str; 4] = ["/healthz", "/livez", "/readyz", "/version"];

/// Whether a path answers everyone.
pub(crate) fn is_public(path: &str) -> bool {
    PUBLIC.iter().any(|public| path.strip_prefix(public).is_some_and(|r| r.is_empty() || r.starts_with('/')))
}

/// 401 without credentials.
pub(crate) fn known(caller: &Caller) -> Result<(), Status> {
    if caller.is_anonymous() { Err(unauthorized("no certificate or token was shown")) } else { Ok(()) }
}

/// 401, in Kubernetes' word and with the reason.
pub(crate) fn unauthorized(why: impl std::fmt::Display) -> Status {
    Status::failure(Reason::Unauthorized, format!("Unauthorized: {why}"))
}

/// 403 for a path, in Kubernetes' words and with the reason.
pub(crate) fn forbidden_path(caller: &Caller, verb: &str, path: &str, why: &str) -> Status {
    let user = &caller.user;
    Status::failure(Reason::Forbidden, format!("forbidden: User {user:?} cannot {verb} path {path:?}: {why}"))
}

/// 403 for objects, in Kubernetes' words and with the reason.
pub(crate) fn forbidden(caller: &Caller, info: &RequestInfo, name: &str, why: &str) -> Status {
    let (user, verb, kind) = (&caller.user, info.verb.as_str(), &info.kind);
    let what = match &info.subresource {
        None => kind.plural.clone(),
        Some(subresource) => format!("{}/{}", kind.plural, subresource.path()),
    };
    let scope = if info.namespace.is_empty() {
        "at the cluster scope".into()
    } else {
        format!("in the namespace {:?}", info.namespace)
    };
    let subject = kind.qualified();
    let subject = if name.is_empty() { subject } else { format!("{subject} {name:?}") };
    let message = format!(
        "{subject} is forbidden: User {user:?} cannot {verb} resource {what:?} in API group {:?} {scope}: {why}",
        kind.group
    );
    let details = lab_object::StatusDetails {
        name: name.into(),
        group: kind.group.clone(),
        kind: kind.plural.clone(),
        ..Default::default()
    };
    Status::failure(Reason::Forbidden, message).with_details(details)
}
