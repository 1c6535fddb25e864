//! The way from `kubectl apply` on the client's side to the server's.
//!
//! Client-side apply remembers its configuration in an annotation and writes as an updater of another name. When
//! `kubectl apply --server-side` follows, what the annotation says and the object still has is its own: no conflict.

use super::{ApplyContext, Contested, compare, config};
use crate::Json;

const ANNOTATION: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// The one manager to which the annotation is known to belong.
const MANAGER: &str = "kubectl";

fn annotation(object: &Json) -> Option<&str> {
    object.get("metadata")?.get("annotations")?.get(ANNOTATION)?.as_str().filter(|text| !text.is_empty())
}

/// Those of the conflicts that are not with the manager's own client-side self.
pub(super) fn without_own(ctx: &ApplyContext<'_>, live: &Json, conflicts: Vec<Contested>) -> Vec<Contested> {
    let last = annotation(live).filter(|_| ctx.manager == MANAGER);
    let Some(last) = last.and_then(|text| serde_json::from_str::<Json>(text).ok()) else { return conflicts };
    if last.get("apiVersion").and_then(Json::as_str) != Some(ctx.api_version) {
        return conflicts;
    }
    let Ok(mut own) = config::field_set(ctx.schema, &last) else { return conflicts };
    let since = compare::objects(ctx.schema, &last, live);
    own.subtract(&since.set());
    own.subtract(&since.removed);
    conflicts.into_iter().filter(|(path, _)| !own.contains_all(path)).collect()
}

/// Keeps an annotation that is there in step, so that client-side apply can follow again.
pub(super) fn refresh(ctx: &ApplyContext<'_>, merged: &mut Json, applied: &Json) {
    if ctx.manager != MANAGER || !ctx.subresource.is_empty() || annotation(merged).is_none() {
        return;
    }
    let mut applied = applied.clone();
    if let Some(metadata) = applied.get_mut("metadata").and_then(Json::as_object_mut) {
        metadata.remove("managedFields");
        if let Some(annotations) = metadata.get_mut("annotations").and_then(Json::as_object_mut) {
            annotations.remove(ANNOTATION);
        }
    }
    if let Some(annotations) = merged.get_mut("metadata").and_then(|m| m.get_mut("annotations")) {
        annotations[ANNOTATION] = format!("{applied}\n").into();
    }
}
