//! `metadata.managedFields`: read, compared, written.

use super::fields::FieldSet;
use super::{ApplyContext, Conflict, Contested};
use crate::{Json, Time};
use serde_json::Map;

/// How a manager writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Operation {
    Apply,
    Update,
}

impl Operation {
    pub fn name(self) -> &'static str {
        match self {
            Self::Apply => "Apply",
            Self::Update => "Update",
        }
    }
}

/// The fields of one manager by one operation.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Manager {
    pub name: String,
    pub operation: Operation,
    pub api_version: String,
    pub subresource: String,
    pub time: Option<Time>,
    pub fields: FieldSet,
}

impl Manager {
    fn of(ctx: &ApplyContext<'_>, operation: Operation, fields: FieldSet) -> Self {
        Self {
            name: ctx.manager.into(),
            operation,
            api_version: ctx.api_version.into(),
            subresource: ctx.subresource.into(),
            time: Some(ctx.now),
            fields,
        }
    }

    /// What this request applies.
    pub fn applier(ctx: &ApplyContext<'_>, fields: FieldSet) -> Self {
        Self::of(ctx, Operation::Apply, fields)
    }

    /// What this request updates.
    pub fn updater(ctx: &ApplyContext<'_>, fields: FieldSet) -> Self {
        Self::of(ctx, Operation::Update, fields)
    }

    /// Whether the entry is that of the request's manager. An applier keeps one entry across versions.
    pub fn is(&self, ctx: &ApplyContext<'_>, operation: Operation) -> bool {
        self.operation == operation
            && self.name == ctx.manager
            && self.subresource == ctx.subresource
            && (operation == Operation::Apply || self.api_version == ctx.api_version)
    }

    /// The conflicts that setting these fields has with this manager.
    pub fn contested(&self, set: &FieldSet) -> Vec<Contested> {
        let conflict = |field| Conflict {
            manager: self.name.clone(),
            operation: self.operation.name(),
            api_version: self.api_version.clone(),
            subresource: self.subresource.clone(),
            field,
        };
        let members = self.fields.intersection(set).members();
        members.into_iter().map(|(path, alone)| (alone, conflict(path))).collect()
    }

    fn from_entry(entry: &Json) -> Option<Self> {
        let text = |field: &str| match entry.get(field) {
            None | Some(Json::Null) => Some(""),
            Some(value) => value.as_str(),
        };
        let operation = match text("operation")? {
            "Apply" => Operation::Apply,
            "Update" => Operation::Update,
            _ => return None,
        };
        let time = match text("time")? {
            "" => None,
            time => Some(Time(time.parse().ok()?)),
        };
        let fields = match entry.get("fieldsV1") {
            None | Some(Json::Null) => FieldSet::default(),
            Some(fields) => FieldSet::from_fields_v1(fields).ok()?,
        };
        let entry = Self {
            name: text("manager")?.into(),
            operation,
            api_version: text("apiVersion")?.into(),
            subresource: text("subresource")?.into(),
            time,
            fields,
        };
        (text("fieldsType")? == "FieldsV1" && !entry.api_version.is_empty()).then_some(entry)
    }

    fn into_entry(self) -> Json {
        let mut entry = Map::new();
        entry.insert("manager".into(), self.name.into());
        entry.insert("operation".into(), self.operation.name().into());
        entry.insert("apiVersion".into(), self.api_version.into());
        if let Some(time) = self.time {
            entry.insert("time".into(), time.to_string().into());
        }
        entry.insert("fieldsType".into(), "FieldsV1".into());
        entry.insert("fieldsV1".into(), self.fields.into_fields_v1());
        if !self.subresource.is_empty() {
            entry.insert("subresource".into(), self.subresource.into());
        }
        Json::Object(entry)
    }
}

/// Takes the list out of an object; `None` when there is none.
pub(super) fn take(object: &mut Json) -> Option<Json> {
    object.get_mut("metadata")?.as_object_mut()?.remove("managedFields")
}

/// Reads the list; `None` when any entry cannot be read.
pub(super) fn read(list: &Json) -> Option<Vec<Manager>> {
    list.as_array()?.iter().map(Manager::from_entry).collect()
}

/// Puts the list into an object, in Kubernetes' order, without managers that own nothing.
pub(super) fn put(mut object: Json, mut managers: Vec<Manager>) -> Json {
    managers.retain(|manager| !manager.fields.is_empty());
    managers.sort_by(|a, b| {
        let key = |m: &Manager| (m.operation, m.time.map(|t| t.0.as_second()));
        let name = |m: &'_ Manager| (m.name.clone(), m.api_version.clone(), m.subresource.clone());
        key(a).cmp(&key(b)).then_with(|| name(a).cmp(&name(b)))
    });
    let list: Vec<_> = managers.into_iter().map(Manager::into_entry).collect();
    put_list(&mut object, (!list.is_empty()).then_some(Json::Array(list)));
    object
}

/// Sets the list, where there is one to set.
pub(super) fn put_list(object: &mut Json, list: Option<Json>) {
    let Some(object) = object.as_object_mut() else { return };
    let metadata = object.entry("metadata").or_insert_with(|| Json::Object(Map::new()));
    if let (Some(metadata), Some(list)) = (metadata.as_object_mut(), list) {
        metadata.insert("managedFields".into(), list);
    }
}
