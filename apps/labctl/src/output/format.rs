//! The forms that `-o` offers.

use super::{document, jsonpath::Template};
use crate::failure::{Failure, Outcome};
use lab_object::Json;
use std::str::FromStr;

/// How objects are shown.
#[derive(Debug, Clone, Default)]
pub enum Format {
    /// A table of the usual columns.
    #[default]
    Table,
    /// A table of all columns.
    Wide,
    /// Whole objects as JSON.
    Json,
    /// Whole objects as YAML.
    Yaml,
    /// `kind/name`, one a line.
    Name,
    /// What a template picks out.
    JsonPath(Template),
}

/// The names that `-o` takes, for help and completion.
pub const NAMES: [&str; 6] = ["table", "wide", "json", "yaml", "name", "jsonpath="];

impl FromStr for Format {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        Ok(match text {
            "table" | "" => Self::Table,
            "wide" => Self::Wide,
            "json" => Self::Json,
            "yaml" => Self::Yaml,
            "name" => Self::Name,
            _ => match text.strip_prefix("jsonpath=") {
                Some(template) => Self::JsonPath(template.parse()?),
                None if text == "jsonpath" => {
                    return Err("give the template: -o jsonpath='{.metadata.name}'".into());
                }
                None => {
                    return Err("the forms are table, wide, json, yaml, name and jsonpath=TEMPLATE".into());
                }
            },
        })
    }
}

impl Format {
    /// Whether the server is asked for a table.
    pub fn is_table(&self) -> bool {
        matches!(self, Self::Table | Self::Wide)
    }

    /// Shows one object, or a list of them.
    pub fn render(&self, object: &Json) -> Outcome<String> {
        match self {
            Self::Json => document::json(object),
            Self::Yaml => document::yaml(object),
            Self::JsonPath(template) => template.render(object).map_err(Failure::usage),
            Self::Name | Self::Table | Self::Wide => {
                let mut text = String::new();
                match object.get("items").and_then(Json::as_array) {
                    Some(items) => items.iter().for_each(|item| push_name(&mut text, item)),
                    None => push_name(&mut text, object),
                }
                Ok(text)
            }
        }
    }
}

fn push_name(text: &mut String, object: &Json) {
    text.push_str(&named(object));
    text.push('\n');
}

/// `server.metal.lab/a`: how an object is named in messages and by `-o name`.
pub fn named(object: &Json) -> String {
    let text = |key: &str| object.get(key).and_then(Json::as_str).unwrap_or_default();
    let name = object.pointer("/metadata/name").and_then(Json::as_str).unwrap_or_default();
    let kind = text("kind").to_lowercase();
    match text("apiVersion").split_once('/') {
        Some((group, _)) => format!("{kind}.{group}/{name}"),
        None => format!("{kind}/{name}"),
    }
}
