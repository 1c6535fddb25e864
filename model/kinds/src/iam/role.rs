//! `Role`: a list of permissions.

use crate::typed::{ApiVersion, KindName, resource, unset};
use crate::{Column, Define, Kind};
use lab_object::ObjectMeta;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Role is a list of permissions that role bindings give to users and groups.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Role {
    /// Group and version of the object's form: `iam.lab/v1alpha1`.
    pub api_version: ApiVersion<Self>,
    /// The object's kind: `Role`.
    pub kind: KindName<Self>,
    /// Standard object metadata.
    pub metadata: ObjectMeta,
    /// The permissions.
    #[serde(skip_serializing_if = "unset")]
    pub spec: RoleSpec,
}

/// What a role permits.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RoleSpec {
    /// What the role is meant for, in a sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub description: Option<String>,
    /// What is permitted, each in the form `action:cloud:environment:server`. The action is `read`, `apply` (which includes
    /// read), `destroy` (which includes apply) or `admin` (which includes destroy); cloud, environment and server are names;
    /// `*` stands for any one of them, and is all that reaches what has none. `apply:baremetal:dev:*` lets its holder change
    /// every server of the environment dev on baremetal.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1024), extend("x-kubernetes-list-type" = "set"),
        inner(length(max = 512), regex(pattern = PERMISSION)))]
    pub permissions: Vec<String>,
}

/// What a permission looks like.
pub(crate) const PERMISSION: &str = concat!(
    r"^(\*|read|apply|destroy|admin)",
    r"(:(\*|[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)){2}",
    r":(\*|[a-z0-9]([-a-z0-9.]*[a-z0-9])?)$"
);

resource!(Role, "iam.lab", "v1alpha1", "roles", namespaced: false);

impl Define for Role {
    fn define() -> Kind {
        Kind::of::<Self>("role").categories(&["iam"]).columns([
            Column::path("Permissions", "spec.permissions", "What is permitted."),
            Column::path("Description", "spec.description", "What the role is meant for.").wide(),
        ])
    }

    fn example() -> Self {
        Self {
            metadata: ObjectMeta { name: Some("dev-operator".into()), ..Default::default() },
            spec: RoleSpec {
                description: Some("Looks after the machines of the environment dev.".into()),
                permissions: vec!["read:*:*:*".into(), "destroy:baremetal:dev:*".into()],
            },
            ..Default::default()
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn permissions() {
        let pattern = regex_lite::Regex::new(super::PERMISSION).expect("the pattern is valid");
        for (text, valid) in [
            ("read:*:*:*", true),
            ("*:*:*:*", true),
            ("admin:hetzner:prod-1:rack1-node3.lab", true),
            ("apply:baremetal:dev:52-54-00-12-34-56", true),
            ("write:*:*:*", false),
            ("read:*:*", false),
            ("read:*:*:*:*", false),
            ("read::*:*", false),
            ("read:Dev:*:*", false),
            ("read:d*:*:*", false),
            (" read:*:*:*", false),
        ] {
            assert_eq!(pattern.is_match(text), valid, "{text}");
        }
    }
}
