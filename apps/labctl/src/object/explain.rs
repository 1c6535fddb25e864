//! `labctl explain`: what a kind's fields mean.

use crate::{
    failure::{Failure, Outcome},
    kind::{nearest, suggestion},
    output::{self, Paint},
};
use lab_kinds::Kind;
use lab_object::{Schema, schema::Type};
use std::fmt::Write;

/// Explain a kind, or one of its fields
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  labctl explain server
  labctl explain server.spec.install
  labctl explain network --recursive
  labctl explain disklayout --example > layout.yaml")]
pub struct Args {
    /// A kind, and fields behind it, with dots
    #[arg(value_name = "KIND[.FIELD…]", add = crate::complete::kinds())]
    path: String,
    /// Show the names of all fields beneath
    #[arg(long)]
    recursive: bool,
    /// Show a valid object, to begin one's own from
    #[arg(long, conflicts_with = "recursive")]
    example: bool,
}

/// Runs the command. It needs no server: the kinds are compiled in.
pub fn run(args: &Args) -> Outcome {
    let (kind, fields) = find(&args.path)?;
    if args.example {
        return example(&kind);
    }
    let mut schema: &Schema = &kind.schema;
    let mut walked = kind.singular.clone();
    for field in &fields {
        let beneath = inner(schema);
        schema =
            beneath.properties.get(*field).or(beneath.additional_properties.as_deref()).ok_or_else(|| {
                let near = nearest(field, beneath.properties.keys().map(String::as_str));
                let hint = match suggestion(&near) {
                    empty if empty.is_empty() => format!("`labctl explain {walked}` lists the fields"),
                    hint => hint,
                };
                Failure::usage(format!("{walked} has no field {field:?}")).with_hint(hint)
            })?;
        walked = format!("{walked}.{field}");
    }
    Ok(output::text(&render(&kind, &fields, schema, args.recursive))?)
}

/// Shows a valid object, without what the server or the machine itself fills in.
fn example(kind: &Kind) -> Outcome {
    let Some(example) = kind.example else {
        return Err(Failure::usage(format!("there is no example of a {}", kind.kind)));
    };
    let mut object = example();
    if let Some(fields) = object.as_object_mut() {
        fields.remove("status");
    }
    Ok(output::text(&output::document::yaml(&object)?)?)
}

/// The kind and the fields of a path. A kind may itself have dots: `servers.metal.lab.spec`.
fn find(path: &str) -> Outcome<(std::sync::Arc<Kind>, Vec<&str>)> {
    let registry = lab_kinds::registry();
    let parts: Vec<&str> = path.split('.').collect();
    for length in (1..=parts.len()).rev() {
        // A field must not be taken for a group: `server.spec` is no group `spec`.
        if let Some(kind) = registry.by_name(&parts[..length].join(".")) {
            return Ok((kind.clone(), parts[length..].to_vec()));
        }
    }
    let name = parts.first().copied().unwrap_or_default();
    let failure = Failure::usage(format!("no kind is called {name:?}"));
    Err(match suggestion(&registry.suggest(name)) {
        empty if empty.is_empty() => failure.with_hint("`labctl api-resources` lists the kinds"),
        hint => failure.with_hint(hint),
    })
}

/// The schema of what a list holds, or the schema itself.
fn inner(schema: &Schema) -> &Schema {
    match &schema.items {
        Some(items) => inner(items),
        None => match &schema.additional_properties {
            Some(values) if schema.properties.is_empty() && !values.properties.is_empty() => values,
            _ => schema,
        },
    }
}

fn render(kind: &Kind, fields: &[&str], schema: &Schema, recursive: bool) -> String {
    let mut text = String::new();
    let bold = |word: &str| Paint::Bold.out(word);
    let _ = writeln!(text, "{}       {}", bold("KIND:"), kind.kind);
    let _ = writeln!(text, "{}    {}", bold("VERSION:"), kind.api_version());
    if let Some(last) = fields.last() {
        let _ = writeln!(text, "{}      {last} <{}>", bold("FIELD:"), type_of(schema));
    }
    let _ = writeln!(text, "\n{}", bold("DESCRIPTION:"));
    let described =
        if schema.description.is_empty() { &inner(schema).description } else { &schema.description };
    push_wrapped(&mut text, described, 4);
    for limit in limits(schema) {
        let _ = writeln!(text, "    {limit}");
    }
    let beneath = inner(schema);
    if !beneath.properties.is_empty() {
        let _ = writeln!(text, "\n{}", bold("FIELDS:"));
        push_fields(&mut text, beneath, 2, recursive);
    }
    text
}

fn push_fields(text: &mut String, schema: &Schema, indent: usize, recursive: bool) {
    for (name, field) in &schema.properties {
        let required = if schema.required.contains(name) { " -required-" } else { "" };
        let _ = writeln!(text, "{:indent$}{}  <{}>{required}", "", Paint::Bold.out(name), type_of(field));
        if recursive {
            push_fields(text, inner(field), indent + 2, true);
        } else {
            let described =
                if field.description.is_empty() { &inner(field).description } else { &field.description };
            push_wrapped(text, described, indent + 4);
            for limit in limits(field) {
                let _ = writeln!(text, "{:1$}{limit}", "", indent + 4);
            }
            text.push('\n');
        }
    }
    if !recursive {
        text.truncate(text.trim_end_matches('\n').len());
        text.push('\n');
    }
}

fn type_of(schema: &Schema) -> String {
    if schema.int_or_string {
        return "integer or string".into();
    }
    if let Some(items) = &schema.items {
        return format!("[]{}", type_of(items));
    }
    if let Some(values) = &schema.additional_properties {
        return format!("map[string]{}", type_of(values));
    }
    match schema.kind {
        None => "any".into(),
        Some(Type::Object) => "Object".into(),
        Some(Type::Array) => "list".into(),
        Some(Type::String) => "string".into(),
        Some(Type::Integer) => "integer".into(),
        Some(Type::Number) => "number".into(),
        Some(Type::Boolean) => "boolean".into(),
    }
}

/// What the schema asks of a value, as sentences.
fn limits(schema: &Schema) -> Vec<String> {
    let mut limits = Vec::new();
    if !schema.allowed.is_empty() {
        let words: Vec<String> = schema
            .allowed
            .iter()
            .map(|v| v.as_str().map_or_else(|| v.to_string(), ToOwned::to_owned))
            .collect();
        limits.push(format!("One of: {}.", words.join(", ")));
    }
    if let Some(default) = &schema.default {
        limits.push(format!("Default: {default}."));
    }
    match (schema.minimum, schema.maximum) {
        (Some(least), Some(most)) => limits.push(format!("From {least} to {most}.")),
        (Some(least), None) => limits.push(format!("At least {least}.")),
        (None, Some(most)) => limits.push(format!("At most {most}.")),
        (None, None) => {}
    }
    limits
}

/// Text in lines of at most 100 characters.
fn push_wrapped(text: &mut String, described: &str, indent: usize) {
    let width = 100 - indent;
    for paragraph in described.split('\n').filter(|p| !p.trim().is_empty()) {
        let mut line = String::new();
        for word in paragraph.split_whitespace() {
            if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > width {
                let _ = writeln!(text, "{:indent$}{line}", "");
                line.clear();
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        let _ = writeln!(text, "{:indent$}{line}", "");
    }
}
