//! `APIToken`: lets a program call in a user's name.

use crate::typed::{ApiVersion, KindName, resource, unset};
use crate::{Column, Define, Kind, Subresource, TokenRule};
use lab_object::{FieldError, Json, ObjectMeta, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// APIToken lets a program call this API in a user's name, with a part of what the user may do and until some day. The token
/// itself is shown once, in `status.token` of the answer to its creation; what is stored is only its hash. Deleting it takes
/// effect at once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct APIToken {
    /// Group and version of the object's form: `iam.lab/v1alpha1`.
    #[serde(default)]
    pub api_version: ApiVersion<Self>,
    /// The object's kind: `APIToken`.
    #[serde(default)]
    pub kind: KindName<Self>,
    /// Standard object metadata.
    #[serde(default)]
    pub metadata: ObjectMeta,
    /// In whose name it calls, what it may do, and until when.
    pub spec: APITokenSpec,
    /// The token, once.
    #[serde(default, skip_serializing_if = "unset")]
    pub status: APITokenStatus,
}

/// In whose name a token calls, what it may do, and until when.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct APITokenSpec {
    /// The user in whose name it calls: with the groups of the User object of that name, and what is bound to them. Cannot be
    /// changed.
    #[schemars(length(min = 1, max = 253))]
    pub user: String,
    /// What it is for, in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub description: Option<String>,
    /// What it may do at most, each in the form `action:cloud:environment:server` as in roles. It narrows what the user may
    /// do and never adds to it. Without any, all that the user may do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1024), extend("x-kubernetes-list-type" = "set"),
        inner(length(max = 512), regex(pattern = super::role::PERMISSION)))]
    pub permissions: Vec<String>,
    /// From when on it is refused. Without it, 90 days after its creation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Time>,
    /// SHA-256 of the token: `sha256:` and 64 hexadecimal digits. The server makes a token where none is given. The token is
    /// random, so that its hash does not give it away. Cannot be changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^sha256:[0-9a-f]{64}$"))]
    pub token_hash: Option<String>,
}

/// A token, once.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct APITokenStatus {
    /// The token itself: shown in the answer to its creation and nowhere else, and never stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
}

impl std::fmt::Debug for APITokenStatus {
    /// Does not show the token.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("APITokenStatus").finish_non_exhaustive()
    }
}

resource!(APIToken, "iam.lab", "v1alpha1", "apitokens", namespaced: false);

impl Define for APIToken {
    fn define() -> Kind {
        Kind::of::<Self>("apitoken")
            .categories(&["iam"])
            .columns([
                Column::path("User", "spec.user", "The user in whose name it calls."),
                Column::path("Permissions", "spec.permissions", "What it may do at most."),
                Column::path("Expires", "spec.expires", "From when on it is refused."),
                Column::path("Description", "spec.description", "What it is for.").wide(),
            ])
            .selectable(&["spec.user"])
            .subresource(Subresource::Status)
            .with_token(TokenRule { prefix: "lab-api-", life: 90 * 24 * 60 * 60 })
            .validated_by(validate)
    }

    fn example() -> Self {
        Self {
            api_version: ApiVersion::default(),
            kind: KindName::default(),
            metadata: ObjectMeta { name: Some("inventory".into()), ..Default::default() },
            spec: APITokenSpec {
                user: "operator-1".into(),
                description: Some("Reads the inventory every night.".into()),
                permissions: vec!["read:*:*:*".into()],
                expires: "2027-02-19T12:00:00Z".parse().map(Time).ok(),
                token_hash: Some(format!("sha256:{}", "5d41".repeat(16))),
            },
            status: APITokenStatus::default(),
        }
    }
}

fn validate(new: &Json, old: Option<&Json>) -> Vec<FieldError> {
    let mut errors = super::unchanged(new, old, &["user", "tokenHash"], "make another token");
    errors.extend(super::token_is_not_stored(new));
    // Machines and parts of the system prove themselves otherwise.
    let user = new["spec"]["user"].as_str().unwrap_or_default();
    if ["system:", "server:", "bastion:"].iter().any(|reserved| user.starts_with(reserved)) {
        let why = "names that begin with system:, server: or bastion: are not people's";
        errors.push(FieldError::invalid("spec.user", &user.into(), why));
    }
    errors
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn refuses() {
        let stored = json!({"spec": {"user": "u", "tokenHash": "a"}});
        let check = |object: Json, old: Option<&Json>, fields: &[&str]| {
            let found: Vec<_> = validate(&object, old).into_iter().map(|e| e.field).collect();
            assert_eq!(found, fields);
        };
        check(json!({"spec": {"user": "u", "tokenHash": "a", "permissions": []}}), Some(&stored), &[]);
        check(json!({"spec": {"user": "v"}}), Some(&stored), &["spec.user", "spec.tokenHash"]);
        check(json!({"spec": {"user": "server:1"}}), None, &["spec.user"]);
        check(json!({"spec": {"user": "system:node"}}), None, &["spec.user"]);
        check(json!({"spec": {"user": "u"}, "status": {"token": "x"}}), None, &["status.token"]);
    }
}
