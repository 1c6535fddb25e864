//! Kubernetes' core group, `v1`: the kinds its tools expect everywhere.

pub mod config_map;
pub mod event;
pub mod namespace;
pub mod secret;
pub mod service_account;

mod immutable;

crate::kinds![
    namespace::Namespace,
    config_map::ConfigMap,
    secret::Secret,
    event::Event,
    service_account::ServiceAccount,
];
