//! Strategic merge patches: merge patches that also merge lists, as the schema says, and that take directives.
//!
//! The directives: `$patch` (`replace`, `delete`, `merge`) in an object or in an element of a list, `$retainKeys`,
//! `$deleteFromPrimitiveList/<field>` and `$setElementOrder/<field>`. The rules are those of Kubernetes' API
//! conventions and of its own server, with these differences, where that server would store the directive itself or
//! lose what was sent:
//! - directives also act in what is new to the target;
//! - an element that carries `$patch: replace` beside its merge key replaces that element, not the whole list;
//! - `$patch: merge` is taken as what is done anyway.

mod list;
mod order;
mod place;

use super::{PatchError, type_of};
use crate::{Json, Schema};
use place::Place;
use serde_json::Map;
use std::collections::BTreeMap;

const PATCH: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const DELETE_FROM_PRIMITIVE_LIST: &str = "$deleteFromPrimitiveList";
const SET_ELEMENT_ORDER: &str = "$setElementOrder";

/// Applies a strategic merge patch to an object of this schema: all of it or, where it fails, nothing.
///
/// Where the schema says nothing of a field, the patch acts as a merge patch there.
pub fn strategic(schema: &Schema, target: &mut Json, patch: &Json) -> Result<(), PatchError> {
    let Json::Object(patch) = patch else { return Err(mistyped(&Place::Root, patch, "an object")) };
    let mut merged = target.as_object().cloned().unwrap_or_default();
    merge_object(Some(schema), &mut merged, patch, &Place::Root)?;
    *target = Json::Object(merged);
    Ok(())
}

/// What `$patch` says.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Directive {
    Replace,
    Delete,
    Merge,
}

fn directive(patch: &Map<String, Json>, at: &Place<'_>) -> Result<Option<Directive>, PatchError> {
    let Some(value) = patch.get(PATCH) else { return Ok(None) };
    match value.as_str() {
        Some("replace") => Ok(Some(Directive::Replace)),
        Some("delete") => Ok(Some(Directive::Delete)),
        Some("merge") => Ok(Some(Directive::Merge)),
        _ => Err(PatchError::Directive {
            path: at.to_string(),
            directive: PATCH,
            value: value.to_string(),
            why: "it must be \"replace\", \"delete\" or \"merge\"",
        }),
    }
}

/// All that a patch says of one field.
#[derive(Default)]
struct FieldPatch<'p> {
    value: Option<&'p Json>,
    /// `$deleteFromPrimitiveList`.
    delete: Option<&'p [Json]>,
    /// `$setElementOrder`.
    order: Option<&'p [Json]>,
}

impl FieldPatch<'_> {
    fn is_of_list(&self) -> bool {
        self.delete.is_some() || self.order.is_some() || matches!(self.value, Some(Json::Array(_)))
    }
}

/// Sorts a patch by the fields it is about.
fn by_field<'p>(
    patch: &'p Map<String, Json>,
    at: &Place<'_>,
) -> Result<BTreeMap<&'p str, FieldPatch<'p>>, PatchError> {
    let mut fields: BTreeMap<&str, FieldPatch<'p>> = BTreeMap::new();
    for (key, value) in patch {
        match key.split_once('/') {
            Some((DELETE_FROM_PRIMITIVE_LIST, field)) => {
                fields.entry(field).or_default().delete = Some(elements(value, at, key)?);
            }
            Some((SET_ELEMENT_ORDER, field)) => {
                fields.entry(field).or_default().order = Some(elements(value, at, key)?);
            }
            _ if key == PATCH || key == RETAIN_KEYS => {}
            _ => fields.entry(key).or_default().value = Some(value),
        }
    }
    Ok(fields)
}

fn elements<'p>(value: &'p Json, at: &Place<'_>, key: &str) -> Result<&'p [Json], PatchError> {
    value.as_array().map(Vec::as_slice).ok_or_else(|| mistyped(&Place::Field(at, key), value, "a list"))
}

fn mistyped(at: &Place<'_>, found: &Json, expected: &'static str) -> PatchError {
    PatchError::Type { path: at.to_string(), found: type_of(found), expected }
}

/// The schema of a field, where one is known.
fn schema_of<'s>(schema: Option<&'s Schema>, field: &str) -> Option<&'s Schema> {
    let schema = schema?;
    schema.properties.get(field).or(schema.additional_properties.as_deref())
}

fn has_strategy(schema: Option<&Schema>, strategy: &str) -> bool {
    let strategies = schema.and_then(|s| s.patch_strategy.as_deref()).unwrap_or_default();
    strategies.split(',').any(|s| s.trim() == strategy)
}

fn merge_object(
    schema: Option<&Schema>,
    target: &mut Map<String, Json>,
    patch: &Map<String, Json>,
    at: &Place<'_>,
) -> Result<(), PatchError> {
    match directive(patch, at)? {
        Some(Directive::Delete) => {
            target.clear();
            return Ok(());
        }
        Some(Directive::Replace) => target.clear(),
        Some(Directive::Merge) | None => {}
    }
    let fields = by_field(patch, at)?;
    if let Some(keys) = patch.get(RETAIN_KEYS) {
        let keys = elements(keys, at, RETAIN_KEYS)?;
        retain_keys(target, &fields, keys, at)?;
    }
    for (field, patch) in &fields {
        merge_field(schema_of(schema, field), target, field, patch, &Place::Field(at, field))?;
    }
    Ok(())
}

/// Removes the fields that `$retainKeys` does not name; those that the patch sets must be named.
fn retain_keys(
    target: &mut Map<String, Json>,
    fields: &BTreeMap<&str, FieldPatch<'_>>,
    keys: &[Json],
    at: &Place<'_>,
) -> Result<(), PatchError> {
    let named = |field: &str| keys.iter().any(|key| key.as_str() == Some(field));
    let set = |patch: &FieldPatch<'_>| patch.value.is_some_and(|v| !v.is_null());
    if let Some((field, _)) = fields.iter().find(|(field, patch)| set(patch) && !named(field)) {
        return Err(PatchError::NotRetained { path: at.to_string(), field: (*field).into() });
    }
    target.retain(|field, _| named(field));
    Ok(())
}

fn merge_field(
    schema: Option<&Schema>,
    target: &mut Map<String, Json>,
    field: &str,
    patch: &FieldPatch<'_>,
    at: &Place<'_>,
) -> Result<(), PatchError> {
    match patch.value {
        Some(Json::Null) => {
            target.remove(field);
        }
        Some(Json::Object(value)) if !patch.is_of_list() => {
            let old = target.get_mut(field).and_then(Json::as_object_mut).map(std::mem::take);
            if old.is_none() && directive(value, at)? == Some(Directive::Delete) {
                return Ok(());
            }
            let mut merged = old.filter(|_| !has_strategy(schema, "replace")).unwrap_or_default();
            merge_object(schema, &mut merged, value, at)?;
            target.insert(field.into(), Json::Object(merged));
        }
        Some(value) if patch.is_of_list() && !value.is_array() => return Err(mistyped(at, value, "a list")),
        value if patch.is_of_list() => {
            let old = target.get_mut(field).and_then(Json::as_array_mut).map(std::mem::take);
            if old.is_some() || value.is_some() {
                let merged = list::merge(schema, old.unwrap_or_default(), patch, at)?;
                target.insert(field.into(), Json::Array(merged));
            }
        }
        Some(scalar) => {
            target.insert(field.into(), scalar.clone());
        }
        None => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests;
