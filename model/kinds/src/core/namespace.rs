//! `Namespace`: a scope for names.

use crate::typed::{ApiVersion, KindName, resource, unset};
use crate::{Column, Condition, Define, Kind, NameRule, Subresource};
use lab_object::{Json, ObjectMeta};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Map;

/// Namespace provides a scope for names. Deleting a namespace deletes every object in it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Namespace {
    /// Group and version of the object's form: `v1`.
    pub api_version: ApiVersion<Self>,
    /// The object's kind: `Namespace`.
    pub kind: KindName<Self>,
    /// Standard object metadata.
    pub metadata: ObjectMeta,
    /// How the namespace is to behave.
    #[serde(skip_serializing_if = "unset")]
    pub spec: NamespaceSpec,
    /// What is the case; written by the server.
    #[serde(skip_serializing_if = "unset")]
    pub status: NamespaceStatus,
}

/// How a namespace is to behave.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct NamespaceSpec {
    /// Who must empty the namespace before it is removed. `kubernetes` stands for the server itself, which deletes
    /// every object in it. Changed only through the subresource `finalize`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub finalizers: Vec<String>,
}

/// What is the case with a namespace.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct NamespaceStatus {
    /// `Active`, or `Terminating` while the namespace is being emptied and removed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<NamespacePhase>,
    /// What keeps a namespace that is being removed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"],
        "x-kubernetes-patch-strategy" = "merge", "x-kubernetes-patch-merge-key" = "type"))]
    pub conditions: Vec<Condition>,
}

/// Where a namespace is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum NamespacePhase {
    /// In use.
    Active,
    /// Being emptied; nothing can be created in it any more.
    Terminating,
}

/// Namespaces that every tool expects: made at the first start, never deleted.
pub const PERMANENT: [&str; 2] = ["default", "kube-system"];

resource!(Namespace, "", "v1", "namespaces", namespaced: false);

impl Define for Namespace {
    fn define() -> Kind {
        Kind::of::<Self>("namespace")
            .short_names(&["ns"])
            .permanent(&PERMANENT)
            .named_by(NameRule::Label)
            .columns([Column::path(
                "Status",
                "status.phase",
                "Whether the namespace is in use or being removed.",
            )])
            .selectable(&["status.phase"])
            .subresource(Subresource::Status)
            .subresource(Subresource::Finalize)
            .defaulted_by(default)
            .built_in()
    }

    fn example() -> Self {
        Self {
            metadata: ObjectMeta { name: Some("team-a".into()), ..Default::default() },
            spec: NamespaceSpec { finalizers: vec!["kubernetes".into()] },
            status: NamespaceStatus { phase: Some(NamespacePhase::Active), ..Default::default() },
            ..Default::default()
        }
    }
}

/// Gives a namespace its name as a label, by which network policies and others select it, and its first phase.
fn default(namespace: &mut Json) {
    if let Some(name) = namespace.pointer("/metadata/name").cloned()
        && let Some(labels) = map_in(namespace.get_mut("metadata"), "labels")
    {
        labels.insert("kubernetes.io/metadata.name".into(), name);
    }
    if let Some(status) = map_in(Some(namespace), "status") {
        status.entry("phase").or_insert_with(|| "Active".into());
    }
}

/// The map at a field of an object; an absent one is made.
fn map_in<'a>(object: Option<&'a mut Json>, field: &str) -> Option<&'a mut Map<String, Json>> {
    object?.as_object_mut()?.entry(field).or_insert_with(|| Map::new().into()).as_object_mut()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn label_and_phase() {
        let check = |mut namespace: Json, expected: Json| {
            default(&mut namespace);
            assert_eq!(namespace, expected);
        };
        check(
            json!({"metadata": {"name": "a"}}),
            json!({"metadata": {"name": "a", "labels": {"kubernetes.io/metadata.name": "a"}}, "status": {"phase": "Active"}}),
        );
        check(
            json!({"metadata": {"name": "a", "labels": {"x": "y", "kubernetes.io/metadata.name": "b"}},
                "status": {"phase": "Terminating"}}),
            json!({"metadata": {"name": "a", "labels": {"x": "y", "kubernetes.io/metadata.name": "a"}},
                "status": {"phase": "Terminating"}}),
        );
    }
}
