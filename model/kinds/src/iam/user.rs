//! `User`: a person, or a program that acts for one.

use crate::core::secret::SecretReference;
use crate::typed::{ApiVersion, KindName, resource, unset};
use crate::{Column, ColumnType, Define, Kind, Subresource};
use lab_object::{ObjectMeta, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// User is somebody who may log in.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct User {
    /// Group and version of the object's form: `iam.lab/v1alpha1`.
    pub api_version: ApiVersion<Self>,
    /// The object's kind: `User`.
    pub kind: KindName<Self>,
    /// Standard object metadata.
    pub metadata: ObjectMeta,
    /// Who the user is, and how they log in.
    #[serde(skip_serializing_if = "unset")]
    pub spec: UserSpec,
    /// What is the case with the user.
    #[serde(skip_serializing_if = "unset")]
    pub status: UserStatus,
}

/// Who a user is, and how they log in.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct UserSpec {
    /// The user's name for people to read.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub display_name: Option<String>,
    /// The groups the user belongs to, which role bindings name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), extend("x-kubernetes-list-type" = "set"), inner(length(min = 1, max = 253)))]
    pub groups: Vec<String>,
    /// Whether the user is locked out. What they were given before is refused at once.
    #[serde(skip_serializing_if = "unset")]
    pub disabled: bool,
    /// OpenSSH public keys with which the user can log in, one per entry.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "set"), inner(length(max = 16384)))]
    pub public_keys: Vec<String>,
    /// The Secret whose key `passwordHash` holds the hash of the user's password (argon2id, in PHC form). It stands in a
    /// Secret, so that who may read users cannot read it. Without it the user has no password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<SecretReference>,
}

/// What is the case with a user.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct UserStatus {
    /// When the user last logged in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_login: Option<Time>,
    /// Until when logging in is refused, after too many wrong passwords.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub locked_until: Option<Time>,
}

resource!(User, "iam.lab", "v1alpha1", "users", namespaced: false);

impl Define for User {
    fn define() -> Kind {
        Kind::of::<Self>("user")
            .categories(&["iam"])
            .columns([
                Column::path("Display Name", "spec.displayName", "The user's name for people to read."),
                Column::path("Groups", "spec.groups", "The groups the user belongs to."),
                Column::path("Disabled", "spec.disabled", "Whether the user is locked out.")
                    .of_type(ColumnType::Boolean),
                Column::path("Last Login", "status.lastLogin", "Time since the user last logged in.")
                    .of_type(ColumnType::Date)
                    .wide(),
            ])
            .selectable(&["spec.groups", "spec.disabled"])
            .subresource(Subresource::Status)
            .subresource(Subresource::Password)
            .validated_by(|new, _| crate::check::texts(new, "spec.publicKeys[]", crate::check::openssh_key))
    }

    fn example() -> Self {
        Self {
            metadata: ObjectMeta { name: Some("operator-1".into()), ..Default::default() },
            spec: UserSpec {
                display_name: Some("First operator".into()),
                groups: vec!["operators".into()],
                password: Some(SecretReference {
                    namespace: "kube-system".into(),
                    name: "operator-1-password".into(),
                }),
                ..Default::default()
            },
            status: UserStatus {
                last_login: "2026-11-21T12:00:00Z".parse().map(Time).ok(),
                ..Default::default()
            },
            ..Default::default()
        }
    }
}
