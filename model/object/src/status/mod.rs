//! `Status`: how the API says that something failed, or was done (Kubernetes' `meta/v1.Status`).

mod failures;
mod field_error;

pub use failures::STALE;
pub use field_error::FieldError;

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
            Self::InternalError | Self::ServerTimeout | Self::Unknown => 500,
            Self::NotImplemented => 501,
            Self::ServiceUnavailable => 503,
            Self::Timeout => 504,
        }
    }
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
    #[serde(default, skip_serializing_if = "Status::is_unknown")]
    pub reason: Option<Reason>,
    /// To what.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<StatusDetails>,
    /// HTTP status code. Kubernetes leaves it out of a success.
    #[serde(default = "Status::ok", skip_serializing_if = "Status::is_ok")]
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
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "crate::meta::null_is_default")]
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
    fn ok() -> u16 {
        200
    }
    fn is_ok(code: &u16) -> bool {
        *code == 200
    }
    fn is_unknown(reason: &Option<Reason>) -> bool {
        matches!(reason, None | Some(Reason::Unknown))
    }

    /// Whether it says that something was done.
    pub fn is_success(&self) -> bool {
        self.status == "Success"
    }

    /// Whether it is a failure for this reason.
    pub fn is(&self, reason: Reason) -> bool {
        self.reason == Some(reason)
    }

    /// The same with details.
    #[must_use]
    pub fn with_details(mut self, details: StatusDetails) -> Self {
        self.details = Some(details);
        self
    }

    /// The same with a number of seconds after which to try again.
    #[must_use]
    pub fn with_retry_after(mut self, seconds: u32) -> Self {
        self.details.get_or_insert_default().retry_after_seconds = Some(seconds);
        self
    }

    /// `resource.group`, or only `resource` in the core group: how messages name a resource.
    pub fn qualified(resource: &str, group: &str) -> String {
        if group.is_empty() { resource.into() } else { format!("{resource}.{group}") }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Status {}
