//! Selectors: which objects a list or a watch is about, by their labels and by their fields.

mod field;
mod label;
mod lexer;
mod spec;

pub use field::{FieldOperator, FieldRequirement, FieldSelector};
pub use label::{Condition, LabelSelector, Labels, Requirement};
pub use spec::{SelectorOperator, SelectorRequirement, SelectorSpec};

/// Why a selector was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SelectorError {
    /// Something stands where something else must.
    #[error("unable to parse requirement: found '{found}', expected: {expected}")]
    Unexpected {
        /// What stands there; empty at the end.
        found: String,
        /// What may stand there.
        expected: &'static str,
    },
    /// A key is none that labels can have.
    #[error("unable to parse requirement: key: Invalid value: {key:?}: {why}")]
    Key {
        /// The key.
        key: String,
        /// The rules it breaks.
        why: String,
    },
    /// A value is none that labels can have.
    #[error("unable to parse requirement: values: Invalid value: {value:?}: {why}")]
    Value {
        /// The value.
        value: String,
        /// The rules it breaks.
        why: String,
    },
    /// The operator of a match expression does not go with the number of values.
    #[error("matchExpressions[{index}].values: Invalid value: {why}")]
    Values {
        /// Which expression, from 0.
        index: usize,
        /// What the operator needs.
        why: &'static str,
    },
    /// A term of a field selector has no operator.
    #[error("invalid selector: '{selector}'; can't understand '{term}'")]
    Term {
        /// The whole selector.
        selector: String,
        /// The term.
        term: String,
    },
    /// A backslash, a comma or an equals sign stands unescaped in a value of a field selector.
    #[error(
        "invalid field selector: the value '{value}' has an invalid escape sequence or an unescaped ',' or '='"
    )]
    Escape {
        /// The value as it was written.
        value: String,
    },
}
