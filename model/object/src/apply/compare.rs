//! What differs between two objects, as sets of fields.

use super::fields::{FieldSet, field_step, key_step, value_step};
use crate::{
    Json, Schema,
    schema::{ListType, MapType},
};
use serde_json::Map;
use std::collections::BTreeMap;

/// The fields that differ between an old and a new value.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Changes {
    pub added: FieldSet,
    pub modified: FieldSet,
    pub removed: FieldSet,
}

impl Changes {
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.modified.is_empty() && self.removed.is_empty()
    }

    /// The fields that have a new value.
    pub fn set(&self) -> FieldSet {
        let mut set = self.added.clone();
        set.unite(&self.modified);
        set
    }

    fn adopt(&mut self, step: impl FnOnce() -> String, child: Self) {
        if child.is_empty() {
            return;
        }
        let step = step();
        self.added.adopt(step.as_str(), child.added);
        self.modified.adopt(step.as_str(), child.modified);
        self.removed.adopt(step, child.removed);
    }
}

/// How a value is divided among managers.
pub(super) enum Shape<'a> {
    /// Not at all.
    Whole,
    /// By field.
    Fields(&'a Map<String, Json>),
    /// By element; the schema says how they are told apart.
    Elements(&'a Schema, &'a [Json]),
}

/// How this value is divided. Without a schema, objects are divided and lists are not.
pub(super) fn shape<'a>(schema: Option<&'a Schema>, value: &'a Json) -> Shape<'a> {
    match (value, schema) {
        (Json::Object(_), Some(schema)) if schema.map_type == Some(MapType::Atomic) => Shape::Whole,
        (Json::Object(fields), _) => Shape::Fields(fields),
        (Json::Array(list), Some(schema))
            if matches!(schema.list_type, Some(ListType::Set | ListType::Map)) =>
        {
            Shape::Elements(schema, list)
        }
        _ => Shape::Whole,
    }
}

/// Schema of a field, and whether the schema names the field.
pub(super) fn field_schema<'a>(schema: Option<&'a Schema>, name: &str) -> (Option<&'a Schema>, bool) {
    let Some(schema) = schema else { return (None, false) };
    match schema.properties.get(name) {
        Some(named) => (Some(named), true),
        None => (schema.additional_properties.as_deref(), false),
    }
}

/// The step that tells an element apart from the others of its list, or why there is none.
pub(super) fn element_step(list: &Schema, element: &Json) -> Result<String, String> {
    if list.list_type != Some(ListType::Map) {
        let scalar = !matches!(element, Json::Null | Json::Object(_) | Json::Array(_));
        return if scalar {
            Ok(value_step(element))
        } else {
            Err("an element of a set must be a scalar".into())
        };
    }
    let mut keys = Vec::with_capacity(list.list_map_keys.len());
    for key in &list.list_map_keys {
        let default = || list.items.as_ref()?.properties.get(key)?.default.as_ref();
        match element.get(key).or_else(default) {
            Some(value) => keys.push((key.as_str(), value)),
            None => {
                return Err(format!(
                    "the element lacks {key:?}, by which elements of this list are told apart"
                ));
            }
        }
    }
    keys.sort_unstable_by_key(|(name, _)| *name);
    Ok(key_step(keys.into_iter()))
}

/// The elements by their steps; `None` when they cannot be told apart, which makes the list one whole.
fn by_step<'a>(list: &Schema, elements: &'a [Json]) -> Option<BTreeMap<String, &'a Json>> {
    elements.iter().map(|element| Some((element_step(list, element).ok()?, element))).collect()
}

/// Whether the server keeps this field for itself, so that nobody owns it.
pub(super) fn is_servers(level: Level, name: &str) -> bool {
    match level {
        Level::Object => matches!(name, "apiVersion" | "kind"),
        Level::Metadata => matches!(
            name,
            "name"
                | "namespace"
                | "uid"
                | "resourceVersion"
                | "generation"
                | "creationTimestamp"
                | "deletionTimestamp"
                | "deletionGracePeriodSeconds"
                | "selfLink"
                | "managedFields"
        ),
        Level::Beneath => false,
    }
}

/// Where in an object a walk is: the server's own fields are known by name on the first two levels.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Level {
    Object,
    Metadata,
    Beneath,
}

