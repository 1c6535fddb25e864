//! Sets of fields, and their `FieldsV1` form.

use crate::Json;
use std::{collections::BTreeMap, fmt::Write};

/// A set of fields of one object, as a trie.
///
/// Each step is written as in `FieldsV1`: `f:name` (a field), `k:{"name":"eth0"}` (an element by its keys), `v:"x"` (an
/// element by its value), `i:0` (by its index). The JSON in a step is compact with its keys in order, so that equal
/// steps are equal texts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FieldSet {
    /// Whether the field at this node belongs to the set; never so at the root.
    pub(super) member: bool,
    pub(super) children: BTreeMap<String, FieldSet>,
}

/// A `FieldsV1` document that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{step:?} is not a step of a FieldsV1 path: {why}")]
pub struct FieldsError {
    /// The step.
    pub step: String,
    /// What is wrong with it.
    pub why: &'static str,
}

impl FieldSet {
    /// A node that is itself in the set, with nothing beneath.
    pub(super) fn leaf() -> Self {
        Self { member: true, children: BTreeMap::new() }
    }

    /// Whether nothing is in the set.
    pub fn is_empty(&self) -> bool {
        !self.member && self.children.is_empty()
    }

    /// Reads the `FieldsV1` form.
    pub fn from_fields_v1(fields: &Json) -> Result<Self, FieldsError> {
        let mut set = Self::read("", fields)?;
        set.member = false;
        Ok(set)
    }

    fn read(step: &str, fields: &Json) -> Result<Self, FieldsError> {
        let Json::Object(fields) = fields else {
            return Err(FieldsError { step: step.into(), why: "its value must be an object" });
        };
        let mut node = Self { member: fields.is_empty(), children: BTreeMap::new() };
        for (step, beneath) in fields {
            if step == "." {
                node.member = true;
            } else {
                node.adopt(canonical(step)?, Self::read(step, beneath)?);
            }
        }
        Ok(node)
    }

    /// The `FieldsV1` form.
    pub fn into_fields_v1(self) -> Json {
        let mut fields = serde_json::Map::new();
        if self.member && !self.children.is_empty() {
            fields.insert(".".into(), Json::Object(serde_json::Map::new()));
        }
        fields.extend(self.children.into_iter().map(|(step, child)| (step, child.into_fields_v1())));
        Json::Object(fields)
    }

    /// Adds all of `other`.
    pub fn unite(&mut self, other: &Self) {
        self.member |= other.member;
        for (step, theirs) in &other.children {
            match self.children.get_mut(step) {
                Some(ours) => ours.unite(theirs),
                None => drop(self.children.insert(step.clone(), theirs.clone())),
            }
        }
    }

    /// Takes out all that is in `other`; what lies beneath a field taken out stays.
    pub fn subtract(&mut self, other: &Self) {
        self.member &= !other.member;
        for (step, theirs) in &other.children {
            if let Some(ours) = self.children.get_mut(step) {
                ours.subtract(theirs);
                if ours.is_empty() {
                    self.children.remove(step);
                }
            }
        }
    }

    /// What is in both.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        let mut both = Self { member: self.member && other.member, children: BTreeMap::new() };
        for (step, ours) in &self.children {
            if let Some(theirs) = other.children.get(step) {
                both.adopt(step.clone(), ours.intersection(theirs));
            }
        }
        both
    }

    /// Puts a subtree in place, unless it is empty.
    pub(super) fn adopt(&mut self, step: impl Into<String>, child: Self) {
        if !child.is_empty() {
            self.children.insert(step.into(), child);
        }
    }

    /// Whether every member of `other` is in this set.
    pub fn contains_all(&self, other: &Self) -> bool {
        (self.member || !other.member)
            && other.children.iter().all(|(step, theirs)| match self.children.get(step) {
                Some(ours) => ours.contains_all(theirs),
                None => theirs.is_empty(),
            })
    }

    /// Each member by itself, beside its path as people read it.
    pub(super) fn members(&self) -> Vec<(String, Self)> {
        let mut found = Vec::new();
        self.collect(&mut Vec::new(), &mut found);
        found
    }

    fn collect<'a>(&'a self, path: &mut Vec<&'a str>, found: &mut Vec<(String, Self)>) {
        if self.member && !path.is_empty() {
            let text = path.iter().map(|step| readable(step)).collect();
            let alone = path.iter().rev().fold(Self::leaf(), |child, &step| Self {
                member: false,
                children: BTreeMap::from([(step.to_owned(), child)]),
            });
            found.push((text, alone));
        }
        for (step, child) in &self.children {
            path.push(step);
            child.collect(path, found);
            path.pop();
        }
    }
}

/// The step of a field.
pub(super) fn field_step(name: &str) -> String {
    ["f:", name].concat()
}

