//! `ConfigMap`: configuration as keys and values.

use super::immutable;
use crate::typed::{ApiVersion, KindName, resource};
use crate::{Column, ColumnType, Define, Kind};
use lab_object::{FieldError, Json, ObjectMeta};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// ConfigMap holds configuration data for others to consume.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ConfigMap {
    /// Group and version of the object's form: `v1`.
    pub api_version: ApiVersion<Self>,
    /// The object's kind: `ConfigMap`.
    pub kind: KindName<Self>,
    /// Standard object metadata.
    pub metadata: ObjectMeta,
    /// The configuration as text. Keys consist of letters, digits, `-`, `_` and `.`, and stand in only one of `data` and
    /// `binaryData`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub data: BTreeMap<String, String>,
    /// Configuration that is not UTF-8 text, in base64. Keys as in `data`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "super::immutable::base64_map")]
    pub binary_data: BTreeMap<String, String>,
    /// When true, `data` and `binaryData` cannot be changed any more, nor can this be unset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub immutable: Option<bool>,
}

resource!(ConfigMap, "", "v1", "configmaps", namespaced: true);

impl Define for ConfigMap {
    fn define() -> Kind {
        Kind::of::<Self>("configmap")
            .short_names(&["cm"])
            .columns([Column::with(
                "Data",
                |o| immutable::count(o, &["data", "binaryData"]),
                "How many keys there are.",
            )
            .of_type(ColumnType::Integer)])
            .validated_by(validate)
            .built_in()
    }

    fn example() -> Self {
        Self {
            metadata: ObjectMeta {
                name: Some("motd".into()),
                namespace: Some("default".into()),
                ..Default::default()
            },
            data: [("motd".into(), "Welcome to the lab.\n".into())].into(),
            binary_data: [("logo.png".into(), "iVBORw0KGgo=".into())].into(),
            ..Default::default()
        }
    }
}

fn validate(new: &Json, old: Option<&Json>) -> Vec<FieldError> {
    let mut errors = immutable::unchanged(new, old, &["data", "binaryData"]);
    errors.extend(immutable::keys(new, &["data", "binaryData"]));
    errors.extend(immutable::base64(new, "binaryData"));
    errors.extend(immutable::size(new, "data", "binaryData"));
    if let (Some(data), Some(binary)) = (new["data"].as_object(), new["binaryData"].as_object()) {
        let twice = data.keys().filter(|key| binary.contains_key(*key));
        let error =
            |key: &String| FieldError::duplicate(format!("binaryData[{key}]"), &Json::from(key.as_str()));
        errors.extend(twice.map(error));
    }
    errors
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn refuses() {
        let check = |new: Json, old: Option<Json>, fields: &[&str]| {
            let found: Vec<_> = validate(&new, old.as_ref()).into_iter().map(|e| e.field).collect();
            assert_eq!(found, fields, "{new}");
        };
        check(json!({"data": {"a": "x"}, "binaryData": {"b": "eA=="}}), None, &[]);
        check(json!({"data": {"a": "x"}, "binaryData": {"a": "eA=="}}), None, &["binaryData[a]"]);
        check(
            json!({"data": {"a/b": "x"}, "binaryData": {"b": "eA"}}),
            None,
            &["data[a/b]", "binaryData[b]"],
        );
        check(json!({"data": {"a": "x".repeat(1 << 20)}}), None, &[]);
        check(json!({"data": {"a": "x".repeat(1 << 20), "b": "x"}}), None, &[""]);
        let closed = || json!({"data": {"a": "x"}, "immutable": true});
        check(json!({"data": {"a": "x"}, "binaryData": {}, "immutable": true}), Some(closed()), &[]);
        check(json!({"data": {"a": "y"}, "immutable": true}), Some(closed()), &["data"]);
        check(json!({"data": {"a": "x"}}), Some(closed()), &["immutable"]);
        check(closed(), Some(json!({"data": {"a": "other"}})), &[]);
    }

    #[test]
    fn counts_both_maps() {
        let object = json!({"data": {"a": "x", "b": "y"}, "binaryData": {"c": ""}});
        assert_eq!(immutable::count(&object, &["data", "binaryData"]), 3);
    }
}
