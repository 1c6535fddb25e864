//! `ServiceAccount`: an identity for programs.

use crate::typed::{ApiVersion, KindName, resource, unset};
use crate::{Column, ColumnType, Define, Kind, Subresource};
use lab_object::{Json, ObjectMeta};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// ServiceAccount is an identity for programs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceAccount {
    /// Group and version of the object's form: `v1`.
    pub api_version: ApiVersion<Self>,
    /// The object's kind: `ServiceAccount`.
    pub kind: KindName<Self>,
    /// Standard object metadata.
    pub metadata: ObjectMeta,
    /// Secrets that pods running as this account may use.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"],
        "x-kubernetes-patch-strategy" = "merge", "x-kubernetes-patch-merge-key" = "name"))]
    pub secrets: Vec<ObjectReference>,
    /// Secrets with which images are pulled for pods running as this account.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub image_pull_secrets: Vec<LocalObjectReference>,
    /// Whether pods running as this account get a token for the API. Pods can say otherwise for themselves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub automount_service_account_token: Option<bool>,
}

/// Names an object, or a part of one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-map-type" = "atomic"))]
pub struct ObjectReference {
    /// `apiVersion` of the object.
    #[serde(skip_serializing_if = "unset")]
    pub api_version: String,
    /// Kind of the object.
    #[serde(skip_serializing_if = "unset")]
    pub kind: String,
    /// Namespace of the object; empty for kinds without one.
    #[serde(skip_serializing_if = "unset")]
    pub namespace: String,
    /// Name of the object.
    #[serde(skip_serializing_if = "unset")]
    pub name: String,
    /// UID of the object.
    #[serde(skip_serializing_if = "unset")]
    pub uid: String,
    /// Revision of the object that is meant.
    #[serde(skip_serializing_if = "unset")]
    pub resource_version: String,
    /// The part of the object that is meant, such as `spec.containers{web}`.
    #[serde(skip_serializing_if = "unset")]
    pub field_path: String,
}

/// Names an object in the same namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-map-type" = "atomic"))]
pub struct LocalObjectReference {
    /// Name of the object.
    #[serde(skip_serializing_if = "unset")]
    pub name: String,
}

resource!(ServiceAccount, "", "v1", "serviceaccounts", namespaced: true);

impl Define for ServiceAccount {
    fn define() -> Kind {
        Kind::of::<Self>("serviceaccount")
            .short_names(&["sa"])
            .columns([Column::with("Secrets", count, "How many secrets the account refers to.")
                .of_type(ColumnType::Integer)])
            .subresource(Subresource::Token)
            .built_in()
    }

    fn example() -> Self {
        Self {
            metadata: ObjectMeta {
                name: Some("default".into()),
                namespace: Some("default".into()),
                ..Default::default()
            },
            secrets: vec![ObjectReference { name: "registry-token".into(), ..Default::default() }],
            image_pull_secrets: vec![LocalObjectReference { name: "registry".into() }],
            automount_service_account_token: Some(false),
            ..Default::default()
        }
    }
}

fn count(account: &Json) -> Json {
    account["secrets"].as_array().map_or(0, Vec::len).into()
}
