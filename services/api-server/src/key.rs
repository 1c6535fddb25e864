//! Where objects lie in the store: `/<tenant>/<group or core>/<resource>/<namespace or nothing>/<name>`.
//!
//! A prefix ending in `/` selects one tenant's kind, or one namespace of it. Nothing that becomes part of a key may hold
//! a `/`, so that no name reaches beyond its own place: paths are checked by [`crate::request`], names in bodies by
//! admission, and both again here by [`is_segment`].

use lab_kinds::Kind;

/// The tenant of paths without a `/clusters/<tenant>` prefix.
pub const DEFAULT_TENANT: &str = "default";

/// How the core group, whose name is empty, is written in keys.
const CORE: &str = "core";

/// A key taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key<'a> {
    /// The tenant.
    pub tenant: &'a str,
    /// The group; empty for the core group.
    pub group: &'a str,
    /// Plural of the kind.
    pub resource: &'a str,
    /// The namespace; empty for kinds without.
    pub namespace: &'a str,
    /// The object's name.
    pub name: &'a str,
}

impl<'a> Key<'a> {
    /// Takes a key apart; `None` when it is none of ours.
    pub fn parse(key: &'a str) -> Option<Self> {
        let mut parts = key.strip_prefix('/')?.splitn(5, '/');
        let mut next = || parts.next();
        let (tenant, group, resource, namespace, name) = (next()?, next()?, next()?, next()?, next()?);
        let group = if group == CORE { "" } else { group };
        Some(Self { tenant, group, resource, namespace, name })
    }
}

/// Whether a text may be a segment of a path and a key.
pub fn is_segment(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 253
        && text != "."
        && text != ".."
        && !text.chars().any(|c| c == '/' || c == '%' || c == '\\' || c.is_control())
}

/// The prefix of all objects of a kind; with a namespace, of those in it.
pub fn prefix(tenant: &str, kind: &Kind, namespace: &str) -> String {
    let group = if kind.group.is_empty() { CORE } else { &kind.group };
    let mut prefix = String::with_capacity(128);
    for part in [tenant, group, &kind.plural] {
        prefix.push('/');
        prefix.push_str(part);
    }
    prefix.push('/');
    if !namespace.is_empty() {
        prefix.push_str(namespace);
        prefix.push('/');
    }
    prefix
}

/// The key of one object; `namespace` is empty for kinds without.
pub fn object(tenant: &str, kind: &Kind, namespace: &str, name: &str) -> String {
    let mut key = prefix(tenant, kind, namespace);
    if namespace.is_empty() {
        key.push('/');
    }
    key.push_str(name);
    key
}
