//! The three ways to change an object in part: JSON patch (RFC 6902), merge patch (RFC 7396) and Kubernetes'
//! strategic merge patch. Each leaves its target as it was when it fails.

mod json;
mod merge;
mod strategic;

pub use json::{MAX_COPIED, MAX_DEPTH, MAX_OPERATIONS, json};
pub use merge::{diff, merge};
pub use strategic::strategic;

/// Why a patch could not be applied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatchError {
    /// A JSON patch is a list of operations.
    #[error("a JSON patch must be a list of operations")]
    NotOperations,
    /// There are more operations than one request may have.
    #[error("The allowed maximum operations in a JSON patch is {limit}, got {count}")]
    TooManyOperations {
        /// How many there are.
        count: usize,
        /// How many there may be.
        limit: usize,
    },
    /// An operation of a JSON patch is not formed as RFC 6902 says.
    #[error("operation {index} of the JSON patch is malformed: {why}")]
    MalformedOperation {
        /// Which operation, from 0.
        index: usize,
        /// What is wrong with it.
        why: String,
    },
    /// An operation of a JSON patch does not fit the object.
    #[error("operation {index} of the JSON patch ({operation} {path:?}) cannot be applied: {why}")]
    Operation {
        /// Which operation, from 0.
        index: usize,
        /// `add`, `remove`, `replace`, `move`, `copy` or `test`.
        operation: &'static str,
        /// The operation's path, as a JSON pointer.
        path: String,
        /// Why it does not fit.
        why: String,
    },
    /// A patch, or a part of one, is of another JSON type than it must be.
    #[error("{path}: the patch has {found} here, where {expected} must stand")]
    Type {
        /// Path of the field; `(root)` for the whole object.
        path: String,
        /// The type it has.
        found: &'static str,
        /// The type it must have.
        expected: &'static str,
    },
    /// A directive of a strategic merge patch has a value that it cannot have.
    #[error("{path}: {directive} cannot be {value}: {why}")]
    Directive {
        /// Path of the object or list that it stands in.
        path: String,
        /// The directive, such as `$patch`.
        directive: &'static str,
        /// The value it has, as JSON.
        value: String,
        /// What it may be.
        why: &'static str,
    },
    /// An element of a list that is merged by a key does not have the key.
    #[error(
        "{path}: the element of the patch does not have the merge key {key:?}, which tells elements apart"
    )]
    MergeKeyMissing {
        /// Path of the element.
        path: String,
        /// The key.
        key: String,
    },
    /// The elements of a list are not all of the kind that its merge needs.
    #[error("{path}: {why}")]
    List {
        /// Path of the list or element.
        path: String,
        /// What is wrong.
        why: &'static str,
    },
    /// `$retainKeys` leaves out a field that the patch sets.
    #[error("{path}: the patch sets {field:?}, which its $retainKeys list does not name")]
    NotRetained {
        /// Path of the object.
        path: String,
        /// The field.
        field: String,
    },
    /// The elements of the patch are not, in the same order, among those of `$setElementOrder`.
    #[error("{path}: the order in the patch list does not match its $setElementOrder list")]
    Order {
        /// Path of the list.
        path: String,
    },
}

/// The JSON type of a value, for messages.
fn type_of(value: &crate::Json) -> &'static str {
    match value {
        crate::Json::Null => "null",
        crate::Json::Bool(_) => "a boolean",
        crate::Json::Number(_) => "a number",
        crate::Json::String(_) => "a string",
        crate::Json::Array(_) => "a list",
        crate::Json::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use crate::Json;
    use proptest::{
        collection::{btree_map, vec},
        prelude::*,
    };

    /// Any JSON, of few names so that documents meet each other.
    pub(super) fn any_json(with_null: bool) -> impl Strategy<Value = Json> {
        let nulls = u32::from(with_null);
        let leaf = prop_oneof![
            nulls => Just(Json::Null),
            2 => any::<bool>().prop_map(Json::from),
            2 => (0..4).prop_map(Json::from),
            2 => "[ab]{0,2}".prop_map(Json::from),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                vec(inner.clone(), 0..4).prop_map(Json::from),
                btree_map("[abc~/]{1,2}", inner, 0..4).prop_map(|m| m.into_iter().collect()),
            ]
        })
    }

    /// Any JSON object.
    pub(super) fn object(with_null: bool) -> impl Strategy<Value = Json> {
        btree_map("[abc]{1,2}", any_json(with_null), 0..4).prop_map(|m| m.into_iter().collect())
    }
}
