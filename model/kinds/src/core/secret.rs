//! `Secret`: what must not be seen by everybody, as keys and values.

use super::immutable;
use crate::typed::{ApiVersion, KindName, resource};
use crate::{Column, ColumnType, Define, Kind};
use lab_object::{FieldError, Json, ObjectMeta};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Secret holds data that must not be seen by everybody, such as passwords and keys.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Secret {
    /// Group and version of the object's form: `v1`.
    pub api_version: ApiVersion<Self>,
    /// The object's kind: `Secret`.
    pub kind: KindName<Self>,
    /// Standard object metadata.
    pub metadata: ObjectMeta,
    /// The data, each value in base64. Keys consist of letters, digits, `-`, `_` and `.`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "super::immutable::secret_map")]
    pub data: BTreeMap<String, String>,
    /// Data as plain text, for convenience when writing: it is merged into `data`, over what stands there, and never
    /// returned.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub string_data: BTreeMap<String, String>,
    /// What the data is for, such as `Opaque`, `kubernetes.io/tls` or `kubernetes.io/basic-auth`. Cannot be changed.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub type_: Option<String>,
    /// When true, `data` cannot be changed any more, nor can this be unset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub immutable: Option<bool>,
}

impl std::fmt::Debug for Secret {
    /// Shows the keys, never a value.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Secret")
            .field("metadata", &self.metadata)
            .field("type", &self.type_)
            .field("data", &self.data.keys())
            .field("stringData", &self.string_data.keys())
            .field("immutable", &self.immutable)
            .finish()
    }
}

/// A Secret that holds what must not stand here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretReference {
    /// Namespace of the Secret.
    #[schemars(length(min = 1, max = 63))]
    pub namespace: String,
    /// Name of the Secret.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

resource!(Secret, "", "v1", "secrets", namespaced: true);

impl Define for Secret {
    fn define() -> Kind {
        Kind::of::<Self>("secret")
            .confidential()
            .columns([
                Column::path("Type", "type", "What the data is for."),
                Column::with("Data", |o| immutable::count(o, &["data"]), "How many keys there are.")
                    .of_type(ColumnType::Integer),
            ])
            .selectable(&["type"])
            .defaulted_by(default)
            .validated_by(validate)
            .built_in()
    }

    fn example() -> Self {
        Self {
            metadata: ObjectMeta {
                name: Some("bmc-rack-1".into()),
                namespace: Some("default".into()),
                ..Default::default()
            },
            type_: Some("kubernetes.io/basic-auth".into()),
            data: [
                ("username".into(), immutable::encode(b"admin")),
                ("password".into(), immutable::encode(b"not a real one")),
            ]
            .into(),
            ..Default::default()
        }
    }
}

/// Merges `stringData` into `data`, and makes the type `Opaque` where none is said.
fn default(secret: &mut Json) {
    let Some(secret) = secret.as_object_mut() else { return };
    if let Some(Json::Object(plain)) = secret.remove("stringData") {
        let data = secret.entry("data").or_insert_with(|| Json::Object(Default::default()));
        if let Some(data) = data.as_object_mut() {
            let encoded = plain
                .iter()
                .filter_map(|(k, v)| Some((k.clone(), immutable::encode(v.as_str()?.as_bytes()))));
            data.extend(encoded.map(|(key, value)| (key, Json::from(value))));
        }
    }
    if secret.get("type").is_none_or(|t| t == "") {
        secret.insert("type".into(), "Opaque".into());
    }
}

fn validate(new: &Json, old: Option<&Json>) -> Vec<FieldError> {
    let mut errors = immutable::unchanged(new, old, &["data"]);
    errors.extend(immutable::keys(new, &["data"]));
    errors.extend(immutable::base64(new, "data"));
    errors.extend(immutable::size(new, "", "data"));
    if old.is_some_and(|old| old["type"] != new["type"]) {
        errors.push(FieldError::invalid("type", &new["type"], "field is immutable"));
    }
    errors.extend(required_keys(new));
    errors
}

