//! Whether a value is as its schema says; paths and messages are only made for what is wrong.

use super::{ListType, Schema, Type, format, place::Place};
use crate::{FieldError, Json};
use serde_json::{Map, Number};
use std::collections::BTreeSet;

/// So many errors are told at most: a hostile object must not make a long answer.
const ERRORS: usize = 50;
/// Up to this length, elements are compared each with each.
const SHORT: usize = 16;

/// What is wrong with a value; nothing when it is valid. It walks no deeper than the schema.
pub fn validate(schema: &Schema, value: &Json) -> Vec<FieldError> {
    let mut walk = Walk { errors: Vec::new() };
    walk.value(&Place::ROOT, schema, value);
    walk.errors
}

struct Walk {
    errors: Vec<FieldError>,
}

impl Walk {
    #[cold]
    fn report(&mut self, error: FieldError) {
        if self.errors.len() < ERRORS {
            self.errors.push(error);
        }
    }

    #[cold]
    fn invalid(&mut self, place: &Place<'_>, value: &Json, why: &str) {
        let field = place.to_string();
        let subject = if field.is_empty() { "the value" } else { &field };
        let why = format!("{subject} in body {why}");
        self.report(FieldError::invalid(field, value, why));
    }

    fn value(&mut self, place: &Place<'_>, schema: &Schema, value: &Json) {
        if self.errors.len() >= ERRORS {
            return;
        }
        match value {
            Json::Null if schema.nullable => return,
            Json::Null if schema.kind.is_none() && !schema.int_or_string => return,
            _ if !fits(schema, value) => {
                let expected = if schema.int_or_string { "integer or string" } else { name(schema.kind) };
                return self.report(FieldError::type_invalid(place.to_string(), value, expected));
            }
            Json::String(text) => self.text(place, schema, text, value),
            Json::Number(number) => self.number(place, schema, number, value),
            Json::Array(elements) => self.list(place, schema, elements, value),
            Json::Object(fields) => self.object(place, schema, fields),
            Json::Null | Json::Bool(_) => {}
        }
        if !schema.allowed.is_empty() && !schema.allowed.contains(value) {
            let allowed: Vec<_> = schema.allowed.iter().map(plain).collect();
            let allowed: Vec<_> = allowed.iter().map(String::as_str).collect();
            self.report(FieldError::not_supported(place.to_string(), value, &allowed));
        }
    }

    fn text(&mut self, place: &Place<'_>, schema: &Schema, text: &str, value: &Json) {
        if let Some(pattern) = schema.pattern.as_ref().filter(|pattern| !pattern.matches(text)) {
            self.invalid(place, value, &format!("should match '{}'", pattern.as_str()));
        }
        if let Some(format) = schema.format.as_deref().filter(|format| !format::text_has(format, text)) {
            self.invalid(place, value, &format!("must be of type {format}: {text:?}"));
        }
        if schema.min_length.is_some() || schema.max_length.is_some() {
            let length = text.chars().count() as u64;
            if let Some(least) = schema.min_length.filter(|&least| length < least) {
                self.invalid(place, value, &format!("should be at least {least} chars long"));
            }
            if let Some(most) = schema.max_length.filter(|&most| length > most) {
                self.invalid(place, value, &format!("should be at most {most} chars long"));
            }
        }
    }

    fn number(&mut self, place: &Place<'_>, schema: &Schema, number: &Number, value: &Json) {
        if let Some(format) = schema.format.as_deref().filter(|format| !format::integer_has(format, number)) {
            self.invalid(place, value, &format!("must be of type {format}: {number}"));
        }
        let Some(number) = number.as_f64() else { return };
        if let Some(least) = schema.minimum.filter(|&least| number < least) {
            self.invalid(place, value, &format!("should be greater than or equal to {least}"));
        }
        if let Some(most) = schema.maximum.filter(|&most| number > most) {
            self.invalid(place, value, &format!("should be less than or equal to {most}"));
        }
    }

    fn list(&mut self, place: &Place<'_>, schema: &Schema, elements: &[Json], value: &Json) {
        let length = elements.len() as u64;
        if let Some(least) = schema.min_items.filter(|&least| length < least) {
            self.invalid(place, value, &format!("should have at least {least} items"));
        }
        if let Some(most) = schema.max_items.filter(|&most| length > most) {
            let message = format!("Too many: {length}: must have at most {most} items");
            self.report(FieldError { reason: "FieldValueTooMany", field: place.to_string(), message });
        }
        if let Some(items) = &schema.items {
            for (i, element) in elements.iter().enumerate() {
                self.value(&place.index(i), items, element);
            }
        }
        match schema.list_type {
            Some(ListType::Set) => self.distinct(place, elements, |element| element.clone(), |a, b| a == b),
            Some(ListType::Map) => {
                let alike = |a: &Json, b: &Json| {
                    schema.list_map_keys.iter().all(|key| at(schema, a, key) == at(schema, b, key))
                };
                self.distinct(place, elements, |element| keys(schema, element), alike);
            }
            Some(ListType::Atomic) | None => {}
        }
    }

