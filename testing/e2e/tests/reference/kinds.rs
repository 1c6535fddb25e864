//! Every kind with its fields, from the registry.

use crate::cell;
use lab_kinds::{Kind, Registry};
use lab_object::{Schema, schema::Type};
use std::fmt::Write;

pub fn text() -> String {
    let mut text = String::from(
        "# Kinds\n\nEvery kind that labd serves, with its fields; `labctl explain KIND` says the same, and `labctl explain KIND \
         --example` shows one.\n",
    );
    let registry: Registry = lab_kinds::registry();
    let mut kinds: Vec<&Kind> = registry.kinds().iter().map(AsRef::as_ref).collect();
    // Ours first.
    kinds.sort_by_key(|kind| (!kind.group.ends_with(".lab"), kind.api_version(), kind.kind.clone()));
    for kind in kinds {
        push_kind(&mut text, kind);
    }
    text
}

fn push_kind(text: &mut String, kind: &Kind) {
    let names: Vec<String> = [&kind.singular, &kind.plural]
        .into_iter()
        .chain(&kind.short_names)
        .map(|name| format!("`{name}`"))
        .collect();
    let _ = write!(
        text,
        "\n## {} ({})\n\n{}\n\n{}, {}",
        kind.kind,
        kind.api_version(),
        cell(&kind.schema.description),
        names.join(", "),
        if kind.namespaced() { "in a namespace" } else { "in no namespace" },
    );
    if kind.read_only {
        text.push_str(", only read");
    }
    if kind.confidential {
        text.push_str(", encrypted at rest");
    }
    let code = |paths: Vec<&str>| paths.iter().map(|p| format!("`{p}`")).collect::<Vec<_>>().join(", ");
    if !kind.subresources.is_empty() {
        let paths = kind.subresources.iter().map(lab_kinds::Subresource::path).collect();
        let _ = write!(text, "; subresources {}", code(paths));
    }
    text.push_str(".\n");
    if !kind.selectable.is_empty() {
        let paths = kind.selectable.iter().map(|field| field.0.as_ref()).collect();
        let _ = writeln!(text, "\nField selectors: {}.", code(paths));
    }
    text.push_str("\n| Field | Type | |\n|---|---|---|\n");
    let own = kind
        .schema
        .properties
        .iter()
        .filter(|(name, _)| !matches!(name.as_str(), "apiVersion" | "kind" | "metadata"));
    for (name, field) in own {
        push_field(text, name, field, kind.schema.required.contains(name));
    }
}

/// A field, and those beneath it.
fn push_field(text: &mut String, path: &str, schema: &Schema, required: bool) {
    let (of, suffix) = held(schema);
    let path = format!("{path}{suffix}");
    let described = if schema.description.is_empty() { &of.description } else { &schema.description };
    let mut said = vec![cell(described)];
    if required {
        said.push("Required.".into());
    }
    said.extend(limits(of).iter().map(|limit| cell(limit)));
    if let Some(default) = &schema.default {
        said.push(format!("Default: `{default}`."));
    }
    said.retain(|sentence| !sentence.is_empty());
    let _ = writeln!(text, "| `{path}` | {} | {} |", kind_of(schema), said.join(" "));
    for (name, field) in &of.properties {
        push_field(text, &format!("{path}.{name}"), field, of.required.contains(name));
    }
}

/// What a list or a map holds, or the schema itself, and how a path into it is written.
fn held(schema: &Schema) -> (&Schema, String) {
    if let Some(items) = &schema.items {
        let (of, suffix) = held(items);
        return (of, format!("[]{suffix}"));
    }
    match &schema.additional_properties {
        Some(values) if schema.properties.is_empty() => {
            let (of, suffix) = held(values);
            (of, format!(".*{suffix}"))
        }
        _ => (schema, String::new()),
    }
}

fn kind_of(schema: &Schema) -> String {
    if schema.int_or_string {
        return "integer or string".into();
    }
    if let Some(items) = &schema.items {
        return format!("list of {}", kind_of(items));
    }
    if let Some(values) = schema.additional_properties.as_ref().filter(|_| schema.properties.is_empty()) {
        return format!("map to {}", kind_of(values));
    }
    match schema.kind {
        None => "any",
        Some(Type::Object) => "object",
        Some(Type::Array) => "list",
        Some(Type::String) => match schema.format.as_deref() {
            Some("date-time") => "time",
            _ => "string",
        },
        Some(Type::Integer) => "integer",
        Some(Type::Number) => "number",
        Some(Type::Boolean) => "boolean",
    }
    .into()
}

/// What is asked of a value, as sentences.
fn limits(schema: &Schema) -> Vec<String> {
    let mut limits = Vec::new();
    if !schema.allowed.is_empty() {
        let allowed = schema
            .allowed
            .iter()
            .map(|v| format!("`{}`", v.as_str().map_or_else(|| v.to_string(), Into::into)));
        limits.push(format!("One of {}.", allowed.collect::<Vec<_>>().join(", ")));
    }
    match (schema.minimum, schema.maximum) {
        (Some(least), Some(most)) => limits.push(format!("From {least} to {most}.")),
        (Some(least), None) => limits.push(format!("At least {least}.")),
        (None, Some(most)) => limits.push(format!("At most {most}.")),
        (None, None) => {}
    }
    if let Some(most) = schema.max_length {
        limits.push(format!("At most {most} characters."));
    }
    limits
}
