//! Permissions, roles and identities: who may do what to which object. Pure decisions; the API server feeds them.
//!
//! A [`Policy`] holds the Roles, RoleBindings and Users as they are. For one caller it is compiled into an [`Access`],
//! which is asked twice per request: [`Access::admit`] before any object is looked at, and, where that depends on the
//! object, [`Access::decide`] about it.
//!
//! # Rules
//!
//! - A permission is `action:cloud:environment:server` ([`permission`]). Actions include the weaker ones: `admin`,
//!   `destroy`, `apply`, `read`. A `*` stands for any, and is the only thing that reaches what has no such part: a machine
//!   that was discovered and not placed yet is for who holds `*:*`.
//! - Verbs become actions in [`ask`]: get, list and watch are `read`; create, update and patch `apply`; delete and
//!   deletecollection `destroy`. Reprovisioning a server, approving a plan that is not known to spare what is on the
//!   disks, having it wiped when it is deleted, and writing its status are `destroy`, too.
//! - A server stands where its `spec.cloud`, `spec.environment` and name say. Networks, bastions, operating systems, disk
//!   layouts and namespaces describe machines of every environment: who may see anything may see them, and to change them
//!   takes the action everywhere (`apply:*:*:*`). Every other kind, also one added later, takes its action everywhere.
//! - Secrets, service accounts' tokens and `iam.lab` are for `admin`. Who administers only a part deals with the Roles and
//!   RoleBindings that reach no further than that part, and with JoinTokens into environments they administer in every
//!   cloud; so nobody grants what they do not hold.
//! - An API token narrows what its user may do ([`Access::narrowed`]); what was shown to prove who somebody is counts only
//!   as long as [`credentials`] say so.
//! - [`machine`]s have identities of their own, and exactly what these need.
//! - What may not be seen does not exist ([`Refusal`]).

pub mod access;
pub mod ask;
pub mod credentials;
pub mod enrolment;
pub mod facts;
pub mod grants;
pub mod guesses;
pub mod machine;
pub mod permission;
pub mod policy;
pub mod review;
pub mod seed;

pub use access::{Access, Refusal, Sight, Verdict};
pub use ask::{Ask, Domain};
pub use credentials::Credentials;
pub use facts::Facts;
pub use grants::Grants;
pub use guesses::Guesses;
pub use machine::Machine;
pub use permission::{Action, Permission, Scope};
pub use policy::Policy;
