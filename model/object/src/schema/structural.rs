//! Reading schemas as generators and people write them, and making them structural.
//!
//! A structural schema says the type of every value exactly once: no references, no alternatives but the few that
//! have a form of their own (`nullable`, `enum`, int-or-string).

use super::{ListType, Schema, Type, validate};
use crate::Json;
use serde_json::{Map, json};

/// Schemas nest no deeper; values are walked along them.
const DEPTH: usize = 64;

/// Keywords that say nothing about a stored value.
const IGNORED: [&str; 10] = [
    "$schema",
    "$id",
    "$comment",
    "title",
    "example",
    "examples",
    "deprecated",
    "readOnly",
    "writeOnly",
    "externalDocs",
];

/// A schema that cannot be made structural.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("schema of {}: {why}", if .path.is_empty() { "the whole object" } else { .path.as_str() })]
pub struct SchemaError {
    /// The field whose schema it is, such as `spec.nics[].mac`.
    pub path: String,
    /// What is wrong and what to do.
    pub why: String,
}

impl Schema {
    /// Makes a JSON schema or OpenAPI 3 schema structural: sub-schemas inlined, as `schemars` writes it.
    ///
    /// `null` among the types or alternatives becomes `nullable`, alternatives of fixed strings an `enum`, a single
    /// alternative is merged, unsigned and short integers become `int32` or `int64` with bounds, and a list of
    /// unique elements a set.
    pub fn from_json(schema: &Json) -> Result<Self, SchemaError> {
        read("", schema.clone(), 0)
    }
}

fn error(path: &str, why: impl Into<String>) -> SchemaError {
    SchemaError { path: path.into(), why: why.into() }
}

fn read(path: &str, schema: Json, depth: usize) -> Result<Schema, SchemaError> {
    if depth > DEPTH {
        return Err(error(path, format!("nested deeper than {DEPTH} levels")));
    }
    let mut keywords = match schema {
        Json::Object(keywords) => keywords,
        Json::Bool(true) => Map::new(),
        _ => return Err(error(path, "a schema must be an object or true")),
    };
    if keywords.contains_key("$ref") {
        return Err(error(path, "is a $ref; generate the schema with sub-schemas inlined"));
    }
    keywords.retain(|name, _| !IGNORED.contains(&name.as_str()));
    let mut alternatives = take_alternatives(path, &mut keywords)?;
    let count = alternatives.len();
    alternatives.retain(|part| !is_null(part));
    let mut nullable = alternatives.len() < count;
    if alternatives.len() == 1 {
        let only = alternatives.remove(0);
        return read(path, overlay(keywords, only, nullable), depth + 1);
    }
    nullable |= take_null_type(path, &mut keywords)?;

    let properties = take_properties(path, &mut keywords, depth)?;
    let additional = match keywords.remove("additionalProperties") {
        None | Some(Json::Bool(false)) => None,
        Some(schema) => Some(Box::new(read(&format!("{path}.*"), schema, depth + 1)?)),
    };
    let items = match keywords.remove("items") {
        None => None,
        Some(schema) => Some(Box::new(read(&format!("{path}[]"), schema, depth + 1)?)),
    };
    let unique = keywords.remove("uniqueItems") == Some(Json::Bool(true));
    if let Some(value) = keywords.remove("const") {
        keywords.insert("enum".into(), json!([value]));
    }
    if keywords.get("default") == Some(&Json::Null) {
        keywords.remove("default");
    }
    let mut schema = known_keywords(path, keywords)?;
    schema.properties = properties;
    schema.additional_properties = additional;
    schema.items = items;
    if unique && schema.list_type.is_none() {
        schema.list_type = Some(ListType::Set);
    }
    if !alternatives.is_empty() {
        merge(path, &mut schema, alternatives, depth)?;
    }
    let values = schema.allowed.len();
    schema.allowed.retain(|value| !value.is_null());
    schema.nullable |= nullable || schema.allowed.len() < values;
    settle(path, schema)
}

