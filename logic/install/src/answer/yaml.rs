//! YAML that every reader reads alike: keys as they are, every text in double quotes.
//!
//! Cloud-init reads YAML 1.1, in which bare words, numbers with colons, dates and much else are no texts.

use lab_object::Json;
use std::fmt::Write;

/// Writes a tree. Its keys are ours: letters, digits, dashes and underscores.
pub fn written(tree: &Json) -> String {
    let mut text = String::new();
    node(&mut text, tree, 0);
    text
}

fn node(text: &mut String, tree: &Json, depth: usize) {
    let indent = "  ".repeat(depth);
    match tree {
        Json::Object(members) => {
            for (key, value) in members {
                let _ = write!(text, "{indent}{}:", key_written(key));
                value_behind(text, value, depth);
            }
        }
        Json::Array(items) => {
            for item in items {
                let _ = write!(text, "{indent}-");
                value_behind(text, item, depth);
            }
        }
        scalar => {
            let _ = writeln!(text, "{indent}{}", scalar_written(scalar));
        }
    }
}

fn value_behind(text: &mut String, value: &Json, depth: usize) {
    match value {
        Json::Object(members) if !members.is_empty() => {
            text.push('\n');
            node(text, value, depth + 1);
        }
        Json::Array(items) if !items.is_empty() => {
            text.push('\n');
            node(text, value, depth + 1);
        }
        scalar => {
            let _ = writeln!(text, " {}", scalar_written(scalar));
        }
    }
}

fn key_written(key: &str) -> String {
    let plain = key.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
    let named = key.starts_with(|c: char| c.is_ascii_alphabetic());
    // Bare, these are a truth or nothing.
    let words = ["y", "n", "yes", "no", "on", "off", "true", "false", "null"];
    let reserved = words.iter().any(|word| key.eq_ignore_ascii_case(word));
    if plain && named && !reserved { key.into() } else { quoted(key) }
}

fn scalar_written(scalar: &Json) -> String {
    match scalar {
        Json::String(text) => quoted(text),
        // Numbers, truths, nothing, and empty lists and maps have JSON's form.
        other => other.to_string(),
    }
}

/// A text in double quotes: JSON's escapes are YAML's, and what YAML does not print is escaped as well.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            ' '..='~'
            | '\u{a0}'..='\u{2027}'
            | '\u{202a}'..='\u{d7ff}'
            | '\u{e000}'..='\u{fefe}'
            | '\u{ff00}'..='\u{fffd}'
            | '\u{10000}'..='\u{10ffff}' => quoted.push(c),
            c => {
                let _ = write!(quoted, "\\U{:08x}", u32::from(c));
            }
        }
    }
    quoted.push('"');
    quoted
}
