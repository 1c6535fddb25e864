//! `AuditEntry`: who did what to which object, from where, and what came of it. Entries come to be by themselves and never
//! change.

use crate::typed::{ApiVersion, KindName, resource, unset};
use crate::{Column, ColumnType, Define, Kind};
use lab_object::{Json, MicroTime, ObjectMeta};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// AuditEntry says who did what to which object, from where, and what came of it. Every change, every refusal, every login,
/// enrolment, remote command and revocation leaves one; what was written is not in it. Entries cannot be changed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct AuditEntry {
    /// Group and version of the object's form: `audit.lab/v1alpha1`.
    pub api_version: ApiVersion<Self>,
    /// The object's kind: `AuditEntry`.
    pub kind: KindName<Self>,
    /// Standard object metadata. The name is the sequence.
    pub metadata: ObjectMeta,
    /// Number of the entry: 1, 2, 3 and so on.
    #[serde(skip_serializing_if = "unset")]
    pub sequence: i64,
    /// When it was recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<MicroTime>,
    /// ID of the request, which its answer carries in the header `Audit-Id`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub request: String,
    /// Who it was.
    #[serde(skip_serializing_if = "unset")]
    pub user: Actor,
    /// Address and port that the request came from; absent for a part of labd itself.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub from: String,
    /// The program that the client says it is.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub client: String,
    /// What was done or tried: a verb of the API such as `create`, `patch` or `delete`, or `login`, `enrol`, `exec`, `start`
    /// and the like.
    pub verb: String,
    /// The object it was done to.
    #[serde(skip_serializing_if = "unset")]
    pub object: Target,
    /// The path, of a request that is about no object.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub path: String,
    /// Nothing was to be changed: the request only asked what would be.
    #[serde(skip_serializing_if = "unset")]
    pub dry_run: bool,
    /// What came of it.
    #[serde(skip_serializing_if = "unset")]
    pub result: Outcome,
    /// The `resourceVersion` that the change gave the object. (Where another result follows from the same request, the change was made
    /// nevertheless.)
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub revision: Option<i64>,
    /// How many further requests without credentials were refused since the last entry about one, and left out.
    #[serde(skip_serializing_if = "unset")]
    pub left_out: i64,
    /// What else there is to say.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub note: String,
    /// SHA-256 of the line before this one in the trail.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub previous: String,
    /// SHA-256 of this entry's line in the trail.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub hash: String,
}

/// Who did something.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Actor {
    /// The user's name.
    pub name: String,
    /// The groups that the credential says.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub groups: Vec<String>,
    /// By what the user is known, such as `certificate:` and the beginning of its serial number or `token:` and its name;
    /// `none` without a credential, `internal` for a part of labd.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub credential: String,
}

/// What something was done to.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Target {
    /// The tenant; absent for the infrastructure's own.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub tenant: String,
    /// Group of the kind; absent for the core group.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub group: String,
    /// Plural of the kind.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub resource: String,
    /// The part of the object that was meant.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub subresource: String,
    /// The namespace.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// Name of the object; absent for all of a kind.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
}

/// What came of something.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Outcome {
    /// HTTP status code of the answer.
    pub code: i32,
    /// Why it failed, in one word, such as `Forbidden` or `Conflict`; absent when it did not.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

resource!(AuditEntry, "audit.lab", "v1alpha1", "auditentries", namespaced: false);

impl Define for AuditEntry {
    fn define() -> Kind {
        let mut kind = Kind::of::<Self>("auditentry")
            .short_names(&["audit"])
            .columns([
                Column::path("Sequence", "metadata.name", "Number of the entry."),
                Column::path("Time", "time", "When it was recorded."),
                Column::path("User", "user.name", "Who it was."),
                Column::path("Verb", "verb", "What was done or tried."),
                Column::with("Object", object, "What it was done to."),
                Column::path("Code", "result.code", "HTTP status code of the answer.")
                    .of_type(ColumnType::Integer),
                Column::path("Reason", "result.reason", "Why it failed."),
                Column::path("From", "from", "Where the request came from.").wide(),
                Column::path("Credential", "user.credential", "By what the user is known.").wide(),
                Column::path("Client", "client", "The program that the client says it is.").wide(),
                Column::path("Request", "request", "ID of the request.").wide(),
            ])
            .selectable(&[
                "user.name",
                "user.credential",
                "verb",
                "object.tenant",
                "object.group",
                "object.resource",
                "object.namespace",
                "object.name",
                "result.code",
                "result.reason",
                "request",
            ])
            .read_only();
        kind.bare_table = true;
        kind
    }

    fn example() -> Self {
        Self {
            metadata: ObjectMeta { name: Some("42".into()), ..Default::default() },
            sequence: 42,
            time: "2026-11-21T12:00:00.000000Z".parse().map(MicroTime).ok(),
            request: "6f9ff1b4-2a3c-4a5e-9a61-0d4c2d6d1c11".into(),
            user: Actor {
                name: "alice".into(),
                groups: vec!["operators".into()],
                credential: "certificate:5f3a9c".into(),
            },
            from: "192.0.2.7:51234".into(),
            client: "labctl/0.1.0".into(),
            verb: "delete".into(),
            object: Target {
                group: "metal.lab".into(),
                resource: "servers".into(),
                name: "rack1-node3".into(),
                ..Default::default()
            },
            result: Outcome { code: 403, reason: "Forbidden".into() },
            ..Default::default()
        }
    }
}

fn object(entry: &Json) -> Json {
    let part = |field: &str| entry["object"][field].as_str().unwrap_or_default();
    if part("resource").is_empty() {
        return entry["path"].as_str().unwrap_or_default().into();
    }
    let mut text = String::new();
    if !part("namespace").is_empty() {
        text = format!("{}/", part("namespace"));
    }
    text.push_str(part("resource"));
    for segment in ["name", "subresource"].map(part).into_iter().filter(|segment| !segment.is_empty()) {
        text.push('/');
        text.push_str(segment);
    }
    text.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_it_was_done_to() {
        for (entry, expected) in [
            (json!({"object": {"resource": "servers", "name": "a"}}), "servers/a"),
            (
                json!({"object": {"resource": "pods", "namespace": "n", "name": "a", "subresource": "exec"}}),
                "n/pods/a/exec",
            ),
            (json!({"object": {"resource": "servers"}}), "servers"),
            (json!({"path": "/backup"}), "/backup"),
        ] {
            assert_eq!(object(&entry), expected);
        }
    }
}