/// `anyOf`, `oneOf` or `allOf`: at most one of them. Of `allOf` only one part is understood.
fn take_alternatives(path: &str, keywords: &mut Map<String, Json>) -> Result<Vec<Json>, SchemaError> {
    let mut found = Vec::new();
    for name in ["anyOf", "oneOf", "allOf"] {
        match keywords.remove(name) {
            None => {}
            Some(Json::Array(parts)) if found.is_empty() && (name != "allOf" || parts.len() == 1) => {
                found = parts
            }
            Some(_) => {
                return Err(error(path, format!("{name} cannot be made structural; say one type per value")));
            }
        }
    }
    Ok(found)
}

/// Takes `null` out of a list of types; an integer or a string becomes int-or-string.
fn take_null_type(path: &str, keywords: &mut Map<String, Json>) -> Result<bool, SchemaError> {
    let Some(Json::Array(types)) = keywords.get_mut("type") else { return Ok(false) };
    let count = types.len();
    types.retain(|t| t != "null");
    let nullable = types.len() < count;
    let types = std::mem::take(types);
    match types.as_slice() {
        [one] => drop(keywords.insert("type".into(), one.clone())),
        two if two.len() == 2 && two.contains(&json!("integer")) && two.contains(&json!("string")) => {
            keywords.remove("type");
            keywords.insert("x-kubernetes-int-or-string".into(), true.into());
        }
        _ => return Err(error(path, "has several types; say one")),
    }
    Ok(nullable)
}

fn take_properties(
    path: &str,
    keywords: &mut Map<String, Json>,
    depth: usize,
) -> Result<std::collections::BTreeMap<String, Schema>, SchemaError> {
    let dot = if path.is_empty() { "" } else { "." };
    match keywords.remove("properties") {
        None => Ok(Default::default()),
        Some(Json::Object(properties)) => properties
            .into_iter()
            .map(|(name, schema)| {
                read(&format!("{path}{dot}{name}"), schema, depth + 1).map(|schema| (name, schema))
            })
            .collect(),
        Some(_) => Err(error(path, "properties must be an object")),
    }
}

/// What is left are keywords with a field of their own.
fn known_keywords(path: &str, mut keywords: Map<String, Json>) -> Result<Schema, SchemaError> {
    bound_integer(&mut keywords);
    let known = |name: &str| {
        name.starts_with("x-")
            || matches!(
                name,
                "type"
                    | "format"
                    | "description"
                    | "required"
                    | "enum"
                    | "default"
                    | "pattern"
                    | "minimum"
                    | "maximum"
                    | "minLength"
                    | "maxLength"
                    | "minItems"
                    | "maxItems"
                    | "nullable"
            )
    };
    if let Some(name) = keywords.keys().find(|name| !known(name)) {
        return Err(error(path, format!("the keyword {name:?} cannot be made structural; leave it out")));
    }
    serde_json::from_value(Json::Object(keywords)).map_err(|e| error(path, e.to_string()))
}

/// Formats of integers that OpenAPI does not have become one that holds them, with bounds.
fn bound_integer(keywords: &mut Map<String, Json>) {
    let (format, least, most) = match keywords.get("format").and_then(Json::as_str) {
        Some("int8") => ("int32", json!(i8::MIN), Some(json!(i8::MAX))),
        Some("int16") => ("int32", json!(i16::MIN), Some(json!(i16::MAX))),
        Some("uint8") => ("int32", json!(0), Some(json!(u8::MAX))),
        Some("uint16") => ("int32", json!(0), Some(json!(u16::MAX))),
        Some("uint32") => ("int64", json!(0), Some(json!(u32::MAX))),
        Some("uint64" | "uint" | "usize") => ("int64", json!(0), None),
        Some("int" | "isize") => return drop(keywords.insert("format".into(), "int64".into())),
        _ => return,
    };
    keywords.insert("format".into(), format.into());
    keywords.entry("minimum").or_insert(least);
    if let Some(most) = most {
        keywords.entry("maximum").or_insert(most);
    }
}

