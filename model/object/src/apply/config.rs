//! What a manager applies: the part that counts, and the fields it claims.

use super::compare::{Level, Shape, element_step, field_schema, is_servers, shape};
use super::fields::{FieldSet, field_step};
use super::{ApplyContext, ApplyError};
use crate::{FieldError, Json, Schema};

/// The part of the configuration that may be applied through this path.
pub(super) fn accepted(ctx: &ApplyContext<'_>, applied: &Json) -> Result<Json, ApplyError> {
    let found = applied.get("apiVersion").and_then(Json::as_str).unwrap_or_default();
    if found != ctx.api_version {
        return Err(ApplyError::Version { found: found.into(), expected: ctx.api_version.into() });
    }
    let metadata = applied.get("metadata");
    if metadata.and_then(|m| m.get("managedFields")).is_some_and(|m| !m.is_null()) {
        return Err(ApplyError::ManagedFields);
    }
    let mut config = applied.clone();
    if let Some(fields) = config.as_object_mut() {
        if ctx.status_apart && ctx.subresource == "status" {
            fields.retain(|name, _| matches!(name.as_str(), "apiVersion" | "kind" | "metadata" | "status"));
            if let Some(Json::Object(metadata)) = fields.get_mut("metadata") {
                metadata.retain(|name, _| is_servers(Level::Metadata, name));
            }
        } else if ctx.status_apart {
            fields.remove("status");
        }
    }
    if let Some(Json::Object(metadata)) = config.get_mut("metadata") {
        metadata.remove("managedFields");
    }
    Ok(config)
}

/// The fields that a configuration claims; the server's own aside.
///
/// A field named by the schema is claimed by what is beneath it; an entry of a map or a list also by itself, so that
/// it goes when its last claim goes.
pub(super) fn field_set(schema: &Schema, config: &Json) -> Result<FieldSet, ApplyError> {
    claimed(Level::Object, Some(schema), config, true).map_err(|Misfit { path, value, why }| {
        let path: String = path.into_iter().rev().collect();
        ApplyError::Element(match value {
            Some(value) => FieldError::duplicate(path.trim_start_matches('.'), &value),
            None => FieldError::required(path.trim_start_matches('.'), why),
        })
    })
}

/// An element that cannot be told apart from the others; `path` from the inside out.
struct Misfit {
    path: Vec<String>,
    value: Option<Json>,
    why: String,
}

impl Misfit {
    fn within(mut self, step: String) -> Self {
        self.path.push(step);
        self
    }
}

fn claimed(level: Level, schema: Option<&Schema>, value: &Json, named: bool) -> Result<FieldSet, Misfit> {
    match shape(schema, value) {
        Shape::Whole => Ok(FieldSet::leaf()),
        Shape::Fields(fields) => {
            let member = level == Level::Beneath && (!named || fields.is_empty());
            let mut set = FieldSet { member, ..FieldSet::default() };
            for (name, value) in fields.iter().filter(|(name, _)| !is_servers(level, name)) {
                let (schema, named) = field_schema(schema, name);
                let child = claimed(level.beneath(name), schema, value, named);
                set.adopt(field_step(name), child.map_err(|misfit| misfit.within(format!(".{name}")))?);
            }
            Ok(set)
        }
        Shape::Elements(list, elements) => {
            let mut set = FieldSet { member: !named, ..FieldSet::default() };
            for (i, element) in elements.iter().enumerate() {
                let at = || format!("[{i}]");
                let step = element_step(list, element).map_err(|why| Misfit {
                    path: vec![at()],
                    value: None,
                    why,
                })?;
                if set.children.contains_key(&step) {
                    return Err(Misfit {
                        path: vec![at()],
                        value: Some(element.clone()),
                        why: String::new(),
                    });
                }
                let child = claimed(Level::Beneath, list.items.as_deref(), element, false);
                set.adopt(step, child.map_err(|misfit| misfit.within(at()))?);
            }
            Ok(set)
        }
    }
}
