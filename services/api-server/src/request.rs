//! What a request asks for, read from its method, path and query.

use crate::key::{DEFAULT_TENANT, is_segment};
use http::Method;
use jiff::Timestamp;
use lab_admission::FieldValidation;
use lab_kinds::{Kind, Registry, Scope, Subresource};
use lab_object::{Cause, FieldError, Json, Reason, Status, StatusDetails};
use percent_encoding::percent_decode_str;
use std::{borrow::Cow, sync::Arc, time::Duration};

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

/// How `resourceVersion` is meant in a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VersionMatch {
    /// At exactly that revision.
    Exact,
    /// At that revision or any later one.
    NotOlderThan,
}

/// What becomes of an object's dependents when it is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Propagation {
    /// They stay, without this owner.
    Orphan,
    /// They are deleted afterwards.
    Background,
    /// They are deleted first.
    Foreground,
}

/// The options of a request, from its query.
#[derive(Debug, Clone, Default)]
pub struct Query {
    /// `labelSelector`.
    pub label_selector: String,
    /// `fieldSelector`.
    pub field_selector: String,
    /// `limit`; `None` for no limit.
    pub limit: Option<usize>,
    /// `continue`.
    pub continue_token: Option<String>,
    /// `resourceVersion`.
    pub resource_version: Option<u64>,
    /// `resourceVersionMatch`.
    pub version_match: Option<VersionMatch>,
    /// `watch`.
    pub watch: bool,
    /// `allowWatchBookmarks`.
    pub allow_bookmarks: bool,
    /// `sendInitialEvents`.
    pub send_initial_events: Option<bool>,
    /// `timeoutSeconds`.
    pub timeout: Option<Duration>,
    /// `dryRun=All`.
    pub dry_run: bool,
    /// `fieldManager`.
    pub field_manager: Option<String>,
    /// `fieldValidation`.
    pub field_validation: FieldValidation,
    /// `force`.
    pub force: Option<bool>,
    /// `includeObject`.
    pub include_object: Option<String>,
    /// `gracePeriodSeconds`.
    pub grace_period: Option<i64>,
    /// `orphanDependents`.
    pub orphan_dependents: Option<bool>,
    /// `propagationPolicy`.
    pub propagation: Option<Propagation>,
    /// `since`, of the audit trail: entries from this time on.
    pub since: Option<Timestamp>,
    /// `until`, of the audit trail: entries up to this time.
    pub until: Option<Timestamp>,
    /// `last`, of the audit trail: only so many, the newest.
    pub last: Option<usize>,
    /// `follow`, of a log.
    pub follow: bool,
    /// `tailLines`, of a log.
    pub tail_lines: Option<usize>,
    /// `stage`, of a log.
    pub stage: Option<String>,
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
        ("POST", Some(Subresource::Token | Subresource::Password | Subresource::Logs)) => Verb::Create,
        ("GET", Some(Subresource::Log)) => Verb::Get,
        (_, Some(Subresource::Token | Subresource::Password | Subresource::Logs | Subresource::Log)) => {
            return Err(not_allowed(method));
        }
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

impl Query {
    /// Reads the options of a query. Unknown ones are left alone; one that cannot be read is named in a 400 or 422.
    pub fn parse(query: &str) -> Result<Self, Status> {
        let mut options = Self::default();
        for (name, value) in pairs(query) {
            options.set(&name?, &value?)?;
        }
        options.check()?;
        Ok(options)
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), Status> {
        match name {
            "labelSelector" => self.label_selector = value.into(),
            "fieldSelector" => self.field_selector = value.into(),
            "limit" => self.limit = number(name, value)?.filter(|&n| n > 0).map(|n| n as usize),
            "continue" => self.continue_token = Some(value.to_owned()).filter(|v| !v.is_empty()),
            "resourceVersion" => self.resource_version = version(value)?,
            "resourceVersionMatch" => self.version_match = version_match(value)?,
            "watch" => self.watch = boolean(name, value)?,
            "allowWatchBookmarks" => self.allow_bookmarks = boolean(name, value)?,
            "sendInitialEvents" => self.send_initial_events = Some(boolean(name, value)?),
            "timeoutSeconds" => {
                self.timeout = number(name, value)?.filter(|&n| n > 0).map(|n| Duration::from_secs(n as u64));
            }
            "dryRun" => self.dry_run = dry_run(value)?,
            "fieldManager" => self.field_manager = field_manager(value)?,
            "fieldValidation" => self.field_validation = field_validation(value)?,
            "force" => self.force = Some(boolean(name, value)?),
            "includeObject" => self.include_object = Some(value.to_owned()).filter(|v| !v.is_empty()),
            "gracePeriodSeconds" => self.grace_period = grace_period(number(name, value)?)?,
            "orphanDependents" => self.orphan_dependents = Some(boolean(name, value)?),
            "propagationPolicy" => self.propagation = propagation(value)?,
            "since" => self.since = time(name, value)?,
            "until" => self.until = time(name, value)?,
            "last" => self.last = number(name, value)?.filter(|&n| n > 0).map(|n| n as usize),
            "follow" => self.follow = boolean(name, value)?,
            "tailLines" => self.tail_lines = number(name, value)?.and_then(|n| usize::try_from(n).ok()),
            "stage" => self.stage = Some(value.to_owned()).filter(|v| !v.is_empty()),
            _ => {}
        }
        Ok(())
    }