/// A schema and its only alternative, as one; what the schema itself says goes before.
fn overlay(outer: Map<String, Json>, only: Json, nullable: bool) -> Json {
    let mut merged = match only {
        Json::Object(keywords) => keywords,
        Json::Bool(true) => Map::new(),
        other => return other,
    };
    for (name, value) in outer {
        match (merged.get_mut(&name), value) {
            (Some(Json::Object(theirs)), Json::Object(ours)) if name == "properties" => theirs.extend(ours),
            (Some(Json::Array(theirs)), Json::Array(ours)) if name == "required" => theirs.extend(ours),
            (_, value) => drop(merged.insert(name, value)),
        }
    }
    if nullable {
        merged.insert("nullable".into(), true.into());
    }
    Json::Object(merged)
}

/// Several alternatives: fixed strings, or an integer and a string.
fn merge(path: &str, schema: &mut Schema, parts: Vec<Json>, depth: usize) -> Result<(), SchemaError> {
    let parts = parts.into_iter().map(|part| read(path, part, depth + 1)).collect::<Result<Vec<_>, _>>()?;
    let has = |kind| parts.iter().any(|part| part.kind == Some(kind));
    if parts.iter().all(|part| part.kind == Some(Type::String) && !part.allowed.is_empty()) {
        schema.kind = Some(Type::String);
        schema.allowed.extend(parts.iter().flat_map(|part| part.allowed.iter().cloned()));
        describe_values(schema, &parts);
    } else if parts.len() == 2 && has(Type::Integer) && has(Type::String) {
        schema.kind = None;
        schema.int_or_string = true;
    } else {
        return Err(error(path, "has alternatives of different form; say one type per value"));
    }
    Ok(())
}

/// The values' own descriptions follow that of the field.
fn describe_values(schema: &mut Schema, parts: &[Schema]) {
    for part in parts.iter().filter(|part| !part.description.is_empty()) {
        let values: Vec<_> = part.allowed.iter().map(ToString::to_string).collect();
        let line = format!("{}: {}", values.join(", "), part.description);
        let space = if schema.description.is_empty() { "" } else { "\n" };
        schema.description = format!("{}{space}{line}", schema.description);
    }
}

/// `{"type": "null"}`, or an `enum` or `const` of nothing but `null`.
fn is_null(part: &Json) -> bool {
    part.get("type") == Some(&json!("null"))
        || part.get("enum") == Some(&json!([null]))
        || part.get("const").is_some_and(Json::is_null)
}

