//! Whether a body is an object of the kind, and what becomes of fields that the kind does not have.

use crate::reject::{Rejection, bad_request, invalid};
use lab_kinds::Kind;
use lab_object::{FieldError, Json, schema};
use serde_json::Map;
use std::str::FromStr;

/// Objects nest no deeper: what walks them need not fear for its stack.
const DEPTH: usize = 128;

/// What becomes of fields that are unknown or stand twice. They are never stored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum FieldValidation {
    /// They are dropped in silence.
    Ignore,
    /// They are dropped, and each is a warning; the default.
    #[default]
    Warn,
    /// They are refused.
    Strict,
}

impl FromStr for FieldValidation {
    type Err = Rejection;

    /// Reads the parameter `fieldValidation`; empty is the default.
    fn from_str(text: &str) -> Result<Self, Rejection> {
        match text {
            "" | "Warn" => Ok(Self::Warn),
            "Ignore" => Ok(Self::Ignore),
            "Strict" => Ok(Self::Strict),
            other => Err(bad_request(format_args!(
                "fieldValidation: Unsupported value: {other:?}: supported values: \"Ignore\", \"Strict\", \"Warn\""
            ))),
        }
    }
}

/// How the client's body was, and is to be, read.
#[derive(Debug, Clone, Copy, Default)]
pub struct Input<'a> {
    /// The parameter `fieldValidation`.
    pub validation: FieldValidation,
    /// Paths of the fields that stood twice in the body.
    pub duplicates: &'a [String],
}

/// Sees that `object` is of the kind (an absent `apiVersion` or `kind` is the path's), removes fields that the kind
/// does not have, and returns the warnings about them.
pub fn decode(kind: &Kind, object: &mut Json, input: Input<'_>) -> Result<Vec<String>, Rejection> {
    if too_deep(object, DEPTH) {
        return Err(bad_request(format_args!("the object is nested deeper than {DEPTH} levels")));
    }
    let fields = match object {
        Json::Object(fields) => fields,
        _ => return Err(bad_request("the body must be a JSON or YAML object")),
    };
    identify(kind, fields)?;
    if let Some(metadata) =
        fields.get("metadata").filter(|metadata| !metadata.is_object() && !metadata.is_null())
    {
        let error = FieldError::type_invalid("metadata", metadata, "object");
        return Err(invalid(kind, object, &[error]));
    }
    let unknown = schema::prune(&kind.schema, object);
    let duplicate = input.duplicates.iter().map(|path| format!("duplicate field {path:?}"));
    let complaints = duplicate.chain(unknown.iter().map(|path| format!("unknown field {path:?}")));
    match input.validation {
        FieldValidation::Ignore => Ok(Vec::new()),
        FieldValidation::Warn => Ok(complaints.collect()),
        FieldValidation::Strict => {
            let complaints: Vec<_> = complaints.collect();
            if complaints.is_empty() {
                return Ok(complaints);
            }
            let (kind, version, complaints) = (&kind.kind, &kind.version, complaints.join(", "));
            Err(bad_request(format_args!(
                "{kind} in version {version:?} cannot be handled as a {kind}: strict decoding error: {complaints}"
            )))
        }
    }
}

/// Compares `apiVersion` and `kind` with the path's.
fn identify(kind: &Kind, fields: &mut Map<String, Json>) -> Result<(), Rejection> {
    let is = |field: Option<&Json>, expected: &str| match field {
        None | Some(Json::Null) => Some(false),
        Some(Json::String(text)) if text.is_empty() => Some(false),
        Some(Json::String(text)) if text == expected => Some(true),
        Some(_) => None,
    };
    let shown = |field: Option<&Json>| match field {
        Some(Json::String(text)) => text.clone(),
        other => other.map(ToString::to_string).unwrap_or_default(),
    };
    let api_version = kind.api_version();
    match is(fields.get("apiVersion"), &api_version) {
        Some(true) => {}
        Some(false) => drop(fields.insert("apiVersion".into(), api_version.into())),
        None => {
            let found = shown(fields.get("apiVersion"));
            return Err(bad_request(format_args!(
                "the API version in the data ({found}) does not match the expected API version ({api_version})"
            )));
        }
    }
    match is(fields.get("kind"), &kind.kind) {
        Some(true) => Ok(()),
        Some(false) => {
            fields.insert("kind".into(), kind.kind.as_str().into());
            Ok(())
        }
        None => {
            let found = shown(fields.get("kind"));
            Err(bad_request(format_args!(
                "the kind in the data ({found}) does not match the expected kind ({})",
                kind.kind
            )))
        }
    }
}

/// Whether anything lies beneath so many levels.
fn too_deep(value: &Json, levels: usize) -> bool {
    match value {
        Json::Object(fields) => levels == 0 || fields.values().any(|value| too_deep(value, levels - 1)),
        Json::Array(elements) => levels == 0 || elements.iter().any(|value| too_deep(value, levels - 1)),
        _ => false,
    }
}
