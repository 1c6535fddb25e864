//! `Status`: how the API says that something failed, or was done (Kubernetes' `meta/v1.Status`).

use serde::{Deserialize, Serialize};
use std::fmt;

/// A machine-readable word for why a request failed, each with its HTTP code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names are Kubernetes' own and say it")]
pub enum Reason {
    BadRequest,
    Unauthorized,
    Forbidden,
    NotFound,
    MethodNotAllowed,
    NotAcceptable,
    AlreadyExists,
    Conflict,
    Gone,
    Expired,
    RequestEntityTooLarge,
    UnsupportedMediaType,
    Invalid,
    TooManyRequests,
    InternalError,
    ServiceUnavailable,
    Timeout,
    ServerTimeout,
    NotImplemented,
    /// Any reason this build does not know.
    #[serde(other)]
    Unknown,
}

impl Reason {
    /// The HTTP status code that goes with the reason.
    pub fn code(self) -> u16 {
        match self {
            Self::BadRequest => 400,
            Self::Unauthorized => 401,
            Self::Forbidden => 403,
            Self::NotFound => 404,
            Self::MethodNotAllowed => 405,
            Self::NotAcceptable => 406,
            Self::AlreadyExists | Self::Conflict => 409,
            Self::Gone | Self::Expired => 410,
            Self::RequestEntityTooLarge => 413,
            Self::UnsupportedMediaType => 415,
            Self::Invalid => 422,
            Self::TooManyRequests => 429,
            Self::InternalError | Self::Unknown => 500,
            Self::NotImplemented => 501,
            Self::ServiceUnavailable => 503,
            Self::Timeout | Self::ServerTimeout => 504,
        }
    }
}

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

/// What the API answers instead of an object.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// `Status`.
    #[serde(default = "Status::kind")]
    pub kind: String,
    /// `v1`.
    #[serde(default = "Status::api_version")]
    pub api_version: String,
    /// List metadata; empty.
    #[serde(default)]
    pub metadata: crate::ListMeta,
    /// `Success` or `Failure`.
    #[serde(default)]
    pub status: String,
    /// What happened, for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// Why, for programs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// To what.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<StatusDetails>,
    /// HTTP status code.
    #[serde(default)]
    pub code: u16,
}

/// What a `Status` is about.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct StatusDetails {
    /// Name of the object.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Group of the object's kind.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub group: String,
    /// The resource (plural) or the kind.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// UID of the object.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub uid: String,
    /// Each single cause.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<Cause>,
    /// Seconds after which trying again makes sense.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after_seconds: Option<u32>,
}

/// One cause of a failure.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Cause {
    /// Machine-readable word, such as `FieldValueInvalid`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// For people.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// Path of the field, where one is at fault.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub field: String,
}

impl Status {
    fn kind() -> String {
        "Status".into()
    }
    fn api_version() -> String {
        "v1".into()
    }

    /// A failure with the reason's own code.
    pub fn failure(reason: Reason, message: impl Into<String>) -> Self {
        Self {
            kind: Self::kind(),
            api_version: Self::api_version(),
            metadata: crate::ListMeta::default(),
            status: "Failure".into(),
            message: message.into(),
            reason: Some(reason),
            details: None,
            code: reason.code(),
        }
    }

    /// A success, as DELETE answers it.
    pub fn success(details: StatusDetails) -> Self {
        Self {
            status: "Success".into(),
            reason: None,
            code: 200,
            details: Some(details),
            ..Self::failure(Reason::Unknown, "")
        }
    }

    /// The same with details.
    #[must_use]
    pub fn with_details(mut self, details: StatusDetails) -> Self {
        self.details = Some(details);
        self
    }

    /// `resource.group`, or only `resource` in the core group: how messages name a resource.
    pub fn qualified(resource: &str, group: &str) -> String {
        if group.is_empty() { resource.into() } else { format!("{resource}.{group}") }
    }

    fn about(resource: &str, group: &str, name: &str) -> StatusDetails {
        StatusDetails { name: name.into(), group: group.into(), kind: resource.into(), ..Default::default() }
    }

    /// 404: there is no such object.
    pub fn not_found(resource: &str, group: &str, name: &str) -> Self {
        let message = format!("{} {name:?} not found", Self::qualified(resource, group));
        Self::failure(Reason::NotFound, message).with_details(Self::about(resource, group, name))
    }

    /// 409: there is one already.
    pub fn already_exists(resource: &str, group: &str, name: &str) -> Self {
        let message = format!("{} {name:?} already exists", Self::qualified(resource, group));
        Self::failure(Reason::AlreadyExists, message).with_details(Self::about(resource, group, name))
    }

    /// 409: it was changed since.
    pub fn conflict(resource: &str, group: &str, name: &str, why: impl fmt::Display) -> Self {
        let message =
            format!("Operation cannot be fulfilled on {} {name:?}: {why}", Self::qualified(resource, group));
        Self::failure(Reason::Conflict, message).with_details(Self::about(resource, group, name))
    }

    /// 422: fields were refused.
    pub fn invalid(kind: &str, group: &str, name: &str, errors: &[FieldError]) -> Self {
        let list = match errors {
            [one] => one.to_string(),
            many => format!("[{}]", many.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")),
        };
        let causes = errors
            .iter()
            .map(|e| Cause { reason: e.reason.into(), message: e.message.clone(), field: e.field.clone() })
            .collect();
        let message = format!("{} {name:?} is invalid: {list}", Self::qualified(kind, group));
        let details = StatusDetails { causes, ..Self::about(kind, group, name) };
        Self::failure(Reason::Invalid, message).with_details(details)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Status {}
