//! `audit.lab/v1alpha1`: who did what.

pub mod entry;

pub use entry::{Actor, Outcome, Target};

crate::kinds![entry::AuditEntry];
