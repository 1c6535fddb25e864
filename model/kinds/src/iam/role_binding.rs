//! `RoleBinding`: gives a role to users and groups.

use crate::typed::{ApiVersion, KindName, resource};
use crate::{Column, Define, Kind};
use lab_object::ObjectMeta;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// RoleBinding gives a role to users and groups.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RoleBinding {
    /// Group and version of the object's form: `iam.lab/v1alpha1`.
    #[serde(default)]
    pub api_version: ApiVersion<Self>,
    /// The object's kind: `RoleBinding`.
    #[serde(default)]
    pub kind: KindName<Self>,
    /// Standard object metadata.
    #[serde(default)]
    pub metadata: ObjectMeta,
    /// Which role, and to whom.
    pub spec: RoleBindingSpec,
}

/// Which role is given, and to whom.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RoleBindingSpec {
    /// Name of the Role.
    #[schemars(length(min = 1, max = 253))]
    pub role: String,
    /// To whom it is given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1024),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["kind", "name"]))]
    pub subjects: Vec<Subject>,
}

/// Somebody to whom a role is given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Subject {
    /// `User` or `Group`.
    pub kind: SubjectKind,
    /// The user's or the group's name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// What a subject is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SubjectKind {
    /// One user.
    User,
    /// Every user of a group.
    Group,
}

resource!(RoleBinding, "iam.lab", "v1alpha1", "rolebindings", namespaced: false);

impl Define for RoleBinding {
    fn define() -> Kind {
        Kind::of::<Self>("rolebinding")
            .short_names(&["rb"])
            .categories(&["iam"])
            .columns([
                Column::path("Role", "spec.role", "The role that is given."),
                Column::path("Subjects", "spec.subjects.name", "To whom it is given."),
            ])
            .selectable(&["spec.role", "spec.subjects.name"])
    }

    fn example() -> Self {
        Self {
            metadata: ObjectMeta { name: Some("dev-operators".into()), ..Default::default() },
            spec: RoleBindingSpec {
                role: "dev-operator".into(),
                subjects: vec![Subject { kind: SubjectKind::Group, name: "operators".into() }],
            },
            ..Default::default()
        }
    }
}