/// The step of a set's element.
pub(super) fn value_step(value: &Json) -> String {
    let mut step = String::from("v:");
    write_value(&mut step, value);
    step
}

/// The step of a map list's element; `keys` in order of their names.
pub(super) fn key_step<'a>(keys: impl Iterator<Item = (&'a str, &'a Json)>) -> String {
    let mut step = String::from("k:{");
    for (i, (name, value)) in keys.enumerate() {
        if i > 0 {
            step.push(',');
        }
        write_value(&mut step, &Json::String(name.to_owned()));
        step.push(':');
        write_value(&mut step, value);
    }
    step.push('}');
    step
}

/// Writes compact JSON; a whole number looks the same whether it was written `1` or `1.0`.
fn write_value(step: &mut String, value: &Json) {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the guard keeps to whole numbers that i64 holds exactly"
    )]
    let written = match value.as_f64() {
        Some(number) if value.is_f64() && number.fract() == 0.0 && number.abs() < 9e15 => {
            write!(step, "{}", number as i64)
        }
        _ => write!(step, "{value}"),
    };
    written.unwrap_or_else(|_| unreachable!("writing to a String does not fail"));
}

/// A step as this crate writes it.
fn canonical(step: &str) -> Result<String, FieldsError> {
    let why = match step.get(..2) {
        Some("f:") => return Ok(step.into()),
        Some("i:") if step[2..].parse::<u32>().is_ok() => return Ok(step.into()),
        Some("i:") => "an index must be a whole number",
        Some("v:") => match serde_json::from_str::<Json>(&step[2..]) {
            Ok(value) => return Ok(value_step(&value)),
            Err(_) => "a value must be JSON",
        },
        Some("k:") => match serde_json::from_str::<BTreeMap<String, Json>>(&step[2..]) {
            Ok(keys) if !keys.is_empty() => return Ok(key_step(keys.iter().map(|(k, v)| (k.as_str(), v)))),
            _ => "keys must be a JSON object",
        },
        _ => "it must begin with f:, k:, v: or i:",
    };
    Err(FieldsError { step: step.into(), why })
}

/// A step as people read it: `.name`, `[name="eth0"]`, `[="x"]`, `[0]`.
fn readable(step: &str) -> String {
    let (form, rest) = step.split_at(step.len().min(2));
    match form {
        "f:" => format!(".{rest}"),
        "v:" => format!("[={rest}]"),
        "k:" => {
            let keys: BTreeMap<String, Json> = serde_json::from_str(rest).unwrap_or_default();
            let keys: Vec<_> = keys.iter().map(|(name, value)| format!("{name}={value}")).collect();
            format!("[{}]", keys.join(","))
        }
        _ => format!("[{rest}]"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn set(fields: Json) -> FieldSet {
        FieldSet::from_fields_v1(&fields).unwrap()
    }

    #[test]
    fn reads_and_writes_fields_v1() {
        let check = |given: Json, expected: Json| assert_eq!(set(given).into_fields_v1(), expected);
        check(json!({}), json!({}));
        check(json!({"f:a": {}}), json!({"f:a": {}}));
        check(json!({"f:a": {".": {}}}), json!({"f:a": {}}));
        check(json!({"f:a": {".": {}, "f:b": {}}}), json!({"f:a": {".": {}, "f:b": {}}}));
        check(
            json!({"f:a": {"k:{\"b\": 1.0, \"a\":\"x\"}": {}}}),
            json!({"f:a": {"k:{\"a\":\"x\",\"b\":1}": {}}}),
        );
        check(json!({"f:a": {"v: \"x\"": {}, "i:3": {}}}), json!({"f:a": {"v:\"x\"": {}, "i:3": {}}}));
    }

    #[test]
    fn refuses_what_is_no_fields_v1() {
        let check = |given: Json, step: &str| {
            assert_eq!(FieldSet::from_fields_v1(&given).unwrap_err().step, step);
        };
        check(json!({"spec": {}}), "spec");
        check(json!({"f:a": 1}), "f:a");
        check(json!({"f:a": {"k:{}": {}}}), "k:{}");
        check(json!({"f:a": {"v:x": {}}}), "v:x");
        check(json!({"i:-1": {}}), "i:-1");
        check(json!({"ä": {}}), "ä");
    }

    #[test]
    fn members_are_read_as_kubernetes_prints_them() {
        let fields = json!({"f:a": {".": {}, "f:b": {"v:1": {}}, "f:c": {"k:{\"n\":\"x\",\"p\":80}": {"f:d": {}}, "i:0": {}}}});
        let paths: Vec<_> = set(fields).members().into_iter().map(|(path, _)| path).collect();
        assert_eq!(paths, [".a", ".a.b[=1]", ".a.c[0]", ".a.c[n=\"x\",p=80].d"]);
    }
}
