//! Reading and writing the metadata of objects that are only known by data.

use lab_kinds::{Kind, Subresource};
use lab_object::Json;
use rand::Rng;
use serde_json::Map;

/// The finalizer in a namespace's `spec` that stands for the server.
const SERVER: &str = "kubernetes";
/// Letters of generated names: Kubernetes' alphabet, without vowels and look-alikes, so that no words come about.
const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";
/// How many of them are appended.
pub(crate) const SUFFIX: usize = 5;

/// A text field of the metadata; empty where it is absent.
pub(crate) fn text<'a>(object: &'a Json, field: &str) -> &'a str {
    object.get("metadata").and_then(|metadata| metadata.get(field)).and_then(Json::as_str).unwrap_or_default()
}

/// The metadata, made where it is absent. `object` must be a JSON object.
pub(crate) fn of(object: &mut Json) -> &mut Map<String, Json> {
    let metadata = &mut object["metadata"];
    if !metadata.is_object() {
        *metadata = Json::Object(Map::new());
    }
    metadata.as_object_mut().expect("it was made one")
}

/// The texts of a list at `metadata.finalizers` or the like.
fn texts(list: Option<&Json>) -> impl Iterator<Item = &str> {
    list.and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str)
}

/// Whether the object waits for its finalizers to be removed.
pub(crate) fn is_terminating(object: &Json) -> bool {
    !text(object, "deletionTimestamp").is_empty()
}

/// Whether finalizers hold the object: its own, or, for a kind that is finalized apart, those in `spec`.
pub(crate) fn is_held(kind: &Kind, object: &Json) -> bool {
    let held = |part: &str| texts(object.get(part).and_then(|part| part.get("finalizers"))).next().is_some();
    held("metadata") || (is_finalized_apart(kind) && held("spec"))
}

/// Whether the kind has finalizers in `spec`, with a subresource to remove them (Namespace).
pub(crate) fn is_finalized_apart(kind: &Kind) -> bool {
    kind.subresources.contains(&Subresource::Finalize)
}

/// Has the server itself hold a new object of such a kind: it empties a namespace before that goes.
pub(crate) fn hold_by_spec(object: &mut Json) {
    let finalizers = &mut object["spec"]["finalizers"];
    if finalizers.is_null() {
        *finalizers = Json::Array(Vec::new());
    }
    if let Some(finalizers) = finalizers.as_array_mut().filter(|held| !held.contains(&SERVER.into())) {
        finalizers.push(SERVER.into());
    }
}

/// Random letters for the end of a generated name.
pub(crate) fn suffix() -> String {
    let mut random = rand::rng();
    (0..SUFFIX).map(|_| char::from(ALPHABET[random.random_range(0..ALPHABET.len())])).collect()
}
