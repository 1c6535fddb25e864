//! What selectors, watches and garbage collection need of an object, read from its bytes without parsing the rest.
//!
//! Objects are stored with `metadata` near their beginning, and reading stops behind it: what comes after is neither
//! looked at nor checked.

use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::{borrow::Cow, fmt, marker::PhantomData, ops::Deref};

/// A text that is borrowed from the bytes unless it has escapes.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Text<'a>(pub Cow<'a, str>);

impl Deref for Text<'_> {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.into())))
            }
        }
        deserializer.deserialize_str(TextVisitor)
    }
}

/// Labels in the order in which they are written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Labels<'a>(pub Vec<(Text<'a>, Text<'a>)>);

impl Labels<'_> {
    /// The value of a label.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(k, _)| **k == *key).map(|(_, value)| &**value)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Labels<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct LabelsVisitor<'a>(PhantomData<&'a ()>);
        impl<'de: 'a, 'a> Visitor<'de> for LabelsVisitor<'a> {
            type Value = Labels<'a>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of strings")
            }
            fn visit_unit<E>(self) -> Result<Labels<'a>, E> {
                Ok(Labels::default())
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Labels<'a>, A::Error> {
                let mut labels = Vec::new();
                while let Some(label) = map.next_entry()? {
                    labels.push(label);
                }
                Ok(Labels(labels))
            }
        }
        deserializer.deserialize_any(LabelsVisitor(PhantomData))
    }
}

/// A reference to an owner, as garbage collection needs it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PartialOwner<'a> {
    /// `apiVersion` of the owner.
    #[serde(borrow)]
    pub api_version: Text<'a>,
    /// Kind of the owner.
    #[serde(borrow)]
    pub kind: Text<'a>,
    /// Name of the owner.
    #[serde(borrow)]
    pub name: Text<'a>,
    /// UID of the owner.
    #[serde(borrow)]
    pub uid: Text<'a>,
    /// Whether it manages the object.
    pub controller: Option<bool>,
    /// Whether its foreground deletion waits for the object.
    pub block_owner_deletion: Option<bool>,
}

/// The part of an object's metadata that decides who sees it and what becomes of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Partial<'a> {
    /// Name.
    #[serde(borrow)]
    pub name: Text<'a>,
    /// Namespace; `None` where the object has none.
    #[serde(borrow)]
    pub namespace: Option<Text<'a>>,
    /// UID; empty where none was given yet.
    #[serde(borrow)]
    pub uid: Text<'a>,
    /// Revision of the last change, where it is written in the bytes.
    #[serde(borrow)]
    pub resource_version: Option<Text<'a>>,
    /// When deletion was asked for (RFC 3339).
    #[serde(borrow)]
    pub deletion_timestamp: Option<Text<'a>>,
    /// Labels.
    #[serde(borrow)]
    pub labels: Labels<'a>,
    /// Who must finish before the object may go.
    #[serde(borrow, deserialize_with = "crate::meta::null_is_default")]
    pub finalizers: Vec<Text<'a>>,
    /// On whom the object depends.
    #[serde(borrow, deserialize_with = "crate::meta::null_is_default")]
    pub owner_references: Vec<PartialOwner<'a>>,
}

/// The bytes are not an object with metadata.
#[derive(Debug, thiserror::Error)]
#[error("the metadata of a stored object could not be read")]
pub struct PartialError(#[source] serde_json::Error);

impl<'a> Partial<'a> {
    /// Reads the metadata of an object.
    pub fn read(object: &'a [u8]) -> Result<Self, PartialError> {
        read_metadata(object, PhantomData::<Self>)
    }
}

/// An object of which only the metadata is shown (`meta.k8s.io/v1.PartialObjectMetadata`).
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PartialObjectMetadata<'a> {
    kind: &'static str,
    api_version: &'static str,
    metadata: &'a RawValue,
}

impl<'a> PartialObjectMetadata<'a> {
    /// The metadata of an object, copied byte by byte.
    pub fn of(object: &'a [u8]) -> Result<Self, PartialError> {
        let metadata = read_metadata(object, PhantomData::<&'a RawValue>)?;
        Ok(Self { kind: "PartialObjectMetadata", api_version: "meta.k8s.io/v1", metadata })
    }
}

/// Reads `metadata` with the seed and goes no further.
fn read_metadata<'a, S: DeserializeSeed<'a>>(object: &'a [u8], seed: S) -> Result<S::Value, PartialError> {
    let mut found = None;
    let read = serde_json::Deserializer::from_slice(object)
        .deserialize_map(UpToMetadata { seed, found: &mut found });
    match (found, read) {
        (Some(metadata), _) => Ok(metadata),
        (None, Err(error)) => Err(PartialError(error)),
        (None, Ok(())) => Err(PartialError(serde_json::Error::missing_field("metadata"))),
    }
}

struct UpToMetadata<'f, S, V> {
    seed: S,
    found: &'f mut Option<V>,
}

