//! Structural schemas: the part of OpenAPI v3 with which kinds are described (Kubernetes' `JSONSchemaProps`).
//!
//! One schema serves `explain`, pruning, defaults, validation, strategic merge patches and server-side apply.

mod default;
mod format;
mod pattern;
mod place;
mod prune;
mod structural;
mod validate;

pub use default::default;
pub use pattern::Pattern;
pub use prune::prune;
pub use structural::SchemaError;
pub use validate::validate;

use crate::Json;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// JSON type of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the names are JSON's own")]
pub enum Type {
    Object,
    Array,
    String,
    Integer,
    Number,
    Boolean,
}

/// How server-side apply treats a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ListType {
    /// Replaced as a whole; owned by one manager.
    Atomic,
    /// Scalars, each once; each is owned by itself.
    Set,
    /// Objects told apart by the fields in `list_map_keys`.
    Map,
}

/// How server-side apply treats an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MapType {
    /// Field by field; the default.
    Granular,
    /// As a whole.
    Atomic,
}

/// The schema of one value.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Schema {
    /// The JSON type; `None` allows any (with `int_or_string` or `preserve_unknown_fields`).
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<Type>,
    /// `int32`, `int64`, `date-time`, `byte`, ….
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
    /// What the field means; shown by `explain`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Fields of an object.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub properties: BTreeMap<String, Schema>,
    /// Schema of every value of a map from string.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub additional_properties: Option<Box<Schema>>,
    /// Schema of a list's elements.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub items: Option<Box<Schema>>,
    /// Fields that must be present.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub required: Vec<String>,
    /// The only values allowed.
    #[serde(rename = "enum", skip_serializing_if = "Vec::is_empty")]
    pub allowed: Vec<Json>,
    /// What an absent field becomes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default: Option<Json>,
    /// A regular expression that a string must match somewhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pattern: Option<Pattern>,
    /// Least number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub minimum: Option<f64>,
    /// Greatest number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub maximum: Option<f64>,
    /// Least length of a string, in characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_length: Option<u64>,
    /// Greatest length of a string, in characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_length: Option<u64>,
    /// Least number of elements.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_items: Option<u64>,
    /// Greatest number of elements.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_items: Option<u64>,
    /// Whether `null` may stand for the value.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub nullable: bool,
    /// An integer or a string.
    #[serde(rename = "x-kubernetes-int-or-string", skip_serializing_if = "std::ops::Not::not")]
    pub int_or_string: bool,
    /// Fields that the schema does not name are kept.
    #[serde(rename = "x-kubernetes-preserve-unknown-fields", skip_serializing_if = "std::ops::Not::not")]
    pub preserve_unknown_fields: bool,
    /// How server-side apply treats the list; absent means atomic.
    #[serde(rename = "x-kubernetes-list-type", skip_serializing_if = "Option::is_none")]
    pub list_type: Option<ListType>,
    /// The fields that tell a map list's elements apart.
    #[serde(rename = "x-kubernetes-list-map-keys", skip_serializing_if = "Vec::is_empty")]
    pub list_map_keys: Vec<String>,
    /// How server-side apply treats the object; absent means granular.
    #[serde(rename = "x-kubernetes-map-type", skip_serializing_if = "Option::is_none")]
    pub map_type: Option<MapType>,
    /// Strategic merge: `merge`, `replace`, `retainKeys`, comma-separated.
    #[serde(rename = "x-kubernetes-patch-strategy", skip_serializing_if = "Option::is_none")]
    pub patch_strategy: Option<String>,
    /// Strategic merge: the field that tells list elements apart.
    #[serde(rename = "x-kubernetes-patch-merge-key", skip_serializing_if = "Option::is_none")]
    pub patch_merge_key: Option<String>,
}

impl Schema {
    /// Whether fields that the schema does not name are part of the value.
    fn takes_anything(&self) -> bool {
        self.preserve_unknown_fields
    }
}
