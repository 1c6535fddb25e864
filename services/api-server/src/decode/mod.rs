//! Bodies of requests read as objects: JSON, YAML and protobuf, with the faults a reader can act on.

mod json;
mod yaml;

use crate::{
    negotiate::{self, BodyFormat},
    protobuf,
};
use lab_kinds::Kind;
use lab_object::{GroupVersionKind, Json, Reason, Status};
use serde::{Deserialize, Deserializer};
use std::fmt;

/// A body, read.
#[derive(Debug, Clone, PartialEq)]
pub struct Decoded {
    /// What it says; where a field stood twice, the last one.
    pub object: Json,
    /// Paths of fields that stood twice, such as `spec.x`; only strict field validation minds.
    pub duplicates: Vec<String>,
}

/// What a DELETE asks for (`meta/v1.DeleteOptions`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DeleteOptions {
    /// Seconds the object has to end gracefully.
    pub grace_period_seconds: Option<i64>,
    /// What the object must still be.
    pub preconditions: Option<Preconditions>,
    /// Deprecated form of the propagation policies `Orphan` (true) and `Background` (false).
    pub orphan_dependents: Option<bool>,
    /// `Orphan`, `Background` or `Foreground`.
    pub propagation_policy: Option<String>,
    /// `All`, or nothing.
    #[serde(deserialize_with = "null_is_empty")]
    pub dry_run: Vec<String>,
}

/// What an object must be for it to be deleted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Preconditions {
    /// Its UID.
    pub uid: Option<String>,
    /// Its resourceVersion.
    pub resource_version: Option<String>,
}

/// Reads an object of a kind. `apiVersion` and `kind` are filled in where they are absent.
///
/// # Errors
/// 400 that says what is wrong and where (line and column of JSON and YAML, byte of protobuf), also for an object of
/// another kind; 415 for protobuf where the kind has no such form.
pub fn object(format: BodyFormat, bytes: &[u8], kind: &Kind) -> Result<Decoded, Status> {
    typed(format, bytes, &kind.gvk())
}

/// Reads an object of a type that has no registration of its own, such as a Scale or a TokenRequest.
///
/// # Errors
/// As [`object`].
pub fn typed(format: BodyFormat, bytes: &[u8], gvk: &GroupVersionKind) -> Result<Decoded, Status> {
    let mut decoded = tree(format, bytes, gvk)?;
    let found = found(&decoded.object)?;
    let Json::Object(object) = &mut decoded.object else { return Err(no_object(found)) };
    let api_version = lab_object::GroupVersion::new(&gvk.group, &gvk.version).to_string();
    for (field, expected) in [("apiVersion", api_version), ("kind", gvk.kind.clone())] {
        match object.get(field) {
            Some(Json::String(text)) if *text == expected => {}
            None | Some(Json::Null) => {
                object.insert(field.into(), expected.into());
            }
            Some(Json::String(text)) if text.is_empty() => {
                object.insert(field.into(), expected.into());
            }
            Some(other) => {
                let message = format!(
                    "the body's {field} is {other}, but this path takes \"{expected}\" ({} in {})",
                    gvk.kind,
                    Status::qualified(&gvk.version, &gvk.group)
                );
                return Err(bad_request(message));
            }
        }
    }
    Ok(decoded)
}

/// Reads a patch of any of the four types. A JSON patch is a list, the others are objects.
///
/// # Errors
/// 400 that says what is wrong and where.
pub fn patch(format: BodyFormat, bytes: &[u8]) -> Result<Decoded, Status> {
    let decoded = match format {
        BodyFormat::ApplyPatch | BodyFormat::Yaml => read_yaml(bytes)?,
        _ => read_json(bytes)?,
    };
    let wants_list = format == BodyFormat::JsonPatch;
    match &decoded.object {
        Json::Array(_) if wants_list => Ok(decoded),
        Json::Object(_) if !wants_list => Ok(decoded),
        other if wants_list => Err(bad_request(format!(
            "a JSON patch is a list of operations, but the body is {}",
            name_of(other)
        ))),
        other => Err(no_object(name_of(other))),
    }
}