/// Infers what follows from the rest, and checks what the walkers rely on.
fn settle(path: &str, mut schema: Schema) -> Result<Schema, SchemaError> {
    if schema.kind.is_none() && !schema.int_or_string {
        if !schema.properties.is_empty() || schema.additional_properties.is_some() {
            schema.kind = Some(Type::Object);
        } else if schema.items.is_some() {
            schema.kind = Some(Type::Array);
        } else if !schema.allowed.is_empty() && schema.allowed.iter().all(Json::is_string) {
            schema.kind = Some(Type::String);
        } else {
            schema.preserve_unknown_fields = true;
        }
    }
    if schema.list_type == Some(ListType::Map) {
        let items = schema.items.as_deref();
        let known = |key: &String| items.is_some_and(|items| items.properties.contains_key(key));
        match schema.list_map_keys.iter().find(|key| !known(key)) {
            Some(key) => {
                return Err(error(
                    path,
                    format!("elements have no field {key:?}, by which they are told apart"),
                ));
            }
            None if schema.list_map_keys.is_empty() => {
                return Err(error(path, "a list of type map needs x-kubernetes-list-map-keys"));
            }
            None => {}
        }
    }
    let faults = schema.default.as_ref().map(|value| {
        let mut value = value.clone();
        super::default(&schema, &mut value);
        validate(&schema, &value)
    });
    match faults.and_then(|faults| faults.into_iter().next()) {
        Some(fault) => {
            Err(error(path, format!("the default is not valid: {} {}", fault.field, fault.message)))
        }
        None => Ok(schema),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(given: Json, expected: Json) {
        let schema = Schema::from_json(&given).unwrap();
        assert_eq!(serde_json::to_value(&schema).unwrap(), expected);
        assert_eq!(Schema::from_json(&expected).unwrap(), schema, "what was written is read back");
    }

    #[test]
    fn options_become_nullable() {
        let expected = json!({"type": "string", "nullable": true});
        check(json!({"type": ["string", "null"], "title": "T"}), expected.clone());
        check(json!({"anyOf": [{"type": "string"}, {"type": "null"}]}), expected.clone());
        check(json!({"oneOf": [{"type": "string", "nullable": true}]}), expected.clone());
        check(json!({"allOf": [{"type": "string"}], "nullable": true, "default": null}), expected);
        check(
            json!({"description": "D", "anyOf": [{"type": "object", "description": "inner"}, {"enum": [null]}]}),
            json!({"type": "object", "description": "D", "nullable": true}),
        );
    }

    #[test]
    fn unit_variants_become_an_enum() {
        check(
            json!({"oneOf": [
                {"type": "string", "enum": ["A", "B"]},
                {"const": "C", "description": "The third."},
            ], "description": "Which."}),
            json!({"type": "string", "enum": ["A", "B", "C"], "description": "Which.\n\"C\": The third."}),
        );
        check(
            json!({"anyOf": [{"type": "string", "enum": ["a"]}, {"type": "null"}], "default": "a"}),
            json!({"type": "string", "enum": ["a"], "nullable": true, "default": "a"}),
        );
        check(json!({"enum": ["a", null]}), json!({"type": "string", "enum": ["a"], "nullable": true}));
    }

    #[test]
    fn integers_have_bounds() {
        let integer = |format: &str| json!({"type": "integer", "format": format});
        check(
            integer("uint32"),
            json!({"type": "integer", "format": "int64", "minimum": 0.0, "maximum": 4_294_967_295.0}),
        );
        check(
            integer("uint16"),
            json!({"type": "integer", "format": "int32", "minimum": 0.0, "maximum": 65_535.0}),
        );
        check(integer("uint64"), json!({"type": "integer", "format": "int64", "minimum": 0.0}));
        check(integer("int32"), integer("int32"));
        check(
            json!({"anyOf": [{"type": "integer"}, {"type": "string"}]}),
            json!({"x-kubernetes-int-or-string": true}),
        );
    }

    #[test]
    fn anything_and_sets() {
        check(json!(true), json!({"x-kubernetes-preserve-unknown-fields": true}));
        check(
            json!({"type": "array", "items": {"type": "string"}, "uniqueItems": true}),
            json!({"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"}),
        );
        check(
            json!({"additionalProperties": {"type": "string"}}),
            json!({"type": "object", "additionalProperties": {"type": "string"}}),
        );
    }

    #[test]
    fn what_cannot_be_structural_is_named() {
        let refused = |x: Json, path: &str, why: &str| {
            let schema =
                json!({"type": "object", "properties": {"spec": {"type": "object", "properties": {"x": x}}}});
            let error = Schema::from_json(&schema).unwrap_err();
            assert_eq!(error.path, path);
            assert!(error.why.contains(why), "{error}");
        };
        refused(json!({"$ref": "#/x"}), "spec.x", "$ref");
        refused(json!({"oneOf": [{"type": "object"}, {"type": "string"}]}), "spec.x", "alternatives");
        refused(json!({"allOf": [{}, {}]}), "spec.x", "allOf");
        refused(json!({"type": ["object", "string"]}), "spec.x", "several types");
        refused(json!({"type": "array", "items": {"not": {}}}), "spec.x[]", "\"not\"");
        refused(json!({"additionalProperties": {"type": "what"}}), "spec.x.*", "unknown variant");
        refused(json!({"type": "string", "pattern": "("}), "spec.x", "");
        refused(json!({"type": "integer", "default": "a"}), "spec.x", "default is not valid");
        refused(
            json!({"type": "array", "x-kubernetes-list-type": "map", "items": {"type": "object"}}),
            "spec.x",
            "keys",
        );
        refused(
            json!({"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["n"]}),
            "spec.x",
            "\"n\"",
        );
        let deep =
            (0..100).fold(json!({"type": "string"}), |inner, _| json!({"type": "array", "items": inner}));
        assert!(Schema::from_json(&deep).unwrap_err().why.contains("deeper"));
    }
}