    /// Options that exclude one another, in Kubernetes' words.
    fn check(&self) -> Result<(), Status> {
        let mut errors = Vec::new();
        let field = "resourceVersionMatch";
        if self.watch {
            if self.version_match.is_some() && self.send_initial_events.is_none() {
                errors.push(FieldError::forbidden(
                    field,
                    "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
                ));
            }
            if self.send_initial_events.is_some() && self.version_match != Some(VersionMatch::NotOlderThan) {
                errors.push(FieldError::forbidden(
                    field,
                    "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
                ));
            }
        } else {
            if self.send_initial_events.is_some() {
                errors.push(FieldError::forbidden(
                    "sendInitialEvents",
                    "sendInitialEvents is forbidden for list",
                ));
            }
            if self.version_match.is_some() && self.resource_version.is_none() {
                errors.push(FieldError::forbidden(
                    field,
                    "resourceVersionMatch is forbidden unless resourceVersion is provided",
                ));
            }
            if self.version_match.is_some() && self.continue_token.is_some() {
                errors.push(FieldError::forbidden(
                    field,
                    "resourceVersionMatch is forbidden when continue is provided",
                ));
            }
            if self.version_match == Some(VersionMatch::Exact) && self.resource_version == Some(0) {
                errors.push(FieldError::forbidden(
                    field,
                    "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"",
                ));
            }
        }
        if errors.is_empty() {
            Ok(())
        } else {
            Err(Status::invalid("ListOptions", "meta.k8s.io", "", &errors))
        }
    }
}

/// A decoded text, or the refusal of one that is not UTF-8.
type Decoded<'a> = Result<Cow<'a, str>, Status>;

/// The pairs of a query, decoded: `+` is a space, as forms and Go's clients write it.
fn pairs(query: &str) -> impl Iterator<Item = (Decoded<'_>, Decoded<'_>)> {
    query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode(name), decode(value))
    })
}

fn decode(raw: &str) -> Decoded<'_> {
    let not_utf8 = |_| bad_request(format!("the query holds {raw:?}, which is not UTF-8"));
    if !raw.contains('+') {
        return percent_decode_str(raw).decode_utf8().map_err(not_utf8);
    }
    let spaced = raw.replace('+', " ");
    percent_decode_str(&spaced).decode_utf8().map(|text| Cow::Owned(text.into_owned())).map_err(not_utf8)
}

fn number(name: &str, value: &str) -> Result<Option<i64>, Status> {
    if value.is_empty() {
        return Ok(None);
    }
    value.parse().map(Some).map_err(|_| bad_parameter(name, value, "a whole number"))
}

