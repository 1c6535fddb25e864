//! Every kind we define, a folder per group, and the registry that describes them.
//!
//! Discovery, OpenAPI, tables, validation, aliases and completion all derive from a kind's registration, so that a
//! further kind is one file and its name in its group's list.

pub mod registry;

pub use registry::{Cell, Column, ColumnType, Kind, Registry, Scope, SelectableField, Subresource};
