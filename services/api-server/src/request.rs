//! What a request asks for, read from its method, path and query.

mod query;

use crate::fault::bad_request;
use crate::key::{DEFAULT_TENANT, is_segment};
use http::Method;
use lab_kinds::{Kind, Registry, Scope, Subresource};
use lab_object::{Reason, Status};
use percent_encoding::percent_decode_str;
pub use query::{Propagation, Query, VersionMatch};
pub(crate) use query::{dry_run, grace_period, propagation};
use std::{borrow::Cow, sync::Arc};

/// Where a request goes.
#[derive(Clone)]
pub enum Route {
    /// To a path that is no object's: discovery, health, metrics, OpenAPI.
    Path {
        /// The tenant.
        tenant: String,
        /// The path without the tenant's prefix and without a trailing slash.
        path: String,
    },
    /// To objects of a kind.
    Objects(Box<RequestInfo>),
}

/// A request for objects.
#[derive(Clone)]
pub struct RequestInfo {
    /// What to do.
    pub verb: Verb,
    /// The tenant.
    pub tenant: String,
    /// The kind.
    pub kind: Arc<Kind>,
    /// The namespace; empty for kinds without, and for all namespaces of a kind.
    pub namespace: String,
    /// Name (or another name) of the object; empty for all of a kind.
    pub name: String,
    /// The part of the object that is meant.
    pub subresource: Option<Subresource>,
    /// The options.
    pub query: Query,
}

/// What to do with objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are Kubernetes' own and say it")]
pub enum Verb {
    Get,
    List,
    Watch,
    Create,
    Update,
    Patch,
    Delete,
    DeleteCollection,
}

impl Verb {
    /// The verb as authorisation, metrics and messages write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::List => "list",
            Self::Watch => "watch",
            Self::Create => "create",
            Self::Update => "update",
            Self::Patch => "patch",
            Self::Delete => "delete",
            Self::DeleteCollection => "deletecollection",
        }
    }

    /// Whether it changes nothing.
    pub fn is_read(self) -> bool {
        matches!(self, Self::Get | Self::List | Self::Watch)
    }
}

/// Reads where a request goes. Fails with 400 (a path or option that cannot be read), 404 (nothing there) or 405.
pub fn route(registry: &Registry, method: &Method, path: &str, query: Option<&str>) -> Result<Route, Status> {
    let mut segments = segments(path)?;
    let tenant = match segments.as_slice() {
        [first, _, ..] if first == "clusters" => {
            let tenant = segments.remove(1).into_owned();
            segments.remove(0);
            tenant_name(tenant)?
        }
        _ => DEFAULT_TENANT.to_owned(),
    };
    let segments: Vec<&str> = segments.iter().map(AsRef::as_ref).collect();
    let (group, version, rest) = match segments.as_slice() {
        ["api", version, rest @ ..] if !rest.is_empty() => ("", *version, rest),
        ["apis", group, version, rest @ ..] if !rest.is_empty() => (*group, *version, rest),
        _ => return Ok(Route::Path { tenant, path: format!("/{}", segments.join("/")) }),
    };
    let mut query = Query::parse(query.unwrap_or_default())?;
    let (old_watch, rest) = match rest {
        ["watch", rest @ ..] => (true, rest),
        _ => (false, rest),
    };
    let mut place = place(registry, group, version, rest).ok_or_else(unknown_path)?;
    if old_watch {
        watch_by_path(method, &mut place, &mut query)?;
    }
    let verb = verb(method, &place, &query)?;
    let Place { kind, namespace, name, subresource } = place;
    let (namespace, name) = (namespace.to_owned(), name.to_owned());
    Ok(Route::Objects(Box::new(RequestInfo { verb, tenant, kind, namespace, name, subresource, query })))
}

