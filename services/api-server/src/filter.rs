//! Which objects a list or watch is about: selectors on names, labels and fields, and what the caller may see.

use crate::{fault, key::Key, request::RequestInfo, visible::Visible};
use lab_kinds::{Kind, Scope};
use lab_object::{
    Json, Status,
    partial::Partial,
    path::Path,
    selector::{FieldSelector, LabelSelector},
};
use lab_store::Entry;

/// Path of an object's name.
const NAME: &str = "metadata.name";
/// Path of an object's namespace.
const NAMESPACE: &str = "metadata.namespace";

/// The selectors of a request, and what its caller sees.
pub(crate) struct Filter {
    labels: LabelSelector,
    fields: FieldSelector,
    /// The fields that need the object's content, with their paths.
    paths: Vec<(String, Path)>,
    /// Where the caller does not see everything.
    visible: Option<Visible>,
}

impl Filter {
    /// Reads the selectors; 400 for one that cannot be read or names a field the kind is not selected by.
    pub(crate) fn new(info: &RequestInfo, visible: Option<Visible>) -> Result<Self, Status> {
        let labels = LabelSelector::parse(&info.query.label_selector)
            .map_err(|error| fault::bad_request(format!("unable to parse labelSelector: {error}")))?;
        let fields = FieldSelector::parse(&info.query.field_selector)
            .map_err(|error| fault::bad_request(format!("unable to parse fieldSelector: {error}")))?;
        let mut paths = Vec::new();
        for requirement in fields.requirements() {
            let field = requirement.field.as_str();
            if field == NAME || (field == NAMESPACE && info.kind.scope == Scope::Namespaced) {
                continue;
            }
            paths.push((field.to_owned(), selectable(&info.kind, field)?));
        }
        Ok(Self { labels, fields, paths, visible })
    }

    /// Whether everything matches.
    pub(crate) fn is_empty(&self) -> bool {
        self.visible.is_none() && self.selects_all()
    }

    /// The only name that matches, where the selector says one.
    pub(crate) fn only_name(&self) -> Option<&str> {
        self.fields.required(NAME).filter(|name| crate::key::is_segment(name))
    }

    fn selects_all(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    /// Whether an object as it is or was is selected and seen.
    pub(crate) fn matches(&self, key: &str, object: &[u8]) -> Result<bool, Status> {
        Ok(self.selects(key, object)? && self.visible.as_ref().is_none_or(|visible| visible.shows(object)))
    }

    /// Whether a stored object is selected and seen.
    pub(crate) fn matches_entry(&self, entry: &Entry) -> Result<bool, Status> {
        let seen = || self.visible.as_ref().is_none_or(|visible| visible.shows_entry(entry));
        Ok(self.selects(&entry.key, &entry.value)? && seen())
    }

    /// Whether a stored object is selected. Its content is read only as far as the selectors need it.
    fn selects(&self, key: &str, object: &[u8]) -> Result<bool, Status> {
        if self.selects_all() {
            return Ok(true);
        }
        let Some(place) = Key::parse(key) else { return Ok(false) };
        let by_key = self.fields.requirements().iter().all(|requirement| match requirement.field.as_str() {
            NAME => requirement.matches([place.name]),
            NAMESPACE => requirement.matches([place.namespace]),
            _ => true,
        });
        if !by_key {
            return Ok(false);
        }
        if !self.labels.is_empty() {
            let metadata = Partial::read(object).map_err(fault::internal)?;
            if !self.labels.matches(&metadata.labels) {
                return Ok(false);
            }
        }
        if self.paths.is_empty() {
            return Ok(true);
        }
        let object: Json = serde_json::from_slice(object).map_err(fault::internal)?;
        Ok(self.fields.requirements().iter().all(|requirement| {
            let Some((_, path)) = self.paths.iter().find(|(field, _)| *field == requirement.field) else {
                return true;
            };
            let mut values = Vec::new();
            path.texts(&object, |text| values.push(text.to_owned()));
            requirement.matches(values)
        }))
    }
}

fn selectable(kind: &Kind, field: &str) -> Result<Path, Status> {
    let known = kind.selectable.iter().any(|selectable| selectable.0 == field);
    if !known {
        let mut names: Vec<&str> = kind.selectable.iter().map(|selectable| &*selectable.0).collect();
        names.push(NAME);
        if kind.scope == Scope::Namespaced {
            names.push(NAMESPACE);
        }
        return Err(fault::bad_request(format!(
            "field label not supported: {field}; {} can be selected by: {}",
            kind.plural,
            names.join(", ")
        )));
    }
    Path::parse(field).map_err(fault::internal)
}
