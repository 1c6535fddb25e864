//! `iam.lab/v1alpha1`: who may do what, and how people, programs and machines come to be trusted.

pub mod api_token;
pub mod certificate_revocation;
pub mod enrolment;
pub mod join_token;
pub mod login;
pub mod password;
pub mod role;
pub mod role_binding;
pub mod user;

use lab_object::{FieldError, Json};

crate::kinds![
    user::User,
    role::Role,
    role_binding::RoleBinding,
    join_token::JoinToken,
    api_token::APIToken,
    certificate_revocation::CertificateRevocation,
];

/// An error for each field of `spec` that is another one than before; `instead` says what to do.
fn unchanged(new: &Json, old: Option<&Json>, fields: &[&str], instead: &str) -> Vec<FieldError> {
    let Some(old) = old else { return Vec::new() };
    let changed = fields.iter().filter(|field| old["spec"][**field] != new["spec"][**field]);
    let refuse =
        |field| FieldError::forbidden(format!("spec.{field}"), format!("cannot be changed; {instead}"));
    changed.map(refuse).collect()
}

/// An error where somebody wants the token itself to be kept.
fn token_is_not_stored(new: &Json) -> Option<FieldError> {
    let why = "is shown when the token is made, and never stored";
    new["status"].get("token").map(|_| FieldError::forbidden("status.token", why))
}
