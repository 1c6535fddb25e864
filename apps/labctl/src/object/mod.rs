//! Verbs on objects of any kind, a file each.

pub mod annotate;
pub mod api_resources;
pub mod apply;
pub mod create;
pub mod delete;
pub mod describe;
pub mod edit;
pub mod explain;
pub mod get;
pub mod label;
pub mod manifest;
pub mod patch;
pub mod selection;
pub mod wait;
