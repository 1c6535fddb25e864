//! `iam.lab/v1alpha1`: who may do what, and how machines come to be trusted.

pub mod join_token;
pub mod role;
pub mod role_binding;
pub mod user;

crate::kinds![user::User, role::Role, role_binding::RoleBinding, join_token::JoinToken];