impl<'de, S: DeserializeSeed<'de>> Visitor<'de> for UpToMetadata<'_, S, S::Value> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<Text<'de>>()? {
            if &*key == "metadata" {
                // Returning with fields unread ends the parser; the value is safe by then.
                *self.found = Some(map.next_value_seed(self.seed)?);
                return Ok(());
            }
            map.next_value::<IgnoredAny>()?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ObjectMeta, OwnerReference};
    use proptest::prelude::*;
    use serde_json::json;
    use std::collections::BTreeMap;

    const OBJECT: &str = r#"{"apiVersion":"metal.lab/v1alpha1","kind":"Server","metadata":{"name":"s1",
        "managedFields":[{"fieldsV1":{"f:spec":{}}}],"labels":{"a":"b","quote":"\"x\""},"uid":"u-1",
        "resourceVersion":"7","deletionTimestamp":"2026-11-21T12:00:00Z","finalizers":["lab/x"],
        "ownerReferences":[{"apiVersion":"v1","kind":"Pod","name":"p","uid":"u-2","controller":true}]},
        "spec":{"metadata":{"name":"wrong"}}}"#;

    #[test]
    fn what_it_reads() {
        let partial = Partial::read(OBJECT.as_bytes()).unwrap();
        assert_eq!((&*partial.name, &*partial.uid, partial.namespace.as_deref()), ("s1", "u-1", None));
        assert_eq!(partial.resource_version.as_deref(), Some("7"));
        assert_eq!(partial.deletion_timestamp.as_deref(), Some("2026-11-21T12:00:00Z"));
        assert_eq!(partial.labels.get("quote"), Some("\"x\""));
        assert_eq!(partial.labels.get("none"), None);
        assert!(matches!(partial.labels.0[0].1.0, Cow::Borrowed("b")));
        assert_eq!(&*partial.finalizers[0], "lab/x");
        assert_eq!(&*partial.owner_references[0].uid, "u-2");
        assert_eq!(partial.owner_references[0].controller, Some(true));
    }

    #[test]
    fn absent_and_null_are_empty() {
        let text = br#"{"metadata":{"name":"a","labels":null,"finalizers":null,"ownerReferences":null}}"#;
        let expected = Partial { name: Text(Cow::Borrowed("a")), ..Default::default() };
        assert_eq!(Partial::read(text).unwrap(), expected);
    }

    #[test]
    fn what_is_refused() {
        for bytes in
            ["", "[]", "{}", r#"{"spec":{}}"#, r#"{"metadata":7}"#, r#"{"metadata":{"name":"#, "nonsense"]
        {
            assert!(Partial::read(bytes.as_bytes()).is_err(), "{bytes}");
        }
    }

    #[test]
    fn nothing_behind_the_metadata_is_read() {
        assert_eq!(&*Partial::read(br#"{"metadata":{"name":"a"},"spec":broken"#).unwrap().name, "a");
    }

    #[test]
    fn only_the_metadata() {
        let shown =
            serde_json::to_string(&PartialObjectMetadata::of(br#"{"a":1,"metadata":{"x": 1}}"#).unwrap());
        let expected =
            r#"{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":{"x": 1}}"#;
        assert_eq!(shown.unwrap(), expected);
    }

    proptest! {
        #[test]
        fn it_reads_what_the_typed_form_wrote(
            name in ".{1,12}",
            namespace in proptest::option::of(".{1,8}"),
            labels in proptest::collection::btree_map(".{0,8}", ".{0,8}", 0..4),
            finalizers in proptest::collection::vec(".{0,8}", 0..3),
            owner in ".{0,8}",
        ) {
            let owner = OwnerReference { uid: owner, ..Default::default() };
            let meta = ObjectMeta {
                name: Some(name.clone()), namespace: namespace.clone(), labels: labels.clone(),
                finalizers: finalizers.clone(), owner_references: vec![owner.clone()], ..Default::default()
            };
            let bytes = serde_json::to_vec(&json!({"kind": "A", "metadata": meta, "spec": {}})).unwrap();
            let partial = Partial::read(&bytes).unwrap();
            prop_assert_eq!(&*partial.name, &name);
            prop_assert_eq!(partial.namespace.as_deref(), namespace.as_deref());
            let read: BTreeMap<_, _> =
                partial.labels.0.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
            prop_assert_eq!(read, labels);
            let read: Vec<_> = partial.finalizers.iter().map(|f| f.to_string()).collect();
            prop_assert_eq!(read, finalizers);
            prop_assert_eq!(&*partial.owner_references[0].uid, &owner.uid);
        }
    }
}
