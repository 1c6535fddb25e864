//! Merging a configuration into an object, and removing what is no longer applied.

use super::compare::{Shape, element_step, field_schema, shape};
use super::fields::{FieldSet, field_step};
use crate::{Json, Schema};
use std::collections::BTreeMap;

/// `live` with every field of `config` set.
pub(super) fn merge(schema: Option<&Schema>, live: &Json, config: &Json) -> Json {
    match (shape(schema, live), shape(schema, config)) {
        (Shape::Fields(live), Shape::Fields(config)) => {
            let mut merged = live.clone();
            for (name, value) in config {
                let value = match live.get(name) {
                    Some(live) => merge(field_schema(schema, name).0, live, value),
                    None => value.clone(),
                };
                merged.insert(name.clone(), value);
            }
            Json::Object(merged)
        }
        (Shape::Elements(list, live), Shape::Elements(_, config)) => {
            Json::Array(merge_elements(list, live, config))
        }
        _ => config.clone(),
    }
}

/// Elements of the configuration keep its order; those only in `live` stay behind the neighbours they had.
fn merge_elements(list: &Schema, live: &[Json], config: &[Json]) -> Vec<Json> {
    let step = |element: &Json| element_step(list, element).unwrap_or_default();
    let live_steps: Vec<_> = live.iter().map(step).collect();
    let config_steps: Vec<_> = config.iter().map(step).collect();
    let live_by_step: BTreeMap<_, _> = live_steps.iter().map(String::as_str).zip(live).collect();
    let config_by_step: BTreeMap<_, _> = config_steps.iter().map(String::as_str).zip(0..).collect();
    let merged = |i: usize| match live_by_step.get(config_steps[i].as_str()) {
        Some(live) => merge(list.items.as_deref(), live, &config[i]),
        None => config[i].clone(),
    };

    let mut out = Vec::with_capacity(live.len().max(config.len()));
    let mut next = 0;
    for (step, element) in live_steps.iter().zip(live) {
        let Some(&at) = config_by_step.get(step.as_str()) else {
            out.push(element.clone());
            continue;
        };
        // An element that the configuration moved waits for its turn there.
        let is_next_shared =
            at >= next && config_steps[next..at].iter().all(|step| !live_by_step.contains_key(step.as_str()));
        if is_next_shared {
            out.extend((next..=at).map(merged));
            next = at + 1;
        }
    }
    out.extend((next..config.len()).map(merged));
    out
}

/// Removes from `merged` what the manager applied `last` time and nobody has in `kept`.
pub(super) fn remove(schema: &Schema, merged: &mut Json, last: &FieldSet, kept: &FieldSet) {
    remove_beneath(Some(schema), merged, last, kept);
}

fn remove_beneath(schema: Option<&Schema>, value: &mut Json, last: &FieldSet, kept: &FieldSet) {
    let nothing = FieldSet::default();
    // Whether a child stays; what is beneath it is cleared on the way.
    let stays = |step: &str, schema: Option<&Schema>, named: bool, child: &mut Json| {
        let Some(last) = last.children.get(step) else { return true };
        let kept = kept.children.get(step).unwrap_or(&nothing);
        // A field named by the schema lives as long as anything beneath it; entries of maps and lists by themselves.
        if last.member && !kept.member && (kept.is_empty() || !named) {
            return false;
        }
        let held = !is_hollow(child);
        remove_beneath(schema, child, last, kept);
        !(held && is_hollow(child) && !kept.member)
    };
    if matches!(shape(schema, value), Shape::Whole) {
        return;
    }
    match (value, schema) {
        (Json::Object(fields), _) => fields.retain(|name, child| {
            let (schema, named) = field_schema(schema, name);
            stays(&field_step(name), schema, named, child)
        }),
        (Json::Array(elements), Some(list)) => {
            elements.retain_mut(|element| match element_step(list, element) {
                Ok(step) => stays(&step, list.items.as_deref(), false, element),
                Err(_) => true,
            })
        }
        _ => {}
    }
}

/// An object or list with nothing in it.
fn is_hollow(value: &Json) -> bool {
    match value {
        Json::Object(fields) => fields.is_empty(),
        Json::Array(elements) => elements.is_empty(),
        _ => false,
    }
}
