//! Defaults and validation: what may be stored, decided without I/O.
//!
//! A write goes this way; each step's input is the step before's output:
//!
//! 1. The body is decoded (elsewhere), fields that stand twice noted.
//! 2. A patch is applied to the stored object. An apply configuration first goes through [`decode`], which refuses or
//!    removes unknown fields, then through `lab_object::apply::apply`.
//! 3. [`create`] or [`update`]: the path and the object agree; unknown fields go; what the server owns is set or
//!    restored; the part that the path does not write is restored; defaults; validation; generation.
//! 4. `lab_object::apply::track_update` records who set what (not after an apply, which did).
//! 5. [`unchanged`]: a write that changes nothing is not stored, and answers with the stored object.
//!
//! A refusal is the `Status` that the client gets. Time, UIDs and random letters are handed in.

mod create;
mod decode;
mod metadata;
mod reject;
mod update;

pub use create::{Creation, create};
pub use decode::{FieldValidation, Input, decode};
pub use reject::Rejection;
pub use update::{Target, unchanged, update};

use lab_kinds::Kind;
use lab_object::{FieldError, Json, schema};

/// Gives what is absent its default: the schema's first, then the kind's own.
fn default(kind: &Kind, object: &mut Json) {
    schema::default(&kind.schema, object);
    if let Some(default) = kind.default {
        default(object);
    }
}

/// All that is wrong with an object. The kind's own checks only see what is valid by the schema.
fn validate(kind: &Kind, object: &Json, old: Option<&Json>) -> Vec<FieldError> {
    let errors = schema::validate(&kind.schema, object);
    if !errors.is_empty() {
        return errors;
    }
    let mut errors = metadata::check(kind, object, old);
    if let Some(validate) = kind.validate {
        errors.extend(validate(object, old));
    }
    errors
}

#[cfg(test)]
mod tests;