/// Splits and decodes a path. A single slash at its end is let pass, as Kubernetes does.
fn segments(path: &str) -> Result<Vec<Cow<'_, str>>, Status> {
    let inner = path.strip_prefix('/').unwrap_or(path);
    let inner = inner.strip_suffix('/').unwrap_or(inner);
    if inner.is_empty() {
        return Ok(Vec::new());
    }
    inner
        .split('/')
        .map(|raw| {
            percent_decode_str(raw).decode_utf8().ok().filter(|segment| is_segment(segment)).ok_or_else(|| {
                bad_request(format!(
                    "the path has a segment {raw:?}: segments must be UTF-8, not empty, not \".\" or \"..\", and hold no slash, backslash, percent or control character"
                ))
            })
        })
        .collect()
}

fn tenant_name(tenant: String) -> Result<String, Status> {
    let label = tenant.len() <= 63
        && tenant.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !tenant.starts_with('-')
        && !tenant.ends_with('-');
    if label {
        Ok(tenant)
    } else {
        Err(bad_request(format!("the tenant {tenant:?} is not an RFC 1123 label")))
    }
}

/// `…/watch/…` of before `?watch=true`: deprecated, and still what some clients send.
fn watch_by_path(method: &Method, place: &mut Place<'_>, query: &mut Query) -> Result<(), Status> {
    if place.subresource.is_some() {
        return Err(unknown_path());
    }
    if !matches!(*method, Method::GET | Method::HEAD) {
        return Err(not_allowed(method));
    }
    query.watch = true;
    let name = std::mem::take(&mut place.name);
    if !name.is_empty() {
        let comma = if query.field_selector.is_empty() { "" } else { "," };
        query.field_selector += &format!("{comma}metadata.name={name}");
    }
    query.check()
}

/// The methods that a path takes, as the header `Allow` of a 405 lists them (RFC 9110 section 15.5.6).
pub(crate) fn allowed(registry: &Registry, path: &str) -> String {
    let takes = |method: &Method| match route(registry, method, path, None) {
        Ok(Route::Path { .. }) => matches!(*method, Method::GET | Method::HEAD),
        Ok(Route::Objects(_)) => true,
        Err(_) => false,
    };
    let methods = [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];
    let taken: Vec<&str> = methods.iter().filter(|m| takes(m)).map(Method::as_str).collect();
    taken.join(", ")
}

struct Place<'a> {
    kind: Arc<Kind>,
    namespace: &'a str,
    name: &'a str,
    subresource: Option<Subresource>,
}

fn place<'a>(registry: &Registry, group: &str, version: &str, rest: &[&'a str]) -> Option<Place<'a>> {
    let (namespace, rest) = match rest {
        ["namespaces", _, "status" | "finalize"] | ["namespaces"] | ["namespaces", _] => ("", rest),
        ["namespaces", namespace, rest @ ..] => (*namespace, rest),
        _ => ("", rest),
    };
    let (resource, name, part) = match rest {
        [resource] => (resource, "", None),
        [resource, name] => (resource, *name, None),
        [resource, name, part] => (resource, *name, Some(*part)),
        _ => return None,
    };
    let kind = registry.by_resource(group, version, resource)?.clone();
    let misplaced = match kind.scope {
        Scope::Cluster => !namespace.is_empty(),
        Scope::Namespaced => namespace.is_empty() && !name.is_empty(),
    };
    if misplaced {
        return None;
    }
    let subresource = match part {
        None => None,
        Some(part) => Some(kind.subresources.iter().find(|s| s.path() == part)?.clone()),
    };
    Some(Place { kind, namespace, name, subresource })
}

