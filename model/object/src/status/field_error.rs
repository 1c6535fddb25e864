//! Fields that were refused, in the words of Kubernetes' validation.

use std::fmt;

/// One field that was refused, and why. `field` is a path such as `spec.nics[0].mac`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldError {
    /// Kubernetes' word for the kind of fault: `FieldValueInvalid`, `FieldValueRequired`, ….
    pub reason: &'static str,
    /// Path of the field.
    pub field: String,
    /// What is wrong, for people: `Invalid value: "x": must be …`.
    pub message: String,
}

impl FieldError {
    /// The value is of the right type but not allowed.
    pub fn invalid(field: impl Into<String>, value: &serde_json::Value, why: impl fmt::Display) -> Self {
        let message = format!("Invalid value: {}: {why}", shorten(value));
        Self { reason: "FieldValueInvalid", field: field.into(), message }
    }
    /// The value is missing.
    pub fn required(field: impl Into<String>, why: impl fmt::Display) -> Self {
        let why = why.to_string();
        let message = if why.is_empty() { "Required value".into() } else { format!("Required value: {why}") };
        Self { reason: "FieldValueRequired", field: field.into(), message }
    }
    /// The value is none of those listed.
    pub fn not_supported(field: impl Into<String>, value: &serde_json::Value, allowed: &[&str]) -> Self {
        let allowed = allowed.iter().map(|a| format!("{a:?}")).collect::<Vec<_>>().join(", ");
        let message = format!("Unsupported value: {}: supported values: {allowed}", shorten(value));
        Self { reason: "FieldValueNotSupported", field: field.into(), message }
    }
    /// The value stands twice where it may stand once.
    pub fn duplicate(field: impl Into<String>, value: &serde_json::Value) -> Self {
        Self {
            reason: "FieldValueDuplicate",
            field: field.into(),
            message: format!("Duplicate value: {}", shorten(value)),
        }
    }
    /// The value may not be set, or not changed, here.
    pub fn forbidden(field: impl Into<String>, why: impl fmt::Display) -> Self {
        Self { reason: "FieldValueForbidden", field: field.into(), message: format!("Forbidden: {why}") }
    }
    /// The value names something that is not there.
    pub fn not_found(field: impl Into<String>, value: &serde_json::Value) -> Self {
        let message = format!("Not found: {}", shorten(value));
        Self { reason: "FieldValueNotFound", field: field.into(), message }
    }
    /// The value is longer than `limit` bytes; it is not shown.
    pub fn too_long(field: impl Into<String>, limit: usize) -> Self {
        let message = format!("Too long: may not be more than {limit} bytes");
        Self { reason: "FieldValueTooLong", field: field.into(), message }
    }
    /// The list has more than `limit` elements.
    pub fn too_many(field: impl Into<String>, count: usize, limit: usize) -> Self {
        let message = format!("Too many: {count}: must have at most {limit} items");
        Self { reason: "FieldValueTooMany", field: field.into(), message }
    }
    /// The value is of another JSON type.
    pub fn type_invalid(field: impl Into<String>, value: &serde_json::Value, expected: &str) -> Self {
        let found = match value {
            serde_json::Value::Null => "null",
            serde_json::Value::Bool(_) => "boolean",
            serde_json::Value::Number(n) if n.is_f64() => "number",
            serde_json::Value::Number(_) => "integer",
            serde_json::Value::String(_) => "string",
            serde_json::Value::Array(_) => "array",
            serde_json::Value::Object(_) => "object",
        };
        let message = format!("Invalid value: {found:?}: must be of type {expected}: {found:?}");
        Self { reason: "FieldValueTypeInvalid", field: field.into(), message }
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.message)
    }
}

/// Values are shown, but never a whole document of them.
fn shorten(value: &serde_json::Value) -> String {
    let text = value.to_string();
    if text.chars().count() <= 120 { text } else { text.chars().take(117).chain("...".chars()).collect() }
}
