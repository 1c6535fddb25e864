//! Whole objects as YAML and JSON.

use crate::failure::{Exit, Failure, Outcome};
use lab_object::Json;

/// An object as YAML, with a line end.
pub fn yaml(object: &Json) -> Outcome<String> {
    let mut text = serde_saphyr::to_string(object)
        .map_err(|e| Failure::new(Exit::Failed, format!("the object cannot be written as YAML: {e}")))?;
    if !text.ends_with('\n') {
        text.push('\n');
    }
    Ok(text)
}

/// An object as JSON, indented by four, with a line end.
pub fn json(object: &Json) -> Outcome<String> {
    use serde::Serialize;
    let mut bytes = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, formatter);
    let written = object.serialize(&mut serializer);
    bytes.push(b'\n');
    written
        .ok()
        .and_then(|()| String::from_utf8(bytes).ok())
        .ok_or_else(|| Failure::new(Exit::Failed, "the object cannot be written as JSON"))
}

/// Takes out what only programs read.
pub fn without_managed_fields(object: &mut Json) {
    if let Some(items) = object.get_mut("items").and_then(Json::as_array_mut) {
        items.iter_mut().for_each(without_managed_fields);
    }
    if let Some(metadata) = object.get_mut("metadata").and_then(Json::as_object_mut) {
        metadata.remove("managedFields");
    }
}