impl Level {
    pub fn beneath(self, name: &str) -> Self {
        if self == Self::Object && name == "metadata" { Self::Metadata } else { Self::Beneath }
    }
}

/// What differs between two objects; the server's own fields aside.
pub(super) fn objects(schema: &Schema, old: &Json, new: &Json) -> Changes {
    values(Level::Object, Some(schema), old, new)
}

/// Every field of an object; the server's own aside.
pub(super) fn all_fields(schema: &Schema, object: &Json) -> FieldSet {
    let mut all = everything(Level::Object, Some(schema), object);
    all.member = false;
    all
}

fn values(level: Level, schema: Option<&Schema>, old: &Json, new: &Json) -> Changes {
    match (shape(schema, old), shape(schema, new)) {
        (Shape::Fields(old), Shape::Fields(new)) => fields(level, schema, old, new),
        (Shape::Elements(list, old_list), Shape::Elements(_, new_list)) => {
            if old_list == new_list {
                return Changes::default();
            }
            match (by_step(list, old_list), by_step(list, new_list)) {
                (Some(old_list), Some(new_list)) => elements(list, &old_list, &new_list),
                _ => whole(schema, old, new),
            }
        }
        _ if same(old, new) => Changes::default(),
        _ => whole(schema, old, new),
    }
}

/// A value replaced by another, perhaps of another shape.
fn whole(schema: Option<&Schema>, old: &Json, new: &Json) -> Changes {
    let mut removed = everything(Level::Beneath, schema, old);
    removed.member = false;
    let mut added = everything(Level::Beneath, schema, new);
    added.member = false;
    Changes { added, modified: FieldSet::leaf(), removed }
}

fn fields(
    level: Level,
    schema: Option<&Schema>,
    old: &Map<String, Json>,
    new: &Map<String, Json>,
) -> Changes {
    let mut changes = Changes::default();
    for (name, old) in old.iter().filter(|(name, _)| !is_servers(level, name)) {
        let (schema, level) = (field_schema(schema, name).0, level.beneath(name));
        let change = match new.get(name) {
            Some(new) => values(level, schema, old, new),
            None => Changes { removed: everything(level, schema, old), ..Changes::default() },
        };
        changes.adopt(|| field_step(name), change);
    }
    for (name, new) in new.iter().filter(|(name, _)| !is_servers(level, name) && !old.contains_key(*name)) {
        let added = everything(level.beneath(name), field_schema(schema, name).0, new);
        changes.added.adopt(field_step(name), added);
    }
    changes
}

fn elements(list: &Schema, old: &BTreeMap<String, &Json>, new: &BTreeMap<String, &Json>) -> Changes {
    let items = list.items.as_deref();
    let mut changes = Changes::default();
    for (step, old) in old {
        let change = match new.get(step) {
            Some(new) => values(Level::Beneath, items, old, new),
            None => Changes { removed: everything(Level::Beneath, items, old), ..Changes::default() },
        };
        changes.adopt(|| step.clone(), change);
    }
    for (step, new) in new.iter().filter(|(step, _)| !old.contains_key(*step)) {
        changes.added.adopt(step.as_str(), everything(Level::Beneath, items, new));
    }
    changes
}

/// The value's own node and every one beneath it.
fn everything(level: Level, schema: Option<&Schema>, value: &Json) -> FieldSet {
    let mut all = FieldSet::leaf();
    match shape(schema, value) {
        Shape::Whole => {}
        Shape::Fields(fields) => {
            all.member = level == Level::Beneath;
            for (name, value) in fields.iter().filter(|(name, _)| !is_servers(level, name)) {
                let beneath = everything(level.beneath(name), field_schema(schema, name).0, value);
                all.adopt(field_step(name), beneath);
            }
        }
        Shape::Elements(list, elements) => {
            // Elements that cannot be told apart leave the list owned as a whole.
            for (step, element) in by_step(list, elements).unwrap_or_default() {
                all.adopt(step, everything(Level::Beneath, list.items.as_deref(), element));
            }
        }
    }
    all
}

/// Equality for which `1` is `1.0`.
fn same(a: &Json, b: &Json) -> bool {
    match (a, b) {
        (Json::Number(a), Json::Number(b)) => {
            a == b || a.as_f64() == b.as_f64() && (a.is_f64() || b.is_f64())
        }
        _ => a == b,
    }
}