/// Reads the body of a DELETE; an empty one asks for nothing special.
///
/// # Errors
/// 400 that says what is wrong and where.
pub fn delete_options(format: BodyFormat, bytes: &[u8]) -> Result<DeleteOptions, Status> {
    if bytes.is_empty() {
        return Ok(DeleteOptions::default());
    }
    let gvk =
        GroupVersionKind { group: "meta.k8s.io".into(), version: "v1".into(), kind: "DeleteOptions".into() };
    let object = tree(format, bytes, &gvk)?.object;
    // Every group and version has a DeleteOptions of its own, all of them the same.
    match object.get("kind") {
        None | Some(Json::Null) => {}
        Some(Json::String(kind)) if kind == "DeleteOptions" || kind.is_empty() => {}
        Some(other) => {
            return Err(bad_request(format!(
                "the body of a DELETE is a DeleteOptions, but its kind is {other}"
            )));
        }
    }
    if !object.is_object() {
        return Err(no_object(name_of(&object)));
    }
    serde_json::from_value(object)
        .map_err(|e| bad_request(format!("cannot read the body as DeleteOptions: {e}")))
}

fn tree(format: BodyFormat, bytes: &[u8], gvk: &GroupVersionKind) -> Result<Decoded, Status> {
    match format {
        BodyFormat::Protobuf if !protobuf::knows(gvk) => {
            Err(negotiate::unsupported(&[negotiate::JSON, negotiate::YAML]))
        }
        BodyFormat::Protobuf => {
            let object = protobuf::decode(bytes, gvk);
            let object = object.map_err(|e| bad_request(format!("cannot read the body as protobuf: {e}")))?;
            Ok(Decoded { object, duplicates: Vec::new() })
        }
        BodyFormat::Yaml | BodyFormat::ApplyPatch => read_yaml(bytes),
        _ => read_json(bytes),
    }
}

fn read_json(bytes: &[u8]) -> Result<Decoded, Status> {
    refuse_empty(bytes)?;
    json::read(bytes).map_err(|e| bad_request(format!("cannot read the body as JSON: {e}")))
}

fn read_yaml(bytes: &[u8]) -> Result<Decoded, Status> {
    refuse_empty(bytes)?;
    let text = std::str::from_utf8(bytes)
        .map_err(|e| bad_request(format!("cannot read the body as YAML: it is not UTF-8: {e}")))?;
    // JSON is most of what is sent as YAML, and much quicker to read.
    if text.trim_start().starts_with('{')
        && let Ok(decoded) = json::read(bytes)
    {
        return Ok(decoded);
    }
    yaml::read(text).map_err(|e| bad_request(format!("cannot read the body as YAML: {e}")))
}

fn refuse_empty(bytes: &[u8]) -> Result<(), Status> {
    if bytes.trim_ascii().is_empty() { Err(bad_request("the body is empty")) } else { Ok(()) }
}

/// What the body is, where it is an object after all.
fn found(value: &Json) -> Result<&'static str, Status> {
    if value.is_object() { Ok("an object") } else { Err(no_object(name_of(value))) }
}

fn name_of(value: &Json) -> &'static str {
    match value {
        Json::Null => "null",
        Json::Bool(_) => "a boolean",
        Json::Number(_) => "a number",
        Json::String(_) => "a string",
        Json::Array(_) => "a list",
        Json::Object(_) => "an object",
    }
}

fn no_object(found: &str) -> Status {
    bad_request(format!("the body must be an object, but is {found}"))
}

fn bad_request(message: impl Into<String>) -> Status {
    Status::failure(Reason::BadRequest, message)
}

fn null_is_empty<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// Where in a document a value stands; only written out when it is needed.
#[derive(Clone, Copy)]
enum Step<'a> {
    Root,
    Field(&'a Step<'a>, &'a str),
    Element(&'a Step<'a>, usize),
}

impl fmt::Display for Step<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => Ok(()),
            Self::Field(Self::Root, name) => f.write_str(name),
            Self::Field(parent, name) => write!(f, "{parent}.{name}"),
            Self::Element(parent, index) => write!(f, "{parent}[{index}]"),
        }
    }
}

#[cfg(test)]
mod tests;
