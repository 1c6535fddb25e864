//! `Namespace`: a scope for names.

use crate::typed::{ApiVersion, KindName, resource, unset};
use crate::{Column, Condition, Define, Kind, NameRule, Subresource};
use lab_object::{Json, ObjectMeta};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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

resource!(Namespace, "", "v1", "namespaces", namespaced: false);

impl Define for Namespace {
    fn define() -> Kind {
        Kind::of::<Self>("namespace")
            .short_names(&["ns"])
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
        && let Some(metadata) = namespace.get_mut("metadata").and_then(Json::as_object_mut)
    {
        let labels = metadata.entry("labels").or_insert_with(|| Json::Object(Default::default()));
        if let Some(labels) = labels.as_object_mut() {
            labels.insert("kubernetes.io/metadata.name".into(), name);
        }
    }
    if namespace.pointer("/status/phase").is_none()
        && let Some(namespace) = namespace.as_object_mut()
    {
        let status = namespace.entry("status").or_insert_with(|| Json::Object(Default::default()));
        if let Some(status) = status.as_object_mut() {
            status.insert("phase".into(), "Active".into());
        }
    }
}
