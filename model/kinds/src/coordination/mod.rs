//! `coordination.k8s.io/v1`: who holds what, for how long.

pub mod lease;

crate::kinds![lease::Lease];