/// A moment (RFC 3339); nothing for an empty value.
fn time(name: &str, value: &str) -> Result<Option<Timestamp>, Status> {
    if value.is_empty() {
        return Ok(None);
    }
    let read = value.parse();
    read.map(Some).map_err(|_| {
        bad_request(format!("{name}={value:?} is no time; write it like 2026-11-21T12:00:00Z (RFC 3339)"))
    })
}

fn boolean(name: &str, value: &str) -> Result<bool, Status> {
    match value.to_ascii_lowercase().as_str() {
        // `?watch` alone means yes.
        "" | "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err(bad_parameter(name, value, "true or false")),
    }
}

fn version(value: &str) -> Result<Option<u64>, Status> {
    if value.is_empty() {
        return Ok(None);
    }
    value
        .parse()
        .map(Some)
        .map_err(|_| bad_parameter("resourceVersion", value, "a version the server gave out"))
}

fn version_match(value: &str) -> Result<Option<VersionMatch>, Status> {
    match value {
        "" => Ok(None),
        "Exact" => Ok(Some(VersionMatch::Exact)),
        "NotOlderThan" => Ok(Some(VersionMatch::NotOlderThan)),
        _ => Err(unsupported("ListOptions", "resourceVersionMatch", value, &["Exact", "NotOlderThan"])),
    }
}

pub(crate) fn dry_run(value: &str) -> Result<bool, Status> {
    match value {
        "All" => Ok(true),
        "" => Ok(false),
        _ => Err(unsupported("Options", "dryRun", value, &["All"])),
    }
}

fn field_manager(value: &str) -> Result<Option<String>, Status> {
    let why = if value.chars().count() > 128 {
        "may not be more than 128 characters"
    } else if value.chars().any(char::is_control) {
        "should only contain printable characters"
    } else {
        return Ok(Some(value.to_owned()).filter(|v| !v.is_empty()));
    };
    let error = FieldError::invalid("fieldManager", &Json::from(value), why);
    Err(Status::invalid("Options", "meta.k8s.io", "", &[error]))
}

fn field_validation(value: &str) -> Result<FieldValidation, Status> {
    match value {
        "" | "Warn" => Ok(FieldValidation::Warn),
        "Ignore" => Ok(FieldValidation::Ignore),
        "Strict" => Ok(FieldValidation::Strict),
        _ => Err(unsupported("Options", "fieldValidation", value, &["Ignore", "Strict", "Warn"])),
    }
}

pub(crate) fn propagation(value: &str) -> Result<Option<Propagation>, Status> {
    match value {
        "" => Ok(None),
        "Orphan" => Ok(Some(Propagation::Orphan)),
        "Background" => Ok(Some(Propagation::Background)),
        "Foreground" => Ok(Some(Propagation::Foreground)),
        _ => {
            let allowed = ["Foreground", "Background", "Orphan"];
            Err(unsupported("DeleteOptions", "propagationPolicy", value, &allowed))
        }
    }
}

pub(crate) fn grace_period(seconds: Option<i64>) -> Result<Option<i64>, Status> {
    match seconds {
        Some(negative) if negative < 0 => {
            let error = FieldError::invalid(
                "gracePeriodSeconds",
                &Json::from(negative),
                "must be greater than or equal to 0",
            );
            Err(Status::invalid("DeleteOptions", "meta.k8s.io", "", &[error]))
        }
        other => Ok(other),
    }
}

fn unsupported(options: &str, field: &str, value: &str, allowed: &[&str]) -> Status {
    let error = FieldError::not_supported(field, &Json::from(value), allowed);
    Status::invalid(options, "meta.k8s.io", "", &[error])
}

fn bad_parameter(name: &str, value: &str, expected: &str) -> Status {
    let message = format!("the query parameter {name} must be {expected}, not {value:?}");
    let cause = Cause { reason: "FieldValueInvalid".into(), message: message.clone(), field: name.into() };
    bad_request(message).with_details(StatusDetails { causes: vec![cause], ..Default::default() })
}

fn bad_request(message: String) -> Status {
    Status::failure(Reason::BadRequest, message)
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
