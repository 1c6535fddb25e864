//! Admitting a change of a stored object.

use crate::reject::{Rejection, bad_request, conflict, invalid, text};
use crate::{Input, decode, default, metadata, validate};
use lab_kinds::{Kind, Subresource};
use lab_object::{FieldError, Json, schema};

/// Which part of the object the path writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// All of it, except what is written apart.
    Whole,
    /// `status` alone.
    Status,
    /// `spec.finalizers` alone.
    Finalize,
}

/// Makes `new`, the whole object as the client wants it, the object to be stored in place of `old`; returns the
/// warnings. `old` carries its `resourceVersion`; so does the result, so that [`unchanged`] can compare them.
///
/// - Another UID or `resourceVersion` than `old`'s is a conflict; an absent one agrees with any.
/// - What the path does not write, and what only the server says, is as in `old`.
/// - A fault that `old` has as well is not held against `new`: schemas grow stricter.
/// - `generation` rises when anything outside of the metadata (and of `status`, where it is written apart) changed.
pub fn update(
    kind: &Kind,
    new: &mut Json,
    old: &Json,
    target: Target,
    input: Input<'_>,
) -> Result<Vec<String>, Rejection> {
    let warnings = decode::decode(kind, new, input)?;
    same_object(kind, new, old)?;
    let mut errors = restore_metadata(new, old);
    restrict(kind, new, old, target);
    default(kind, new);
    generation(kind, new, old);
    errors.extend(validate(kind, new, Some(old)));
    if !errors.is_empty() {
        let before = schema::validate(&kind.schema, old);
        errors.retain(|error| !before.contains(error));
    }
    if errors.is_empty() { Ok(warnings) } else { Err(invalid(kind, new, &errors)) }
}

/// Whether storing `new` would change nothing: only the times of its managed fields may differ.
pub fn unchanged(old: &Json, new: &Json) -> bool {
    let (Json::Object(old), Json::Object(new)) = (old, new) else { return old == new };
    old.len() == new.len()
        && new.iter().all(|(name, new)| {
            old.get(name)
                .is_some_and(|old| if name == "metadata" { same_metadata(old, new) } else { old == new })
        })
}

fn same_metadata(old: &Json, new: &Json) -> bool {
    let (Json::Object(old), Json::Object(new)) = (old, new) else { return old == new };
    old.len() == new.len()
        && new.iter().all(|(name, new)| match old.get(name) {
            Some(old) if name == "managedFields" => old == new || same_but_times(old, new),
            old => old == Some(new),
        })
}

fn same_but_times(old: &Json, new: &Json) -> bool {
    let (Json::Array(old), Json::Array(new)) = (old, new) else { return false };
    let alike = |old: &Json, new: &Json| {
        let fields = ["manager", "operation", "apiVersion", "subresource", "fieldsType", "fieldsV1"];
        fields.iter().all(|field| old.get(field) == new.get(field))
    };
    old.len() == new.len() && old.iter().zip(new).all(|(old, new)| alike(old, new))
}

/// The path, the client's preconditions and the stored object name the same thing.
fn same_object(kind: &Kind, new: &Json, old: &Json) -> Result<(), Rejection> {
    let (name, given) = (text(old, "name"), text(new, "name"));
    if !given.is_empty() && given != name {
        return Err(bad_request(format_args!(
            "the name of the object ({given}) does not match the name on the URL ({name})"
        )));
    }
    let namespace = text(new, "namespace");
    if !namespace.is_empty() && namespace != text(old, "namespace") {
        return Err(bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    let (uid, stored) = (text(new, "uid"), text(old, "uid"));
    if !uid.is_empty() && uid != stored {
        let why = format!("Precondition failed: UID in precondition: {uid}, UID in object meta: {stored}");
        return Err(conflict(kind, name, why));
    }
    let version = text(new, "resourceVersion");
    if !version.is_empty() && version != text(old, "resourceVersion") {
        let why =
            "the object has been modified; please apply your changes to the latest version and try again";
        return Err(conflict(kind, name, why));
    }
    Ok(())
}

/// Puts back what only the server says; what was changed of it in spite of that is an error where Kubernetes has it so.
fn restore_metadata(new: &mut Json, old: &Json) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let old = old.get("metadata").and_then(Json::as_object);
    let Some(metadata) = metadata::of(new) else { return errors };
    for field in ["creationTimestamp", "deletionTimestamp"] {
        let stored = old.and_then(|old| old.get(field));
        if let Some(given) = metadata.get(field).filter(|given| !given.is_null() && Some(*given) != stored) {
            let path = format!("metadata.{field}");
            errors.push(FieldError::invalid(path, given, "field is immutable"));
        }
    }
    let servers = [
        "name",
        "namespace",
        "uid",
        "resourceVersion",
        "generation",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "selfLink",
    ];
    for field in servers {
        match old.and_then(|old| old.get(field)) {
            Some(stored) if metadata.get(field) == Some(stored) => {}
            Some(stored) => drop(metadata.insert(field.into(), stored.clone())),
            None => drop(metadata.remove(field)),
        }
    }
    errors
}

/// Puts back what the path does not write.
fn restrict(kind: &Kind, new: &mut Json, old: &Json, target: Target) {
    match target {
        Target::Whole => {
            if kind.has_status() {
                copy(old, new, &["status"]);
            }
            if kind.subresources.contains(&Subresource::Finalize) {
                copy(old, new, &["spec", "finalizers"]);
            }
        }
        Target::Status => keep_only(new, old, &["status"]),
        Target::Finalize => keep_only(new, old, &["spec", "finalizers"]),
    }
}

/// `old`, with nothing of `new` but what is at the path.
fn keep_only(new: &mut Json, old: &Json, path: &[&str]) {
    let wanted = std::mem::replace(new, old.clone());
    copy(&wanted, new, path);
}

/// Makes what is at the path in `to` what it is in `from`: absent there, it goes.
fn copy(from: &Json, to: &mut Json, path: &[&str]) {
    let ([parents @ .., last], Some(mut to)) = (path, to.as_object_mut()) else { return };
    let value = path.iter().try_fold(from, |value, field| value.get(field));
    for parent in parents {
        if value.is_none() && !to.contains_key(*parent) {
            return;
        }
        let below = to.entry(*parent).or_insert_with(|| Json::Object(serde_json::Map::new()));
        let Some(below) = below.as_object_mut() else { return };
        to = below;
    }
    match value {
        Some(value) => drop(to.insert((*last).into(), value.clone())),
        None => drop(to.remove(*last)),
    }
}

/// Counts the changes of what is desired.
fn generation(kind: &Kind, new: &mut Json, old: &Json) {
    let apart = kind.has_status();
    let counts = |name: &str| match name {
        "apiVersion" | "kind" | "metadata" => false,
        "status" => !apart,
        _ => true,
    };
    let (Some(fields), Some(stored)) = (new.as_object(), old.as_object()) else { return };
    let changed = fields.iter().any(|(name, value)| counts(name) && stored.get(name) != Some(value))
        || stored.keys().any(|name| counts(name) && !fields.contains_key(name));
    let generation =
        old.get("metadata").and_then(|m| m.get("generation")).and_then(Json::as_i64).unwrap_or(0);
    if let Some(metadata) = metadata::of(new).filter(|_| changed) {
        metadata.insert("generation".into(), (generation + 1).into());
    }
}
