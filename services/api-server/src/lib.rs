//! HTTP over admission and store: read, write, watch, patch, discovery, tables, OpenAPI.
//!
//! [`ApiServer::handle`] answers one request; [`mod@serve`] lets them in from the network. A request is read by
//! [`request`], admitted by its
//! [`authorizer`], and carried out for its kind by what the registry says of it.

#![allow(
    clippy::result_large_err,
    reason = "a failure is the answer itself, made once in a request and then sent"
)]

mod agents;
mod alias;
mod answer;
pub mod audit;
pub mod authorizer;
pub mod body;
mod call;
pub mod caller;
mod connection;
pub mod continuation;
mod create;
pub mod decode;
mod delete;
pub mod discovery;
mod document;
pub mod encode;
mod fault;
mod filter;
pub mod health;
mod heavy;
pub mod identity;
pub mod key;
mod log;
mod mask;
mod metadata;
pub mod metrics;
mod modify;
pub mod negotiate;
pub mod openapi;
pub mod protobuf;
mod read;
pub mod request;
mod review;
pub mod roles;
mod scale;
pub mod serve;
mod server;
pub mod table;
mod visible;
mod watch;
mod write;

pub use authorizer::{Authorizer, MastersOnly};
pub use body::{Body, Pieces};
pub use caller::{Caller, Credential};
pub use identity::Issuer;
pub use roles::RoleBased;
pub use serve::serve;
pub use server::{ApiServer, Extra, Options};
