//! Discovery: which groups, versions and resources there are, in the legacy and the aggregated form.

use crate::{document::Document, negotiate};
use bytes::Bytes;
use http::{HeaderMap, Response};
// What is served is what permissions know of.
use lab_access::review::{verbs_of, verbs_of_kind};
use lab_kinds::{Kind, Registry, Subresource};
use lab_object::{GroupVersionKind, Json};
use serde_json::json;
use std::collections::HashMap;

/// The discovery documents of a registry, made once.
pub struct Discovery {
    documents: HashMap<(String, Form), Document>,
}

/// The forms in which `/api` and `/apis` are given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Form {
    /// Group by group, version by version.
    Legacy,
    /// All at once, `apidiscovery.k8s.io/v2`.
    V2,
    /// The same, as kubectl before 1.30 asks for it.
    V2Beta1,
}

impl Form {
    fn content_type(self) -> &'static str {
        match self {
            Self::Legacy => negotiate::JSON,
            Self::V2 => "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
            Self::V2Beta1 => "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList",
        }
    }

    /// The form asked for; the legacy one where none is that we know.
    fn wanted(headers: &HeaderMap) -> Self {
        let aggregated = |clause: &negotiate::Clause<'_>| {
            let ours =
                clause.get("g") == "apidiscovery.k8s.io" && clause.get("as") == "APIGroupDiscoveryList";
            match clause.get("v") {
                _ if clause.get("as").is_empty() => Some(Self::Legacy),
                "v2" if ours => Some(Self::V2),
                "v2beta1" if ours => Some(Self::V2Beta1),
                _ => None,
            }
        };
        let clauses = negotiate::clauses(headers, http::header::ACCEPT);
        clauses.iter().filter(|c| c.is(negotiate::JSON)).find_map(aggregated).unwrap_or(Self::Legacy)
    }
}

impl Discovery {
    /// The documents for these kinds.
    pub fn new(registry: &Registry) -> Self {
        let mut discovery = Self { documents: HashMap::new() };
        let groups = registry.groups();
        let (core, named): (Vec<_>, Vec<_>) = groups.into_iter().partition(|(group, _)| group.is_empty());
        let core_versions: Vec<_> = core.iter().flat_map(|(_, versions)| versions.clone()).collect();
        discovery.add(
            "/api",
            Form::Legacy,
            json!({"kind": "APIVersions", "versions": core_versions, "serverAddressByClientCIDRs": []}),
        );
        let list: Vec<_> = named.iter().map(|(group, versions)| api_group(group, versions)).collect();
        discovery.add(
            "/apis",
            Form::Legacy,
            json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": list}),
        );
        for (path, groups) in [("/api", &core), ("/apis", &named)] {
            for (form, version) in [(Form::V2, "v2"), (Form::V2Beta1, "v2beta1")] {
                let items: Vec<_> =
                    groups.iter().map(|(g, versions)| aggregated(registry, g, versions)).collect();
                let list = json!({"kind": "APIGroupDiscoveryList", "metadata": {}, "items": items,
                    "apiVersion": format!("apidiscovery.k8s.io/{version}")});
                discovery.add(path, form, list);
            }
        }
        for (group, versions) in &named {
            let mut document = api_group(group, versions);
            document["kind"] = "APIGroup".into();
            document["apiVersion"] = "v1".into();
            discovery.add(&format!("/apis/{group}"), Form::Legacy, document);
        }
        for (group, versions) in core.iter().chain(&named) {
            for version in versions {
                let list = resources(registry, group, version);
                discovery.add(&group_version_path(group, version), Form::Legacy, list);
            }
        }
        discovery
    }

    /// The answer to a GET of `/api`, `/api/v1`, `/apis`, `/apis/<group>` or `/apis/<group>/<version>`, in the form
    /// that `Accept` asks for; 304 when `If-None-Match` names what would be sent. `None`: no such document.
    pub fn answer(&self, path: &str, headers: &HeaderMap) -> Option<Response<Bytes>> {
        let path = path.strip_suffix('/').unwrap_or(path).to_owned();
        let key = (path, Form::wanted(headers));
        let document = self.documents.get(&key).or_else(|| self.documents.get(&(key.0, Form::Legacy)))?;
        Some(document.answer(headers))
    }

    fn add(&mut self, path: &str, form: Form, document: Json) {
        let document = Document::new(form.content_type(), document.to_string());
        self.documents.insert((path.to_owned(), form), document);
    }
}

