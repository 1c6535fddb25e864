//! Objects read in part: only the branches that a table's columns look at become a tree, the rest is skipped.

use lab_kinds::Cell;
use lab_object::Json;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Map;
use std::{borrow::Cow, fmt};

/// Which branches of an object are read.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Mask {
    /// Everything from here on, except the `skipped`.
    whole: bool,
    /// Fields that are read in part, or, beneath a whole, not at all.
    fields: Vec<(String, Mask)>,
    skipped: bool,
}

impl Mask {
    /// The branches that these cells look at. A function may look anywhere but at `managedFields`, which is often
    /// the larger part of an object.
    pub(crate) fn of<'a>(cells: impl Iterator<Item = &'a Cell>) -> Self {
        let mut root = Self::default();
        for cell in cells {
            match cell {
                Cell::Path(path) => root.add(path),
                Cell::With(_) => root.whole = true,
            }
        }
        if root.whole {
            let managed = Self { skipped: true, ..Self::default() };
            let metadata =
                Self { whole: true, fields: vec![("managedFields".into(), managed)], skipped: false };
            root.fields = vec![("metadata".into(), metadata)];
        }
        root
    }

    /// Adds the branch of a path, as far as it consists of plain names.
    fn add(&mut self, path: &str) {
        let mut at = self;
        for name in path.trim_start_matches(['{', '$', '.']).split('.') {
            if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
                break;
            }
            let index = at.fields.iter().position(|(field, _)| field == name).unwrap_or_else(|| {
                at.fields.push((name.to_owned(), Self::default()));
                at.fields.len() - 1
            });
            at = &mut at.fields[index].1;
        }
        at.whole = true;
    }

    /// Reads an object's branches; what is not read must still be JSON.
    pub(crate) fn read(&self, object: &[u8]) -> Result<Json, serde_json::Error> {
        Branch(Some(self)).deserialize(&mut serde_json::Deserializer::from_slice(object))
    }
}

/// What is read of one value; without a mask, all of it.
#[derive(Clone, Copy)]
struct Branch<'m>(Option<&'m Mask>);

impl<'m> Branch<'m> {
    /// What is read of a field; `None` where it is skipped.
    fn field(self, name: &str) -> Option<Branch<'m>> {
        let Some(mask) = self.0 else { return Some(self) };
        let whole = Branch(None);
        match mask.fields.iter().find(|(field, _)| field == name) {
            Some((_, inner)) if inner.skipped => None,
            Some((_, inner)) if inner.fields.is_empty() => Some(whole),
            Some((_, inner)) => Some(Branch(Some(inner))),
            None => mask.whole.then_some(whole),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Branch<'_> {
    type Value = Json;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Json, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Branch<'_> {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }
    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }
    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(value.into())
    }
    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(value.into())
    }
    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(value.into())
    }
    fn visit_f64<E>(self, value: f64) -> Result<Json, E> {
        Ok(value.into())
    }
    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Json, A::Error> {
        let mut list = Vec::new();
        while let Some(element) = elements.next_element_seed(self)? {
            list.push(element);
        }
        Ok(list.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Json, A::Error> {
        let mut map = Map::new();
        while let Some(name) = fields.next_key::<Cow<'de, str>>()? {
            match self.field(&name) {
                Some(branch) => {
                    let value = fields.next_value_seed(branch)?;
                    map.insert(name.into_owned(), value);
                }
                None => {
                    fields.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(map.into())
    }
}
