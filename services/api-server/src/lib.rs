//! HTTP over admission and store: read, write, watch, patch, discovery, tables, OpenAPI.

pub mod body;
pub mod caller;

pub use body::{Body, Pieces};
pub use caller::{Attributes, Authorizer, Caller, MastersOnly, Target};
