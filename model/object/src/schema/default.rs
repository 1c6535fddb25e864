//! Defaults, as Kubernetes applies them to structural schemas.

use super::Schema;
use crate::Json;

/// Gives absent fields their defaults, also inside defaults.
///
/// A `null` where the schema does not allow it becomes the default, or is removed where there is none (in lists it stays,
/// for validation to refuse). Objects that are absent and have no default stay absent.
pub fn default(schema: &Schema, value: &mut Json) {
    match value {
        Json::Object(fields) => {
            for (name, schema) in &schema.properties {
                match fields.get_mut(name) {
                    Some(Json::Null) if !schema.nullable && schema.default.is_none() => {
                        drop(fields.remove(name))
                    }
                    Some(value) => fill(schema, value),
                    None => {
                        if let Some(given) = &schema.default {
                            let mut given = given.clone();
                            default(schema, &mut given);
                            fields.insert(name.clone(), given);
                        }
                    }
                }
            }
            if let Some(others) = &schema.additional_properties {
                fields.retain(|name, value| {
                    if schema.properties.contains_key(name) {
                        return true;
                    }
                    fill(others, value);
                    !value.is_null() || others.nullable || others.takes_anything()
                });
            }
        }
        Json::Array(elements) => {
            if let Some(items) = &schema.items {
                elements.iter_mut().for_each(|element| fill(items, element));
            }
        }
        _ => {}
    }
}

/// The defaults of one value that is there.
fn fill(schema: &Schema, value: &mut Json) {
    if let (Json::Null, false, Some(given)) = (&*value, schema.nullable, &schema.default) {
        *value = given.clone();
    }
    default(schema, value);
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn absent_fields_become_their_defaults() {
        let schema = json!({"type": "object", "properties": {
            "a": {"type": "integer", "default": 1},
            "n": {"type": "string", "nullable": true, "default": "x"},
            "p": {"type": "string"},
            "o": {"type": "object", "properties": {"b": {"type": "boolean", "default": true}}},
            "d": {"type": "object", "default": {}, "properties": {"c": {"type": "string", "default": "c"}}},
            "l": {"type": "array", "items": {"type": "object", "properties": {"e": {"type": "integer", "default": 5}}}},
            "m": {"type": "object", "additionalProperties": {"type": "string"}},
            "md": {"type": "object", "additionalProperties": {"type": "string", "default": "z"}},
            "any": {"x-kubernetes-preserve-unknown-fields": true, "default": {"k": null}},
        }});
        let schema = Schema::from_json(&schema).unwrap();
        let base = json!({"a": 1, "n": "x", "d": {"c": "c"}, "any": {"k": null}});
        let check = |given: Json, changed: Json| {
            let mut value = given;
            default(&schema, &mut value);
            let mut expected = base.clone();
            expected.as_object_mut().unwrap().extend(changed.as_object().unwrap().clone());
            assert_eq!(value, expected);
            default(&schema, &mut value);
            assert_eq!(value, expected, "a second time changes nothing");
        };
        check(json!({}), json!({}));
        check(json!({"a": null, "p": null}), json!({}));
        check(json!({"a": 2, "n": null}), json!({"a": 2, "n": null}));
        check(json!({"o": {}}), json!({"o": {"b": true}}));
        check(json!({"d": {"c": "y"}}), json!({"d": {"c": "y"}}));
        check(json!({"l": [{}, {"e": 1}, null]}), json!({"l": [{"e": 5}, {"e": 1}, null]}));
        check(json!({"m": {"x": null, "y": "1"}}), json!({"m": {"y": "1"}}));
        check(json!({"md": {"x": null}}), json!({"md": {"x": "z"}}));
        check(json!({"any": {"q": null}}), json!({"any": {"q": null}}));
        check(json!({"o": "wrong"}), json!({"o": "wrong"}));
    }
}
