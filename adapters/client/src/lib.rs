//! Typed client and informers for our own API.
//!
//! [`Transport`] carries requests; [`Client`] and [`Api`] give them types; [`Informer`] keeps a watched copy; [`WorkQueue`]
//! and [`run`] turn its changes into calls of a reconciler. [`Identity`] is who a machine is to the server, on its disk. Nothing
//! here decides anything.

mod api;
mod backoff;
mod client;
pub mod config;
mod enrolment;
mod error;
mod https;
mod identity;
mod informer;
mod pinned;
mod proxy;
mod queue;
mod transport;
mod upgrade;
mod watch;

pub use api::{
    Api, DeleteParams, Deleted, FieldValidation, IncludeObject, List, ListParams, Patch, PatchParams,
    Propagation, WatchParams, WriteParams,
};
pub use backoff::Backoff;
pub use client::{Client, OnWarning};
pub use config::{ConfigError, Connection, Kubeconfig};
pub use enrolment::{EnrolError, Joined, Joiner, NewKey, enrol, renew};
pub use error::{Error, chain};
pub use https::Https;
pub use identity::{Identity, IdentityError, Invitation};
pub use informer::{Change, Informer, InformerOptions};
pub use proxy::{BadProxy, Proxy};
pub use queue::{Next, WorkQueue, run};
pub use transport::{Body, BoxError, Fault, InProcess, Request, Response, Transport, TransportError};
pub use upgrade::{Upgraded, Upgrader};
pub use watch::{Key, Watch, WatchEvent};
