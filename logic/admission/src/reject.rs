//! Refusals.

use lab_kinds::Kind;
use lab_object::{FieldError, Json, Reason, Status};
use std::fmt;

/// Why a write is refused: the answer to the client.
pub type Rejection = Box<Status>;

/// 400: the request makes no sense.
pub(crate) fn bad_request(message: impl fmt::Display) -> Rejection {
    Box::new(Status::failure(Reason::BadRequest, message.to_string()))
}

/// 422: fields of the object are refused.
pub(crate) fn invalid(kind: &Kind, object: &Json, errors: &[FieldError]) -> Rejection {
    let name = text(object, "name");
    let name = if name.is_empty() { text(object, "generateName") } else { name };
    Box::new(Status::invalid(&kind.kind, &kind.group, name, errors))
}

/// 409: the object is not the one that was meant.
pub(crate) fn conflict(kind: &Kind, name: &str, why: impl fmt::Display) -> Rejection {
    Box::new(Status::conflict(&kind.plural, &kind.group, name, why))
}

/// A text of the metadata; empty where there is none.
pub(crate) fn text<'a>(object: &'a Json, field: &str) -> &'a str {
    object.get("metadata").and_then(|m| m.get(field)).and_then(Json::as_str).unwrap_or_default()
}