/// `/api/v1` or `/apis/<group>/<version>`.
pub(crate) fn group_version_path(group: &str, version: &str) -> String {
    if group.is_empty() { format!("/api/{version}") } else { format!("/apis/{group}/{version}") }
}

/// The verbs of a subresource, and the type that is read and written through it.
pub(crate) fn subresource(
    kind: &Kind,
    subresource: &Subresource,
) -> (&'static [&'static str], GroupVersionKind) {
    let named = |group: &str, version: &str, kind: &str| GroupVersionKind {
        group: group.into(),
        version: version.into(),
        kind: kind.into(),
    };
    let served = match subresource {
        Subresource::Status
        | Subresource::Finalize
        | Subresource::Log
        | Subresource::Logs
        | Subresource::Tunnel
        | Subresource::Agent
        | Subresource::Exec
        | Subresource::PortForward
        | Subresource::Journal => kind.gvk(),
        Subresource::Scale { .. } => named("autoscaling", "v1", "Scale"),
        Subresource::Token => named("authentication.k8s.io", "v1", "TokenRequest"),
        Subresource::SshCertificate => named("metal.lab", "v1alpha1", "SSHCertificateRequest"),
        Subresource::Password => named("iam.lab", "v1alpha1", "PasswordRequest"),
    };
    (verbs_of(subresource), served)
}

fn api_group(group: &str, versions: &[&str]) -> Json {
    let versions: Vec<_> =
        versions.iter().map(|v| json!({"groupVersion": format!("{group}/{v}"), "version": v})).collect();
    json!({"name": group, "preferredVersion": versions.first(), "versions": versions})
}

/// The resources of one group and version, each followed by its subresources.
fn resources(registry: &Registry, group: &str, version: &str) -> Json {
    let mut resources = Vec::new();
    for kind in registry.in_group_version(group, version) {
        let mut resource = json!({"name": kind.plural, "singularName": kind.singular, "kind": kind.kind,
            "namespaced": kind.namespaced(), "verbs": verbs_of_kind(kind)});
        set_unless_empty(&mut resource, "shortNames", &kind.short_names);
        set_unless_empty(&mut resource, "categories", &kind.categories);
        resources.push(resource);
        for part in &kind.subresources {
            let (verbs, served) = subresource(kind, part);
            let mut resource = json!({"name": format!("{}/{}", kind.plural, part.path()), "singularName": "",
                "kind": served.kind, "namespaced": kind.namespaced(), "verbs": verbs});
            if served != kind.gvk() {
                resource["group"] = served.group.into();
                resource["version"] = served.version.into();
            }
            resources.push(resource);
        }
    }
    let group_version = lab_object::GroupVersion::new(group, version).to_string();
    json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": resources})
}

/// One group with all there is in it.
fn aggregated(registry: &Registry, group: &str, versions: &[&str]) -> Json {
    let version = |version: &&str| {
        let resources: Vec<_> =
            registry.in_group_version(group, version).map(|k| aggregated_resource(k)).collect();
        json!({"version": version, "resources": resources, "freshness": "Current"})
    };
    let metadata = if group.is_empty() { json!({}) } else { json!({"name": group}) };
    json!({"metadata": metadata, "versions": versions.iter().map(version).collect::<Vec<_>>()})
}

fn aggregated_resource(kind: &Kind) -> Json {
    let scope = if kind.namespaced() { "Namespaced" } else { "Cluster" };
    let mut resource = json!({"resource": kind.plural, "responseKind": response_kind(kind.gvk()), "scope": scope,
        "singularResource": kind.singular, "verbs": verbs_of_kind(kind)});
    set_unless_empty(&mut resource, "shortNames", &kind.short_names);
    set_unless_empty(&mut resource, "categories", &kind.categories);
    let part = |part: &Subresource| {
        let (verbs, served) = subresource(kind, part);
        json!({"subresource": part.path(), "responseKind": response_kind(served), "verbs": verbs})
    };
    if !kind.subresources.is_empty() {
        resource["subresources"] = kind.subresources.iter().map(part).collect();
    }
    resource
}

fn response_kind(gvk: GroupVersionKind) -> Json {
    json!({"group": gvk.group, "version": gvk.version, "kind": gvk.kind})
}

fn set_unless_empty(resource: &mut Json, field: &str, names: &[String]) {
    if !names.is_empty() {
        resource[field] = names.into();
    }
}
