//! `JoinToken`: lets a bastion or a machine come in.

use crate::typed::{ApiVersion, KindName, resource, unset};
use crate::{Column, ColumnType, Define, Kind, Subresource, TokenRule};
use lab_object::{FieldError, Json, ObjectMeta, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// JoinToken lets a bastion or a machine's agent get a certificate of its own. The token itself is shown once, in
/// `status.token` of the answer to its creation; what is stored is only its hash.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct JoinToken {
    /// Group and version of the object's form: `iam.lab/v1alpha1`.
    #[serde(default)]
    pub api_version: ApiVersion<Self>,
    /// The object's kind: `JoinToken`.
    #[serde(default)]
    pub kind: KindName<Self>,
    /// Standard object metadata.
    #[serde(default)]
    pub metadata: ObjectMeta,
    /// Who may come in with it, how often and until when.
    pub spec: JoinTokenSpec,
    /// What has become of it.
    #[serde(default, skip_serializing_if = "unset")]
    pub status: JoinTokenStatus,
}

/// Who may come in with a token, how often and until when.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct JoinTokenSpec {
    /// What comes in with it: a `bastion`, or the `agent` of a machine. Cannot be changed.
    pub joiner: Joiner,
    /// SHA-256 of the token: `sha256:` and 64 hexadecimal digits. The server makes a token where none is given. The token is
    /// random, so that its hash does not give it away. Cannot be changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^sha256:[0-9a-f]{64}$"))]
    pub token_hash: Option<String>,
    /// How often it can be used.
    #[serde(default = "once")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub uses: i32,
    /// From when on it is refused. Without it, a day after its creation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Time>,
    /// The environment that a machine which comes in belongs to. Without it, the one its Server object names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"))]
    pub environment: Option<String>,
    /// Name of the only Server that may come in with it; for agents only. Without it, any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub server: Option<String>,
    /// Name of the site that a bastion which comes in serves; for bastions only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"))]
    pub site: Option<String>,
}

fn once() -> i32 {
    1
}

/// What comes in with a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Joiner {
    /// A site's boot server.
    Bastion,
    /// The agent of a machine.
    Agent,
}

/// What has become of a token.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct JoinTokenStatus {
    /// The token itself: shown in the answer to its creation and nowhere else, and never stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// How often it was used.
    #[serde(skip_serializing_if = "unset")]
    #[schemars(range(min = 0))]
    pub used: i32,
    /// When it was last used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_used: Option<Time>,
    /// Who last came in with it: `bastion:` and its name, or `server:` and its UID.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_identity: Option<String>,
}

impl std::fmt::Debug for JoinTokenStatus {
    /// Does not show the token.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JoinTokenStatus")
            .field("used", &self.used)
            .field("lastUsed", &self.last_used)
            .field("lastIdentity", &self.last_identity)
            .finish_non_exhaustive()
    }
}

resource!(JoinToken, "iam.lab", "v1alpha1", "jointokens", namespaced: false);

impl JoinToken {
    /// A token of this name, about which nothing has been reported yet.
    pub fn new(name: impl Into<String>, spec: JoinTokenSpec) -> Self {
        Self {
            api_version: ApiVersion::default(),
            kind: KindName::default(),
            metadata: ObjectMeta { name: Some(name.into()), ..Default::default() },
            spec,
            status: JoinTokenStatus::default(),
        }
    }
}

impl Define for JoinToken {
    fn define() -> Kind {
        Kind::of::<Self>("jointoken")
            .short_names(&["jt"])
            .categories(&["iam"])
            .columns([
                Column::path("Joiner", "spec.joiner", "What comes in with it."),
                Column::path("Uses", "spec.uses", "How often it can be used.").of_type(ColumnType::Integer),
                Column::with(
                    "Used",
                    |o| o["status"]["used"].as_i64().unwrap_or(0).into(),
                    "How often it was used.",
                )
                .of_type(ColumnType::Integer),
                Column::path("Expires", "spec.expires", "From when on it is refused."),
                Column::path("Environment", "spec.environment", "The environment of machines that come in.")
                    .wide(),
                Column::path("Server", "spec.server", "The only server that may come in.").wide(),
                Column::path("Site", "spec.site", "The site of a bastion that comes in.").wide(),
            ])
            .selectable(&["spec.joiner", "spec.environment", "spec.server", "spec.site"])
            .subresource(Subresource::Status)
            .with_token(TokenRule { prefix: "lab-join-", life: 24 * 60 * 60 })
            .validated_by(validate)
    }

    fn example() -> Self {
        let spec = JoinTokenSpec {
            joiner: Joiner::Agent,
            token_hash: Some(format!("sha256:{}", "5d41".repeat(16))),
            uses: 1,
            expires: "2026-11-22T12:00:00Z".parse().map(Time).ok(),
            environment: Some("production".into()),
            server: Some("rack1-node3".into()),
            site: None,
        };
        Self::new("rack1-node3", spec)
    }
}

fn validate(new: &Json, old: Option<&Json>) -> Vec<FieldError> {
    let spec = &new["spec"];
    let mut errors = Vec::new();
    let (foreign, owner) =
        if spec["joiner"] == "bastion" { ("server", "agent") } else { ("site", "bastion") };
    if spec.get(foreign).is_some() {
        let why = format!("only a token whose joiner is {owner} can have it");
        errors.push(FieldError::forbidden(format!("spec.{foreign}"), why));
    }
    errors.extend(super::unchanged(new, old, &["joiner", "tokenHash"], "make another token"));
    errors.extend(super::token_is_not_stored(new));
    errors
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn refuses() {
        let agent = json!({"spec": {"joiner": "agent", "tokenHash": "a"}});
        let check = |spec: Json, old: Option<&Json>, fields: &[&str]| {
            let found: Vec<_> = validate(&json!({"spec": spec}), old).into_iter().map(|e| e.field).collect();
            assert_eq!(found, fields);
        };
        check(json!({"joiner": "agent", "tokenHash": "a", "server": "s", "uses": 2}), Some(&agent), &[]);
        check(json!({"joiner": "bastion", "site": "home"}), None, &[]);
        check(json!({"joiner": "bastion", "server": "s"}), None, &["spec.server"]);
        check(json!({"joiner": "agent", "site": "home"}), None, &["spec.site"]);
        check(
            json!({"joiner": "bastion", "tokenHash": "b"}),
            Some(&agent),
            &["spec.joiner", "spec.tokenHash"],
        );
    }
}