    /// Each element once. Short lists, which are nearly all, are compared in place; only long ones, and those with a
    /// fault, have their keys written out.
    fn distinct(
        &mut self,
        place: &Place<'_>,
        elements: &[Json],
        key: impl Fn(&Json) -> Json,
        alike: impl Fn(&Json, &Json) -> bool,
    ) {
        let short = elements.len() <= SHORT;
        if short && elements.iter().enumerate().all(|(i, a)| elements[..i].iter().all(|b| !alike(a, b))) {
            return;
        }
        let mut seen = BTreeSet::new();
        for (i, element) in elements.iter().enumerate() {
            let key = key(element);
            if !seen.insert(key.to_string()) {
                self.report(FieldError::duplicate(place.index(i).to_string(), &key));
            }
        }
    }

    fn object(&mut self, place: &Place<'_>, schema: &Schema, fields: &Map<String, Json>) {
        for name in schema.required.iter().filter(|name| !fields.contains_key(*name)) {
            self.report(FieldError::required(place.field(name).to_string(), ""));
        }
        for (name, value) in fields {
            if let Some(schema) = schema.properties.get(name).or(schema.additional_properties.as_deref()) {
                self.value(&place.field(name), schema, value);
            }
        }
    }
}

/// Whether the JSON type is right.
fn fits(schema: &Schema, value: &Json) -> bool {
    let Some(kind) = schema.kind else {
        return !schema.int_or_string || value.is_string() || is_whole(value);
    };
    match kind {
        Type::Object => value.is_object(),
        Type::Array => value.is_array(),
        Type::String => value.is_string(),
        Type::Integer => is_whole(value),
        Type::Number => value.is_number(),
        Type::Boolean => value.is_boolean(),
    }
}

fn is_whole(value: &Json) -> bool {
    value.is_i64() || value.is_u64()
}

fn name(kind: Option<Type>) -> &'static str {
    match kind {
        Some(Type::Object) => "object",
        Some(Type::Array) => "array",
        Some(Type::String) => "string",
        Some(Type::Integer) => "integer",
        Some(Type::Number) => "number",
        Some(Type::Boolean) => "boolean",
        None => "any",
    }
}

/// One of the fields that tell a map list's elements apart; its default where it is absent.
fn at<'a>(list: &'a Schema, element: &'a Json, key: &str) -> Option<&'a Json> {
    element.get(key).or_else(|| list.items.as_ref()?.properties.get(key)?.default.as_ref())
}

/// All of them.
fn keys(list: &Schema, element: &Json) -> Json {
    let pair = |key: &String| Some((key.clone(), at(list, element, key)?.clone()));
    list.list_map_keys.iter().filter_map(pair).collect::<Map<_, _>>().into()
}