/// The keys that Kubernetes demands of each well-known type.
fn required_keys(secret: &Json) -> Vec<FieldError> {
    let data = &secret["data"];
    let missing = |key: &str| data.get(key).is_none();
    let demand = |key: &str| missing(key).then(|| FieldError::required(format!("data[{key}]"), ""));
    match secret["type"].as_str() {
        Some("kubernetes.io/tls") => ["tls.crt", "tls.key"].into_iter().filter_map(demand).collect(),
        Some("kubernetes.io/ssh-auth") => demand("ssh-privatekey").into_iter().collect(),
        Some("kubernetes.io/basic-auth") if missing("username") && missing("password") => {
            ["username", "password"].into_iter().filter_map(demand).collect()
        }
        Some("kubernetes.io/service-account-token") => {
            let account = secret.pointer("/metadata/annotations/kubernetes.io~1service-account.name");
            let field = "metadata.annotations[kubernetes.io/service-account.name]";
            if account.and_then(Json::as_str).is_none_or(str::is_empty) {
                vec![FieldError::required(field, "")]
            } else {
                Vec::new()
            }
        }
        Some("kubernetes.io/dockerconfigjson") => json_key(data, ".dockerconfigjson"),
        Some("kubernetes.io/dockercfg") => json_key(data, ".dockercfg"),
        _ => Vec::new(),
    }
}

fn json_key(data: &Json, key: &str) -> Vec<FieldError> {
    let field = format!("data[{key}]");
    match data.get(key).and_then(Json::as_str).map(immutable::decode) {
        None => vec![FieldError::required(field, "")],
        Some(Some(bytes)) if serde_json::from_slice::<serde::de::IgnoredAny>(&bytes).is_ok() => Vec::new(),
        Some(_) => vec![FieldError {
            reason: "FieldValueInvalid",
            field,
            message: "Invalid value: must be JSON in base64".into(),
        }],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check(new: Json, old: Option<Json>, fields: &[&str]) {
        let found: Vec<_> = validate(&new, old.as_ref()).into_iter().map(|e| e.field).collect();
        assert_eq!(found, fields);
    }

    #[test]
    fn refuses() {
        check(json!({"type": "Opaque", "data": {"a": "eA=="}}), None, &[]);
        check(json!({"type": "Opaque", "data": {"a": "eA"}}), None, &["data[a]"]);
        check(json!({"type": "Opaque", "data": {"a b": "eA==", "..": ""}}), None, &["data[..]", "data[a b]"]);
        check(json!({"type": "kubernetes.io/tls", "data": {"tls.crt": ""}}), None, &["data[tls.key]"]);
        check(json!({"type": "kubernetes.io/basic-auth", "data": {"password": ""}}), None, &[]);
        check(
            json!({"type": "kubernetes.io/dockerconfigjson", "data": {".dockerconfigjson": "e30="}}),
            None,
            &[],
        );
        check(
            json!({"type": "kubernetes.io/dockerconfigjson", "data": {".dockerconfigjson": "eA=="}}),
            None,
            &["data[.dockerconfigjson]"],
        );
        check(json!({"type": "b"}), Some(json!({"type": "a"})), &["type"]);
        let closed = json!({"type": "a", "data": {"k": "eA=="}, "immutable": true});
        check(closed.clone(), Some(closed.clone()), &[]);
        check(json!({"type": "a"}), Some(closed), &["immutable", "data"]);
        check(json!({"type": "a", "data": {"k": "AAAA".repeat(400_000)}}), None, &[""]);
    }

    #[test]
    fn plain_text_is_merged_over_data() {
        let mut secret = json!({"data": {"a": "eA==", "b": "eQ=="}, "stringData": {"b": "new", "c": "ä"}});
        default(&mut secret);
        let expected = json!({"type": "Opaque", "data": {"a": "eA==", "b": "bmV3", "c": "w6Q="}});
        assert_eq!(secret, expected);
        default(&mut secret);
        assert_eq!(secret, expected);
    }

    #[test]
    fn a_value_is_never_repeated() {
        let secret = json!({"metadata": {}, "type": "Opaque", "data": {"password": "not base64"}});
        let mut errors = lab_object::schema::validate(&Secret::define().schema, &secret);
        errors.extend(validate(&secret, None));
        let said: Vec<_> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(said, ["data[password]: Invalid value: must be bytes in base64 (RFC 4648, with padding)"]);
    }

    #[test]
    fn debug_output_hides_values() {
        let shown = format!("{:?}", Secret::example());
        assert!(
            shown.contains("password") && !shown.contains(&immutable::encode(b"not a real one")),
            "{shown}"
        );
    }
}
