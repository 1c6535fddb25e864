//! OpenAPI v2 (Swagger): all groups in one document, for clients that know no v3 (kubectl before 1.29 cannot create
//! or explain anything without it) and for those that ask for `plaintext-openapiv2`.

use super::document;
use lab_kinds::Registry;
use lab_object::Json;
use serde_json::{Map, json};

/// The methods that a path item holds beside its parameters.
const METHODS: [&str; 5] = ["get", "put", "post", "delete", "patch"];

/// The document, made from those of v3.
pub(super) fn swagger(registry: &Registry) -> Json {
    let (mut paths, mut definitions) = (Map::new(), Map::new());
    for group_version in registry.group_versions() {
        let mut of_version = document(registry, &group_version);
        for (name, schema) in take(&mut of_version, "/components/schemas") {
            definitions.entry(name).or_insert_with(|| schema_of(schema));
        }
        let items = take(&mut of_version, "/paths");
        paths.extend(items.into_iter().map(|(path, item)| (path, item_of(item))));
    }
    json!({
        "swagger": "2.0",
        "info": {"title": "Lab", "version": env!("CARGO_PKG_VERSION")},
        "paths": paths,
        "definitions": definitions,
    })
}

fn take(document: &mut Json, pointer: &str) -> Map<String, Json> {
    match document.pointer_mut(pointer).map(Json::take) {
        Some(Json::Object(fields)) => fields,
        _ => Map::new(),
    }
}

/// A schema of v3 as v2 has it: references point elsewhere and stand beside their description, nothing is nullable.
fn schema_of(schema: Json) -> Json {
    let Json::Object(mut fields) = schema else { return schema };
    fields.remove("nullable");
    if let Some(Json::Array(parts)) = fields.get_mut("allOf")
        && let [Json::Object(part)] = parts.as_mut_slice()
        && let Some(reference) = part.remove("$ref")
    {
        fields.remove("allOf");
        fields.remove("default");
        fields.insert("$ref".into(), reference);
    }
    if let Some(Json::String(reference)) = fields.get_mut("$ref") {
        *reference = reference.replace("#/components/schemas/", "#/definitions/");
    }
    for inner in ["items", "additionalProperties"] {
        if let Some(schema) = fields.get_mut(inner) {
            *schema = schema_of(schema.take());
        }
    }
    if let Some(Json::Object(properties)) = fields.get_mut("properties") {
        properties.values_mut().for_each(|schema| *schema = schema_of(schema.take()));
    }
    fields.into()
}

fn item_of(item: Json) -> Json {
    let Json::Object(mut item) = item else { return item };
    if let Some(Json::Array(parameters)) = item.get_mut("parameters") {
        parameters.iter_mut().for_each(parameter_of);
    }
    for method in METHODS {
        if let Some(operation) = item.get_mut(method) {
            operation_of(operation);
        }
    }
    item.into()
}

/// A parameter's type stands beside its name.
fn parameter_of(parameter: &mut Json) {
    let Some(fields) = parameter.as_object_mut() else { return };
    if let Some(Json::Object(schema)) = fields.remove("schema") {
        fields.extend(schema);
    }
}

/// Bodies are parameters; content types stand apart from schemas.
fn operation_of(operation: &mut Json) {
    let body = operation.as_object_mut().and_then(|o| o.remove("requestBody"));
    let Some(parameters) = operation["parameters"].as_array_mut() else { return };
    parameters.iter_mut().for_each(parameter_of);
    if let Some(body) = body {
        let (types, schema) = content_of(&body);
        parameters
            .push(json!({"name": "body", "in": "body", "required": body["required"], "schema": schema}));
        operation["consumes"] = types.into();
    }
    let mut produces = Vec::new();
    for answer in operation["responses"].as_object_mut().into_iter().flat_map(|r| r.values_mut()) {
        let (types, schema) = content_of(answer);
        produces = types;
        *answer = json!({"description": answer["description"], "schema": schema});
    }
    operation["produces"] = produces.into();
}

/// The content types of a body, and the schema that all of them have.
fn content_of(body: &Json) -> (Vec<String>, Json) {
    let content = body["content"].as_object();
    let types = content.into_iter().flat_map(|c| c.keys().cloned()).collect();
    let schema = content.and_then(|c| c.values().next()).map(|c| c["schema"].clone());
    (types, schema.map_or(Json::Null, schema_of))
}
