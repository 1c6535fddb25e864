//! What every object is: metadata, names, selectors, patches, status errors, tables.
//!
//! Nothing here knows a particular kind, a clock, a network or a database.

pub mod age;
pub mod apply;
pub mod group;
pub mod mac;
pub mod meta;
pub mod name;
pub mod partial;
pub mod patch;
pub mod path;
pub mod schema;
pub mod selector;
pub mod status;
pub mod table;
pub mod time;
pub mod watch;

pub use group::{GroupVersion, GroupVersionKind, GroupVersionResource};
pub use mac::MacAddress;
pub use meta::{ListMeta, ManagedFieldsEntry, ObjectMeta, OwnerReference, Resource};
pub use partial::{Partial, PartialObjectMetadata};
pub use patch::PatchError;
pub use path::Path;
pub use schema::Schema;
pub use selector::{FieldSelector, LabelSelector, SelectorError, SelectorSpec};
pub use status::{Cause, FieldError, Reason, Status, StatusDetails};
pub use table::Table;
pub use time::{MicroTime, Time};
pub use watch::{EventType, WatchEvent};

/// An object whose kind is only known by data: what the API server stores and serves.
pub type Json = serde_json::Value;
