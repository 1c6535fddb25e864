//! `Scale` (`autoscaling/v1`): the subresource with which replicas are set.

use crate::typed::unset;
use lab_object::ObjectMeta;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How many replicas something is to have, and has.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Scale {
    /// `autoscaling/v1`.
    pub api_version: String,
    /// `Scale`.
    pub kind: String,
    /// Name, UID and revision of the object that is scaled.
    pub metadata: ObjectMeta,
    /// How many replicas it is to have.
    pub spec: ScaleSpec,
    /// How many replicas it has.
    pub status: ScaleStatus,
}

impl Default for Scale {
    fn default() -> Self {
        Self {
            api_version: "autoscaling/v1".into(),
            kind: "Scale".into(),
            metadata: ObjectMeta::default(),
            spec: ScaleSpec::default(),
            status: ScaleStatus::default(),
        }
    }
}

/// How many replicas something is to have.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ScaleSpec {
    /// The number of replicas.
    #[serde(skip_serializing_if = "unset")]
    #[schemars(range(min = 0))]
    pub replicas: i32,
}

/// How many replicas something has.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ScaleStatus {
    /// The number of replicas.
    pub replicas: i32,
    /// Label selector of the replicas, as text.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub selector: String,
}
