//! The field tables: what each number of a message is called in JSON, and of what type it is.

use std::{collections::HashMap, sync::LazyLock};

/// Made by `cargo xtask wire-fields`; its first lines explain its form.
const TABLE: &str = include_str!("fields.txt");

/// Every message by `apiVersion.Name`; read when the first protobuf body comes.
static MESSAGES: LazyLock<HashMap<&'static str, Vec<Field>>> = LazyLock::new(|| read(TABLE));

/// A field of a message.
#[derive(Debug, PartialEq)]
pub(super) struct Field {
    pub(super) number: u32,
    pub(super) json: &'static str,
    /// The field's own fields stand in the parent's JSON.
    pub(super) inline: bool,
    /// A zero or empty value is written, because it differs from an absent one.
    pub(super) keep_zero: bool,
    pub(super) shape: Shape,
    pub(super) kind: Type,
}

/// How often a field's value stands.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Shape {
    One,
    List,
    Map,
}

/// The type of one value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Type {
    String,
    Bool,
    Int,
    Double,
    Bytes,
    Time,
    MicroTime,
    Quantity,
    IntOrString,
    /// JSON as it is.
    Raw,
    Message(&'static str),
}

/// The fields of a message.
pub(super) fn of(message: &str) -> Option<&'static [Field]> {
    MESSAGES.get(message).map(Vec::as_slice)
}

fn read(table: &'static str) -> HashMap<&'static str, Vec<Field>> {
    let (mut messages, mut current) = (HashMap::new(), "");
    for line in table.lines().filter(|l| !l.starts_with('#')) {
        match line.strip_prefix(' ') {
            None => current = line,
            Some(text) => {
                let field = field(text).unwrap_or_else(|| panic!("the field table has a bad line: {text}"));
                messages.entry(current).or_insert_with(Vec::new).push(field);
            }
        }
    }
    messages
}

fn field(text: &'static str) -> Option<Field> {
    let mut words = text.split(' ');
    let (number, name, kind) = (words.next()?.parse().ok()?, words.next()?, words.next()?);
    let (shape, kind) = if let Some(element) = kind.strip_prefix("[]") {
        (Shape::List, element)
    } else if let Some(value) = kind.strip_prefix("{}") {
        (Shape::Map, value)
    } else {
        (Shape::One, kind)
    };
    let kind = match kind {
        "string" => Type::String,
        "bool" => Type::Bool,
        "int" => Type::Int,
        "double" => Type::Double,
        "bytes" => Type::Bytes,
        "time" => Type::Time,
        "microtime" => Type::MicroTime,
        "quantity" => Type::Quantity,
        "intorstring" => Type::IntOrString,
        "raw" => Type::Raw,
        message => Type::Message(message),
    };
    let (inline, keep_zero) = (name.ends_with('~'), name.ends_with('!'));
    Some(Field { number, json: name.trim_end_matches(['~', '!']), inline, keep_zero, shape, kind })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_read_and_every_message_it_names_is_there() {
        assert!(MESSAGES.len() > 300, "{} messages", MESSAGES.len());
        for (message, fields) in MESSAGES.iter() {
            for field in fields {
                if let Type::Message(name) = field.kind {
                    let empty = ["meta.k8s.io/v1.", "v1.", "storage.k8s.io/v1.", "networking.k8s.io/v1."];
                    assert!(
                        of(name).is_some() || empty.iter().any(|e| name.starts_with(e)),
                        "{message} names {name}"
                    );
                }
            }
        }
    }
}
