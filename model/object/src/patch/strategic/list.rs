//! Merging a list: by the key of its elements, as a set of scalars, or not at all.

use super::{Directive, FieldPatch, Place, directive, has_strategy, merge_object, mistyped, order};
use crate::{Json, Schema, patch::PatchError};
use serde_json::Map;
use std::collections::{HashMap, HashSet};

/// The list that comes of `list` and what the patch says of it.
pub(super) fn merge(
    schema: Option<&Schema>,
    mut list: Vec<Json>,
    patch: &FieldPatch<'_>,
    at: &Place<'_>,
) -> Result<Vec<Json>, PatchError> {
    if let Some(delete) = patch.delete {
        let delete = delete.iter().map(Json::to_string).collect::<HashSet<_>>();
        list.retain(|element| !delete.contains(&element.to_string()));
    }
    let elements = patch.value.and_then(Json::as_array);
    if !has_strategy(schema, "merge") {
        return match (elements, schema) {
            (None, _) => Ok(list),
            // Where nothing is known, what looks like a directive may be data.
            (Some(elements), None) => Ok(elements.clone()),
            (Some(elements), Some(schema)) => adopt(schema, elements, at),
        };
    }
    let elements = elements.map(Vec::as_slice).unwrap_or_default();
    let key = schema.and_then(|s| s.patch_merge_key.as_deref());
    let before = order::positions(&list, key);
    let Some(key) = key else {
        let merged = union(list, elements, at)?;
        let wanted = patch.order.unwrap_or(elements);
        check_order(elements.iter(), patch.order, None, at)?;
        return Ok(order::arrange(merged, &order::positions(wanted, None), &before, None));
    };
    let items = schema.and_then(|s| s.items.as_deref());
    let changes = Changes::of(elements, key, at)?;
    check_order(changes.merge.iter().map(|(_, element)| *element), patch.order, Some(key), at)?;
    let wanted = match patch.order {
        Some(order) => order::positions(order, Some(key)),
        None => order::positions(changes.merge.iter().map(|(_, element)| *element), Some(key)),
    };
    let size = list.len();
    let merged = changes.apply(items, list, key, at)?;
    // With $setElementOrder, Kubernetes' server takes new elements, as many as were deleted, for old ones at the end.
    // That is an accident of its slices, but the order that people know.
    let before =
        if patch.order.is_some() { order::positions(merged.iter().take(size), Some(key)) } else { before };
    Ok(order::arrange(merged, &wanted, &before, Some(key)))
}

/// The elements as they are, without directives and nulls: a list that is replaced as a whole.
fn adopt(schema: &Schema, elements: &[Json], at: &Place<'_>) -> Result<Vec<Json>, PatchError> {
    let mut list = Vec::with_capacity(elements.len());
    for (index, element) in elements.iter().enumerate() {
        let at = Place::Element(at, index);
        match element {
            Json::Object(fields) => {
                let directive = directive(fields, &at)?;
                let bare = directive.is_some() && fields.len() == 1;
                if directive != Some(Directive::Delete) && !bare {
                    list.push(fresh(schema.items.as_deref(), fields, &at)?);
                }
            }
            other => list.push(other.clone()),
        }
    }
    Ok(list)
}

/// What a patch makes of nothing.
fn fresh(schema: Option<&Schema>, patch: &Map<String, Json>, at: &Place<'_>) -> Result<Json, PatchError> {
    let mut made = Map::new();
    merge_object(schema, &mut made, patch, at)?;
    Ok(Json::Object(made))
}

/// Scalars, each once.
fn union(list: Vec<Json>, elements: &[Json], at: &Place<'_>) -> Result<Vec<Json>, PatchError> {
    if let Some(index) = elements.iter().position(|e| e.is_object() || e.is_array()) {
        let why = "lists of objects or lists cannot be merged without a merge key";
        return Err(PatchError::List { path: Place::Element(at, index).to_string(), why });
    }
    let mut seen = HashSet::new();
    let both = list.into_iter().chain(elements.iter().cloned());
    Ok(both.filter(|element| seen.insert(element.to_string())).collect())
}

/// What a patch says of a list that is merged by key.
struct Changes<'p> {
    /// Start with an empty list.
    replace: bool,
    /// The keys of elements to remove.
    delete: HashSet<String>,
    /// Elements to merge or to add, with their places in the patch.
    merge: Vec<(usize, &'p Json)>,
}

impl<'p> Changes<'p> {
    fn of(elements: &'p [Json], key: &str, at: &Place<'_>) -> Result<Self, PatchError> {
        let mut changes = Self { replace: false, delete: HashSet::new(), merge: Vec::new() };
        for (index, element) in elements.iter().enumerate() {
            let at = Place::Element(at, index);
            let Json::Object(fields) = element else { return Err(mistyped(&at, element, "an object")) };
            let directive = directive(fields, &at)?;
            if directive == Some(Directive::Replace) && fields.len() == 1 {
                changes.replace = true;
                continue;
            }
            let missing = || PatchError::MergeKeyMissing { path: at.to_string(), key: key.into() };
            let identity = fields.get(key).ok_or_else(missing)?;
            if directive == Some(Directive::Delete) {
                changes.delete.insert(identity.to_string());
            } else {
                changes.merge.push((index, element));
            }
        }
        Ok(changes)
    }

    fn apply(
        self,
        items: Option<&Schema>,
        mut list: Vec<Json>,
        key: &str,
        at: &Place<'_>,
    ) -> Result<Vec<Json>, PatchError> {
        if self.replace {
            list.clear();
        }
        if !self.delete.is_empty() {
            list.retain(|element| {
                !order::identity(element, Some(key)).is_some_and(|id| self.delete.contains(&id))
            });
        }
        let mut places: HashMap<String, usize> = order::positions(&list, Some(key));
        for (index, element) in self.merge {
            let (Json::Object(patch), Some(id)) = (element, order::identity(element, Some(key))) else {
                continue;
            };
            let at = Place::Element(at, index);
            match places.get(&id).and_then(|&place| list[place].as_object_mut()) {
                Some(old) => merge_object(items, old, patch, &at)?,
                None => {
                    places.insert(id, list.len());
                    list.push(fresh(items, patch, &at)?);
                }
            }
        }
        Ok(list)
    }
}

/// The patch's elements must be among those of `$setElementOrder`, in the same order.
fn check_order<'p>(
    elements: impl Iterator<Item = &'p Json>,
    order: Option<&[Json]>,
    key: Option<&str>,
    at: &Place<'_>,
) -> Result<(), PatchError> {
    let Some(order) = order.filter(|order| !order.is_empty()) else { return Ok(()) };
    let mut order = order.iter().map(|element| order::identity(element, key));
    for element in elements {
        let id = order::identity(element, key);
        if !order.any(|other| other == id) {
            return Err(PatchError::Order { path: at.to_string() });
        }
    }
    Ok(())
}
