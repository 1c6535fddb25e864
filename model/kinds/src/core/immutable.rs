//! What ConfigMap and Secret have in common: keys, base64, and that they can be closed to changes.

use base64::Engine as _;
use lab_object::{FieldError, Json};
use schemars::{Schema, SchemaGenerator, json_schema};

/// Schema of a map whose values are bytes in base64.
pub(super) fn base64_map(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "object", "additionalProperties": {"type": "string", "format": "byte"}})
}

/// Schema of a map whose values are secret bytes in base64. `byte` would have the schema's own check repeat a value that
/// does not fit it; [`base64`] does not.
pub(super) fn secret_map(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "object", "additionalProperties": {"type": "string", "format": "password"}})
}

/// How many entries the maps at these fields have together.
pub(super) fn count(object: &Json, maps: &[&str]) -> Json {
    let sizes = maps.iter().filter_map(|map| object[*map].as_object()).map(serde_json::Map::len);
    sizes.sum::<usize>().into()
}

/// Refuses changes of an object that was stored with `immutable: true`.
pub(super) fn unchanged(new: &Json, old: Option<&Json>, fields: &[&str]) -> Vec<FieldError> {
    let Some(old) = old.filter(|old| old["immutable"] == true) else { return Vec::new() };
    let mut errors = Vec::new();
    if new["immutable"] != true {
        errors.push(FieldError::forbidden("immutable", "field is immutable when `immutable` is set"));
    }
    let empty = Json::Object(serde_json::Map::new());
    let map = |object: &Json, field: &str| object.get(field).cloned().unwrap_or_else(|| empty.clone());
    let changed = fields.iter().filter(|field| map(old, field) != map(new, field));
    errors.extend(
        changed.map(|field| FieldError::forbidden(*field, "field is immutable when `immutable` is set")),
    );
    errors
}

/// Refuses keys that are not file names.
pub(super) fn keys(object: &Json, maps: &[&str]) -> Vec<FieldError> {
    let entries = maps
        .iter()
        .flat_map(|map| object[*map].as_object().into_iter().flatten().map(move |(k, _)| (map, k)));
    let bad = entries.filter_map(|(map, key)| {
        let why = misnamed(key)?;
        Some(FieldError::invalid(format!("{map}[{key}]"), &Json::from(key.as_str()), why))
    });
    bad.collect()
}

fn misnamed(key: &str) -> Option<&'static str> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    if key.is_empty() || !key.bytes().all(allowed) {
        Some("a valid config key must consist of alphanumeric characters, '-', '_' or '.'")
    } else if key.len() > 253 {
        Some("must be no more than 253 characters")
    } else if key == "." || key.starts_with("..") {
        Some("must not be '.' nor begin with '..'")
    } else {
        None
    }
}

/// Refuses values that are not base64.
pub(super) fn base64(object: &Json, map: &str) -> Vec<FieldError> {
    let values = object[map].as_object().into_iter().flatten();
    let bad = values.filter(|(_, v)| v.as_str().is_some_and(|text| decode(text).is_none()));
    // The value itself may be a secret, and is not repeated.
    bad.map(|(key, _)| FieldError {
        reason: "FieldValueInvalid",
        field: format!("{map}[{key}]"),
        message: "Invalid value: must be bytes in base64 (RFC 4648, with padding)".into(),
    })
    .collect()
}

/// The bytes of a value in base64.
pub(super) fn decode(text: &str) -> Option<Vec<u8>> {
    base64::engine::general_purpose::STANDARD.decode(text).ok()
}

/// Bytes in base64.
pub(super) fn encode(bytes: &[u8]) -> String {
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

/// Refuses data of more than 1 MiB, Kubernetes' limit.
pub(super) fn size(object: &Json, text: &str, binary: &str) -> Vec<FieldError> {
    const LIMIT: usize = 1 << 20;
    let length = |map: &str, of: fn(&str) -> usize| -> usize {
        let values = object[map].as_object().into_iter().flatten();
        values.filter_map(|(_, v)| v.as_str()).map(of).sum()
    };
    let total = length(text, str::len) + length(binary, |v| v.len() / 4 * 3);
    let error = || FieldError {
        reason: "FieldValueTooLong",
        field: String::new(),
        message: format!("Too long: may not be more than {LIMIT} bytes"),
    };
    if total > LIMIT { vec![error()] } else { Vec::new() }
}
