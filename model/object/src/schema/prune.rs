//! Removing fields that the schema does not know.

use super::{Schema, place::Place};
use crate::Json;

/// Removes unknown fields and returns their paths (`spec.foo`, `spec.nics[0].bar`), in order of the document.
pub fn prune(schema: &Schema, value: &mut Json) -> Vec<String> {
    let mut removed = Vec::new();
    prune_at(&Place::ROOT, schema, value, &mut removed);
    removed
}

fn prune_at(place: &Place<'_>, schema: &Schema, value: &mut Json, removed: &mut Vec<String>) {
    match value {
        Json::Object(fields) => {
            let keeps_unknown = schema.takes_anything();
            fields.retain(|name, value| {
                let known = schema.properties.get(name).or(schema.additional_properties.as_deref());
                let place = place.field(name);
                match known {
                    Some(schema) => prune_at(&place, schema, value, removed),
                    None if keeps_unknown => {}
                    None => removed.push(place.to_string()),
                }
                known.is_some() || keeps_unknown
            });
        }
        Json::Array(elements) => {
            if let Some(items) = &schema.items {
                for (i, element) in elements.iter_mut().enumerate() {
                    prune_at(&place.index(i), items, element, removed);
                }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn unknown_fields_go_and_are_named() {
        let schema = json!({"type": "object", "properties": {
            "spec": {"type": "object", "properties": {
                "a": {"type": "integer"},
                "nics": {"type": "array", "items": {"type": "object", "properties": {"mac": {"type": "string"}}}},
                "tags": {"type": "object", "additionalProperties": {"type": "object",
                    "properties": {"x": {"type": "string"}}}},
                "open": {"type": "object", "x-kubernetes-preserve-unknown-fields": true,
                    "properties": {"shut": {"type": "object"}}},
            }},
        }});
        let schema = Schema::from_json(&schema).unwrap();
        let check = |given: Json, left: Json, paths: &[&str]| {
            let mut value = given;
            assert_eq!(prune(&schema, &mut value), paths);
            assert_eq!(value, left);
        };
        check(json!({"spec": {"a": 1}}), json!({"spec": {"a": 1}}), &[]);
        check(json!({"foo": 1, "spec": {"b": {"c": 1}}}), json!({"spec": {}}), &["foo", "spec.b"]);
        check(
            json!({"spec": {"nics": [{"mac": "x"}, {"bar": 1, "mac": "y"}]}}),
            json!({"spec": {"nics": [{"mac": "x"}, {"mac": "y"}]}}),
            &["spec.nics[1].bar"],
        );
        check(
            json!({"spec": {"tags": {"t": {"x": "1", "y": "2"}}}}),
            json!({"spec": {"tags": {"t": {"x": "1"}}}}),
            &["spec.tags.t.y"],
        );
        check(
            json!({"spec": {"open": {"any": {"thing": 1}, "shut": {"z": 1}}}}),
            json!({"spec": {"open": {"any": {"thing": 1}, "shut": {}}}}),
            &["spec.open.shut.z"],
        );
        check(json!({"spec": [1]}), json!({"spec": [1]}), &[]);
    }
}
