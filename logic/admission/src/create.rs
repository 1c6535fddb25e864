//! Admitting a new object.

use crate::reject::{Rejection, bad_request, invalid, text};
use crate::{Input, decode, default, metadata, validate};
use lab_kinds::Kind;
use lab_object::{Json, Time};
use serde_json::Map;

/// A generated name is a label at most, so that it can be a host's name or a label's value.
const GENERATED: usize = 63;

/// What a new object gets from the request and from the server.
#[derive(Debug, Clone, Copy)]
pub struct Creation<'a> {
    /// How the body is read.
    pub input: Input<'a>,
    /// The path's namespace; `None` where the kind has none.
    pub namespace: Option<&'a str>,
    /// The path's name, where there is one (an apply or a PUT that creates).
    pub name: Option<&'a str>,
    /// Random letters that make a name of `generateName`.
    pub suffix: &'a str,
    /// The new object's UID.
    pub uid: &'a str,
    /// The time of the request.
    pub now: Time,
}

/// Makes a body the object to be stored; returns the warnings.
///
/// Name and namespace are as the path says; UID, time and generation are the server's; `status` is dropped where it
/// is written apart; then defaults and validation.
pub fn create(kind: &Kind, object: &mut Json, creation: &Creation<'_>) -> Result<Vec<String>, Rejection> {
    let warnings = decode::decode(kind, object, creation.input)?;
    if !text(object, "resourceVersion").is_empty() {
        return Err(bad_request("resourceVersion should not be set on objects to be created"));
    }
    if let Some(metadata) = metadata::of(object) {
        place(metadata, creation)?;
        own(metadata, creation);
    }
    if let Some(fields) = object.as_object_mut().filter(|_| kind.has_status()) {
        fields.remove("status");
    }
    default(kind, object);
    let errors = validate(kind, object, None);
    if errors.is_empty() { Ok(warnings) } else { Err(invalid(kind, object, &errors)) }
}

/// Where the object goes: the path decides, the body may only agree.
fn place(metadata: &mut Map<String, Json>, creation: &Creation<'_>) -> Result<(), Rejection> {
    let given = |field: &str| metadata.get(field).and_then(Json::as_str).filter(|text| !text.is_empty());
    match (creation.namespace, given("namespace")) {
        (Some(path), Some(body)) if path != body => {
            return Err(bad_request(
                "the namespace of the provided object does not match the namespace sent on the request",
            ));
        }
        (Some(path), None) => drop(metadata.insert("namespace".into(), path.into())),
        (None, _) => drop(metadata.remove("namespace")),
        _ => {}
    }
    let given = |field: &str| metadata.get(field).and_then(Json::as_str).filter(|text| !text.is_empty());
    let name = match (creation.name, given("name"), given("generateName")) {
        (Some(path), Some(body), _) if path != body => {
            return Err(bad_request(format_args!(
                "the name of the object ({body}) does not match the name on the URL ({path})"
            )));
        }
        (Some(path), None, _) => path.to_owned(),
        (None, None, Some(prefix)) => {
            let room = GENERATED.saturating_sub(creation.suffix.len());
            let end =
                (0..=room.min(prefix.len())).rev().find(|&end| prefix.is_char_boundary(end)).unwrap_or(0);
            [&prefix[..end], creation.suffix].concat()
        }
        _ => return Ok(()),
    };
    metadata.insert("name".into(), name.into());
    Ok(())
}

/// What only the server says.
fn own(metadata: &mut Map<String, Json>, creation: &Creation<'_>) {
    for field in ["deletionTimestamp", "deletionGracePeriodSeconds", "selfLink", "resourceVersion"] {
        metadata.remove(field);
    }
    metadata.insert("uid".into(), creation.uid.into());
    metadata.insert("creationTimestamp".into(), creation.now.to_string().into());
    metadata.insert("generation".into(), 1.into());
}
