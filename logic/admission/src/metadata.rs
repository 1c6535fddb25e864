//! What metadata must look like, and which of it is the server's.

use crate::reject::text;
use lab_kinds::{Kind, registry::NameRule};
use lab_object::{FieldError, Json, name};
use serde_json::Map;

/// The metadata, made where it is absent. `object` is an object, and its metadata one, absent or null.
pub(crate) fn of(object: &mut Json) -> Option<&mut Map<String, Json>> {
    let metadata = object.as_object_mut()?.entry("metadata").or_insert(Json::Null);
    if metadata.is_null() {
        *metadata = Json::Object(Map::new());
    }
    metadata.as_object_mut()
}

/// All that is wrong with the metadata; its types are right by the schema. Names are only checked on create.
pub(crate) fn check(kind: &Kind, object: &Json, old: Option<&Json>) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let Some(metadata) = object.get("metadata").and_then(Json::as_object) else { return errors };
    if old.is_none() {
        check_name(kind, object, &mut errors);
    }
    if let Some(labels) = metadata.get("labels").and_then(Json::as_object) {
        check_labels(labels, &mut errors);
    }
    if let Some(annotations) = metadata.get("annotations").and_then(Json::as_object) {
        check_annotations(annotations, &mut errors);
    }
    if let Some(finalizers) = metadata.get("finalizers").and_then(Json::as_array) {
        check_finalizers(finalizers, old, &mut errors);
    }
    if let Some(owners) = metadata.get("ownerReferences").and_then(Json::as_array) {
        check_owners(owners, &mut errors);
    }
    errors
}

fn refuse(errors: &mut Vec<FieldError>, field: &str, value: &str, wrong: Vec<String>) {
    errors.extend(wrong.into_iter().map(|why| FieldError::invalid(field, &value.into(), why)));
}

fn check_name(kind: &Kind, object: &Json, errors: &mut Vec<FieldError>) {
    let rule = match kind.name_rule {
        NameRule::Subdomain => name::check_subdomain,
        NameRule::Label => name::check_label,
    };
    let given = text(object, "name");
    if given.is_empty() {
        errors.push(FieldError::required("metadata.name", "name or generateName is required"));
    } else {
        refuse(errors, "metadata.name", given, rule(given));
    }
    let prefix = text(object, "generateName");
    if !prefix.is_empty() {
        // What follows makes a good end of a dash or a dot.
        let probe = format!("{prefix}x");
        refuse(errors, "metadata.generateName", prefix, rule(&probe));
    }
    let namespace = text(object, "namespace");
    if kind.namespaced() && !namespace.is_empty() {
        refuse(errors, "metadata.namespace", namespace, name::check_label(namespace));
    }
}

fn check_labels(labels: &Map<String, Json>, errors: &mut Vec<FieldError>) {
    for (key, value) in labels {
        let value = value.as_str().unwrap_or_default();
        refuse(errors, "metadata.labels", key, name::check_label_key(key));
        refuse(errors, "metadata.labels", value, name::check_label_value(value));
    }
}

fn check_annotations(annotations: &Map<String, Json>, errors: &mut Vec<FieldError>) {
    let mut size = 0;
    for (key, value) in annotations {
        size += key.len() + value.as_str().map_or(0, str::len);
        // Capitals are let pass before the slash as well: annotations are older than the rule.
        let wrong = if key.bytes().any(|b| b.is_ascii_uppercase()) {
            name::check_label_key(&key.to_ascii_lowercase())
        } else {
            name::check_label_key(key)
        };
        refuse(errors, "metadata.annotations", key, wrong);
    }
    if size > name::MAX_ANNOTATIONS {
        errors.push(FieldError::too_long("metadata.annotations", name::MAX_ANNOTATIONS));
    }
}

/// Finalizers are names like keys of labels; while the object is being deleted none may come to those there are.
fn check_finalizers(finalizers: &[Json], old: Option<&Json>, errors: &mut Vec<FieldError>) {
    for finalizer in finalizers.iter().filter_map(Json::as_str) {
        refuse(errors, "metadata.finalizers", finalizer, name::check_label_key(finalizer));
    }
    let Some(old) = old.filter(|old| !text(old, "deletionTimestamp").is_empty()) else { return };
    let held = old.get("metadata").and_then(|m| m.get("finalizers")).and_then(Json::as_array);
    let new: Vec<_> = finalizers.iter().filter(|f| !held.is_some_and(|held| held.contains(f))).collect();
    if !new.is_empty() {
        let new: Vec<_> = new.iter().map(ToString::to_string).collect();
        let why = "no new finalizers can be added if the object is being deleted, found new finalizers";
        errors.push(FieldError::forbidden("metadata.finalizers", format_args!("{why} [{}]", new.join(", "))));
    }
}

fn check_owners(owners: &[Json], errors: &mut Vec<FieldError>) {
    let mut controller: Option<&Json> = None;
    for (i, owner) in owners.iter().enumerate() {
        for field in ["apiVersion", "kind", "name", "uid"] {
            if owner.get(field).and_then(Json::as_str).is_none_or(str::is_empty) {
                let path = format!("metadata.ownerReferences[{i}].{field}");
                errors.push(FieldError::required(path, "must not be empty"));
            }
        }
        if owner.get("controller") != Some(&Json::Bool(true)) {
            continue;
        }
        let shown = |owner: &Json| {
            let part = |field: &str| owner.get(field).and_then(Json::as_str).unwrap_or_default().to_owned();
            format!("{}/{}", part("kind"), part("name"))
        };
        match controller {
            None => controller = Some(owner),
            Some(first) => {
                let why = format!("only one owner can be the controller; {} is one already", shown(first));
                let path = format!("metadata.ownerReferences[{i}].controller");
                errors.push(FieldError::invalid(path, &shown(owner).into(), why));
            }
        }
    }
}
