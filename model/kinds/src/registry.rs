//! The registry: what there is to know about each kind, as data.

use lab_object::{FieldError, Json, Schema};
use std::{collections::BTreeMap, sync::Arc};

/// Whether a kind's objects live in a namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// They do not.
    Cluster,
    /// They do.
    Namespaced,
}

/// The JSON type of a column, as tables declare it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnType {
    /// Text.
    String,
    /// A whole number.
    Integer,
    /// A moment, shown as the time since.
    Date,
    /// `true` or `false`.
    Boolean,
}

/// Where a column's cells come from.
#[derive(Clone, Copy)]
pub enum Cell {
    /// A path of fields, such as `status.phase`; a list in between yields its values joined by commas.
    Path(&'static str),
    /// A function of the object.
    With(fn(&Json) -> Json),
}

/// A printer column.
#[derive(Clone)]
pub struct Column {
    /// The heading, in the form `Phase`.
    pub name: &'static str,
    /// The type.
    pub kind: ColumnType,
    /// One sentence, shown by tools that explain columns.
    pub description: &'static str,
    /// 0 is always shown; higher only with `-o wide`.
    pub priority: u8,
    /// Where its cells come from.
    pub cell: Cell,
}

/// A field that field selectors may name. A path through lists matches when any element does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SelectableField(pub &'static str);

/// A part of an object with a path of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subresource {
    /// `status`: written apart from `spec`.
    Status,
    /// `scale`: replicas, as `autoscaling/v1.Scale`.
    Scale {
        /// Path of the wanted replicas.
        spec: &'static str,
        /// Path of the observed replicas.
        status: &'static str,
    },
    /// `finalize`: the namespace's own finalizers.
    Finalize,
    /// `token`: a service account's token request.
    Token,
}

/// How a kind's names must look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameRule {
    /// RFC 1123 subdomain: at most 253 of `[a-z0-9.-]`.
    Subdomain,
    /// RFC 1123 label: at most 63 of `[a-z0-9-]`.
    Label,
}

/// All there is to know about a kind.
#[derive(Clone)]
pub struct Kind {
    /// The group; empty for the core group.
    pub group: String,
    /// The version.
    pub version: String,
    /// The kind, in CamelCase.
    pub kind: String,
    /// The path segment.
    pub plural: String,
    /// For people and for `kubectl get <singular>`.
    pub singular: String,
    /// Abbreviations.
    pub short_names: Vec<String>,
    /// Categories, such as `all`.
    pub categories: Vec<String>,
    /// Whether objects live in a namespace.
    pub scope: Scope,
    /// Names' form.
    pub name_rule: NameRule,
    /// Printer columns after `Name`; `Age` is added at the end of the default ones.
    pub columns: Vec<Column>,
    /// Fields for field selectors besides `metadata.name` and `metadata.namespace`.
    pub selectable: Vec<SelectableField>,
    /// Subresources.
    pub subresources: Vec<Subresource>,
    /// The schema of a whole object.
    pub schema: Arc<Schema>,
    /// Checks that the schema cannot express; the object is valid by its schema when this is called.
    /// The second argument is the stored object on update.
    pub validate: Option<fn(&Json, Option<&Json>) -> Vec<FieldError>>,
    /// Defaults that the schema cannot express, applied after the schema's own.
    pub default: Option<fn(&mut Json)>,
    /// Other names by which one object may be asked for (hostname, UID, MAC, IP).
    pub aliases: Option<fn(&Json) -> Vec<String>>,
    /// One of Kubernetes' own kinds: strategic merge patches and protobuf bodies are taken.
    pub built_in: bool,
}

/// All kinds, by path and by every name that people use.
#[derive(Clone, Default)]
pub struct Registry {
    kinds: Vec<Arc<Kind>>,
    by_resource: BTreeMap<(String, String, String), usize>,
}

impl Registry {
    /// A registry of these kinds, in this order.
    pub fn new(kinds: impl IntoIterator<Item = Kind>) -> Self {
        let mut registry = Self::default();
        for kind in kinds {
            let key = (kind.group.clone(), kind.version.clone(), kind.plural.clone());
            registry.by_resource.insert(key, registry.kinds.len());
            registry.kinds.push(Arc::new(kind));
        }
        registry
    }

    /// Every kind, in order of registration.
    pub fn kinds(&self) -> &[Arc<Kind>] {
        &self.kinds
    }

    /// The kind at a path.
    pub fn by_resource(&self, group: &str, version: &str, plural: &str) -> Option<&Arc<Kind>> {
        self.by_resource.get(&(group.into(), version.into(), plural.into())).map(|&i| &self.kinds[i])
    }
}