fn verb(method: &Method, place: &Place<'_>, query: &Query) -> Result<Verb, Status> {
    let one = !place.name.is_empty();
    let everywhere = place.kind.scope == Scope::Namespaced && place.namespace.is_empty();
    let verb = match (method.as_str(), &place.subresource) {
        (method_of, Some(part)) if only(part).is_some() => match only(part) {
            Some((expected, verb)) if expected == method_of => verb,
            _ => return Err(not_allowed(method)),
        },
        ("PUT", Some(_)) => Verb::Update,
        ("GET" | "HEAD", Some(Subresource::Finalize)) => return Err(not_allowed(method)),
        ("PATCH", Some(Subresource::Status | Subresource::Scale { .. })) => Verb::Patch,
        ("GET" | "HEAD", _) if one => Verb::Get,
        ("GET" | "HEAD", _) if query.watch => Verb::Watch,
        ("GET" | "HEAD", _) => Verb::List,
        ("POST", None) if !one && !everywhere => Verb::Create,
        ("PUT", None) if one => Verb::Update,
        ("PATCH", None) if one => Verb::Patch,
        ("DELETE", None) if one => Verb::Delete,
        ("DELETE", None) if !everywhere => Verb::DeleteCollection,
        _ => return Err(not_allowed(method)),
    };
    if place.kind.read_only && !matches!(verb, Verb::Get | Verb::List) {
        return Err(not_allowed(method));
    }
    Ok(verb)
}

/// The method and the verb of a subresource that has only one.
fn only(part: &Subresource) -> Option<(&'static str, Verb)> {
    match part {
        Subresource::Token
        | Subresource::Password
        | Subresource::Logs
        | Subresource::Tunnel
        | Subresource::Exec
        | Subresource::SshCertificate
        | Subresource::PortForward => Some(("POST", Verb::Create)),
        Subresource::Log | Subresource::Agent | Subresource::Journal => Some(("GET", Verb::Get)),
        Subresource::Status | Subresource::Scale { .. } | Subresource::Finalize => None,
    }
}

/// 404 for a path that leads nowhere, in the words clients know.
pub(crate) fn unknown_path() -> Status {
    Status::failure(Reason::NotFound, "the server could not find the requested resource")
}

/// 405.
pub(crate) fn not_allowed(method: &Method) -> Status {
    let message = format!("the server does not allow this method on the requested resource: {method}");
    Status::failure(Reason::MethodNotAllowed, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::{self, Key};
    use proptest::prelude::*;

    /// A path may hold anything; what comes out of it names exactly one place, in the tenant that was asked for.
    fn stays_in_its_place(path: &str) -> Result<(), TestCaseError> {
        let registry = lab_kinds::registry();
        let Ok(Route::Objects(info)) = route(&registry, &Method::GET, path, None) else { return Ok(()) };
        let key = key::object(&info.tenant, &info.kind, &info.namespace, &info.name);
        let expected = Key {
            tenant: &info.tenant,
            group: &info.kind.group,
            resource: &info.kind.plural,
            namespace: &info.namespace,
            name: &info.name,
        };
        prop_assert_eq!(Key::parse(&key), Some(expected));
        prop_assert!(!info.name.contains('/') && !info.namespace.contains('/') && !info.tenant.contains('/'));
        prop_assert!(key.starts_with(&key::prefix(&info.tenant, &info.kind, &info.namespace)));
        Ok(())
    }

    proptest! {
        #[test]
        fn no_name_leaves_its_place(
            tenant in "(/clusters/([a-z0-9-]|%2e|%2f|\\.){0,6})?",
            namespace in "([a-z]|%2e|%2f|%00|\\.|%25){0,6}",
            name in "([a-z.:%/-]|%2E|%2F|%5c|%ff){0,8}",
        ) {
            stays_in_its_place(&format!("{tenant}/api/v1/namespaces/{namespace}/configmaps/{name}"))?;
            stays_in_its_place(&format!("{tenant}/apis/metal.lab/v1alpha1/servers/{name}"))?;
        }

        #[test]
        fn no_text_makes_it_panic(method in "GET|PUT|POST|PATCH|DELETE|X", path in "/.{0,40}", query in ".{0,40}") {
            let method = method.parse::<Method>().unwrap();
            let _ = route(&lab_kinds::registry(), &method, &path, Some(&query));
        }
    }
}