/// A value as it stands in a list of those supported.
fn plain(value: &Json) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Validates `{"x": value}` and compares `reason field: message` of each error.
    fn check(x: Json, value: Json, expected: &[&str]) {
        let schema = json!({"type": "object", "properties": {"x": x}, "required": ["x"]});
        let schema = Schema::from_json(&schema).unwrap();
        let object = if value == json!("absent") { json!({}) } else { json!({"x": value}) };
        let errors = validate(&schema, &object);
        let errors: Vec<_> = errors.iter().map(|e| format!("{} {e}", e.reason)).collect();
        assert_eq!(errors, expected, "{object}");
    }

    #[test]
    fn scalars() {
        let word = json!({"type": "string", "pattern": "^[a-z]+$", "minLength": 2, "maxLength": 3});
        check(word.clone(), json!("ab"), &[]);
        check(word.clone(), json!("absent"), &["FieldValueRequired x: Required value"]);
        check(
            word.clone(),
            json!(1),
            &["FieldValueTypeInvalid x: Invalid value: \"integer\": must be of type string: \"integer\""],
        );
        check(
            word.clone(),
            json!("A"),
            &[
                "FieldValueInvalid x: Invalid value: \"A\": x in body should match '^[a-z]+$'",
                "FieldValueInvalid x: Invalid value: \"A\": x in body should be at least 2 chars long",
            ],
        );
        check(
            word,
            json!("abcd"),
            &["FieldValueInvalid x: Invalid value: \"abcd\": x in body should be at most 3 chars long"],
        );
        check(
            json!({"type": "string", "enum": ["a", "b"]}),
            json!("c"),
            &["FieldValueNotSupported x: Unsupported value: \"c\": supported values: \"a\", \"b\""],
        );
        check(
            json!({"type": "string", "format": "date-time"}),
            json!("now"),
            &["FieldValueInvalid x: Invalid value: \"now\": x in body must be of type date-time: \"now\""],
        );
    }

    #[test]
    fn numbers() {
        let percent = json!({"type": "integer", "format": "int32", "minimum": 0, "maximum": 100});
        check(percent.clone(), json!(0), &[]);
        check(
            percent.clone(),
            json!(-1),
            &["FieldValueInvalid x: Invalid value: -1: x in body should be greater than or equal to 0"],
        );
        check(
            percent.clone(),
            json!(101),
            &["FieldValueInvalid x: Invalid value: 101: x in body should be less than or equal to 100"],
        );
        check(
            percent,
            json!(1.5),
            &["FieldValueTypeInvalid x: Invalid value: \"number\": must be of type integer: \"number\""],
        );
        check(
            json!({"type": "integer", "format": "int32"}),
            json!(3_000_000_000_u64),
            &["FieldValueInvalid x: Invalid value: 3000000000: x in body must be of type int32: 3000000000"],
        );
        check(json!({"type": "number"}), json!(1.5), &[]);
        check(json!({"type": "number"}), json!(1), &[]);
    }

    #[test]
    fn nulls_and_any() {
        check(json!({"type": "string", "nullable": true}), json!(null), &[]);
        check(
            json!({"type": "string"}),
            json!(null),
            &["FieldValueTypeInvalid x: Invalid value: \"null\": must be of type string: \"null\""],
        );
        check(json!({"x-kubernetes-preserve-unknown-fields": true}), json!([1, null]), &[]);
        check(json!({"x-kubernetes-int-or-string": true}), json!("80%"), &[]);
        check(json!({"x-kubernetes-int-or-string": true}), json!(80), &[]);
        check(
            json!({"x-kubernetes-int-or-string": true}),
            json!(true),
            &[
                "FieldValueTypeInvalid x: Invalid value: \"boolean\": must be of type integer or string: \"boolean\"",
            ],
        );
    }

    #[test]
    fn lists() {
        let set = json!({"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set",
            "minItems": 1, "maxItems": 3});
        check(set.clone(), json!(["a", "b"]), &[]);
        let long: Vec<_> = (0..20).chain([7]).map(|n| n.to_string()).collect();
        check(
            json!({"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"}),
            json!(long),
            &["FieldValueDuplicate x[20]: Duplicate value: \"7\""],
        );
        check(set.clone(), json!(["a", "b", "a"]), &["FieldValueDuplicate x[2]: Duplicate value: \"a\""]);
        check(
            set.clone(),
            json!([]),
            &["FieldValueInvalid x: Invalid value: []: x in body should have at least 1 items"],
        );
        check(
            set.clone(),
            json!(["a", "b", "c", "d"]),
            &["FieldValueTooMany x: Too many: 4: must have at most 3 items"],
        );
        check(
            set,
            json!(["a", 1]),
            &["FieldValueTypeInvalid x[1]: Invalid value: \"integer\": must be of type string: \"integer\""],
        );
        let ports = json!({"type": "array", "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["port", "protocol"],
            "items": {"type": "object", "required": ["port"], "properties": {
                "port": {"type": "integer"}, "protocol": {"type": "string", "default": "TCP"}}}});
        check(ports.clone(), json!([{"port": 53}, {"port": 53, "protocol": "UDP"}]), &[]);
        check(
            ports.clone(),
            json!([{"port": 53}, {"port": 53, "protocol": "TCP"}]),
            &["FieldValueDuplicate x[1]: Duplicate value: {\"port\":53,\"protocol\":\"TCP\"}"],
        );
        check(ports, json!([{}]), &["FieldValueRequired x[0].port: Required value"]);
    }

    #[test]
    fn maps_and_the_number_of_errors() {
        let map = json!({"type": "object", "additionalProperties": {"type": "string"}});
        check(map.clone(), json!({"a": "b"}), &[]);
        check(
            map.clone(),
            json!({"a.b": 1}),
            &["FieldValueTypeInvalid x.a.b: Invalid value: \"integer\": must be of type string: \"integer\""],
        );
        let list = Schema::from_json(&json!({"type": "array", "items": {"type": "string"}})).unwrap();
        assert_eq!(validate(&list, &json!(vec![1; 10_000])).len(), ERRORS);
    }
}
