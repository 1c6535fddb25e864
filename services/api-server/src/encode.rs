//! Objects as the store keeps them: JSON with a gap for the revision.

use bytes::Bytes;
use lab_object::Json;
use lab_store::{Revision, Value};
use serde::Serialize;
use serde_json::Map;

/// The quotes between which the revision is written.
const GAP: &[u8] = br#""resourceVersion":"""#;

/// The fields that are written first, in this order: whoever needs only metadata can stop reading behind them.
const FIRST: [&str; 3] = ["apiVersion", "kind", "metadata"];

/// An object as bytes with the place for its `metadata.resourceVersion`, whatever that is now.
pub fn value(object: &Json) -> Value {
    let mut bytes = Vec::with_capacity(1536);
    let Json::Object(fields) = object else {
        write(&mut bytes, object);
        return Value { bytes: bytes.into(), revision_at: None };
    };
    let first = FIRST.iter().filter_map(|name| fields.get_key_value(*name));
    let others = fields.iter().filter(|(name, _)| !FIRST.contains(&name.as_str()));
    let mut revision_at = None;
    bytes.push(b'{');
    for (name, field) in first.chain(others) {
        if bytes.len() > 1 {
            bytes.push(b',');
        }
        write(&mut bytes, name);
        bytes.push(b':');
        match field {
            Json::Object(metadata) if name == "metadata" => {
                revision_at = Some(write_metadata(&mut bytes, metadata));
            }
            _ => write(&mut bytes, field),
        }
    }
    bytes.push(b'}');
    Value { bytes: bytes.into(), revision_at }
}

/// The bytes with a revision written in, as the store would return them.
pub fn at_revision(value: &Value, revision: Revision) -> Bytes {
    let Some(at) = value.revision_at else { return value.bytes.clone() };
    let (before, after) = value.bytes.split_at(at as usize);
    [before, revision.to_string().as_bytes(), after].concat().into()
}

/// Writes metadata with an empty resourceVersion; returns the offset between its quotes.
fn write_metadata(bytes: &mut Vec<u8>, metadata: &Map<String, Json>) -> u32 {
    bytes.push(b'{');
    bytes.extend_from_slice(GAP);
    let at = bytes.len() - 1;
    for (name, field) in metadata.iter().filter(|(name, _)| *name != "resourceVersion") {
        bytes.push(b',');
        write(bytes, name);
        bytes.push(b':');
        write(bytes, field);
    }
    bytes.push(b'}');
    u32::try_from(at).expect("objects are smaller than 4 GiB")
}

fn write(bytes: &mut Vec<u8>, value: &(impl Serialize + ?Sized)) {
    serde_json::to_writer(bytes, value).expect("JSON values always serialise to memory");
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_revision_is_written_into_the_objects_own_metadata() {
        for object in [
            json!({"kind": "A", "metadata": {"name": "x", "annotations": {"metadata": "\"resourceVersion\":\"\""}}}),
            json!({"a": {"metadata": {"resourceVersion": ""}}, "metadata": {"name": "x", "resourceVersion": "9"}}),
            json!({"metadata": {}}),
        ] {
            let encoded = value(&object);
            let mut expected = object.clone();
            expected["metadata"]["resourceVersion"] = "1234".into();
            let read: Json = serde_json::from_slice(&at_revision(&encoded, 1234)).unwrap();
            assert_eq!(read, expected);
        }
    }
}
