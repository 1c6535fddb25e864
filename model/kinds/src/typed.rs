//! What typed kinds have in common: how they carry `apiVersion` and `kind`, and how a schema is made of them.

use lab_object::{Json, Resource, Schema};
use schemars::{JsonSchema, SchemaGenerator, generate::SchemaSettings, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use std::{borrow::Cow, fmt, marker::PhantomData};

/// The field `apiVersion` of a typed object. Takes no space: what it says follows from the type.
pub struct ApiVersion<T>(PhantomData<fn() -> T>);

/// The field `kind` of a typed object. Takes no space: what it says follows from the type.
pub struct KindName<T>(PhantomData<fn() -> T>);

macro_rules! said_by_the_type {
    ($name:ident, $value:expr) => {
        impl<T> Clone for $name<T> {
            fn clone(&self) -> Self {
                *self
            }
        }
        impl<T> Copy for $name<T> {}
        impl<T> Default for $name<T> {
            fn default() -> Self {
                Self(PhantomData)
            }
        }
        impl<T> PartialEq for $name<T> {
            fn eq(&self, _: &Self) -> bool {
                true
            }
        }
        impl<T: Resource> fmt::Debug for $name<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", $value)
            }
        }
        impl<T: Resource> Serialize for $name<T> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(&$value)
            }
        }
        impl<'de, T: Resource> Deserialize<'de> for $name<T> {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let found = Cow::<'de, str>::deserialize(deserializer)?;
                let expected = $value;
                if found == expected {
                    Ok(Self(PhantomData))
                } else {
                    Err(D::Error::custom(format!("{found:?} where {expected:?} is expected")))
                }
            }
        }
        impl<T: Resource> JsonSchema for $name<T> {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }
            fn inline_schema() -> bool {
                true
            }
            fn json_schema(_: &mut SchemaGenerator) -> schemars::Schema {
                json_schema!({"type": "string"})
            }
        }
    };
}
said_by_the_type!(ApiVersion, T::api_version());
said_by_the_type!(KindName, T::KIND);

/// Says of a struct with a field `metadata` which resource it is.
macro_rules! resource {
    ($type:ident, $group:literal, $version:literal, $plural:literal, namespaced: $namespaced:literal) => {
        impl lab_object::Resource for $type {
            const GROUP: &'static str = $group;
            const VERSION: &'static str = $version;
            const KIND: &'static str = stringify!($type);
            const PLURAL: &'static str = $plural;
            const NAMESPACED: bool = $namespaced;

            fn metadata(&self) -> &lab_object::ObjectMeta {
                &self.metadata
            }
            fn metadata_mut(&mut self) -> &mut lab_object::ObjectMeta {
                &mut self.metadata
            }
        }
    };
}
pub(crate) use resource;

/// Whether a value says nothing, so that objects stay small when it is left out.
pub(crate) fn unset<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// The schema of a type, from its fields and their doc comments.
///
/// # Panics
/// When the type cannot be described by a structural schema. Types are known when this is compiled, and a test looks at
/// the schema of every one.
pub fn schema_of<T: JsonSchema>() -> Schema {
    let settings = SchemaSettings::draft2020_12().with(|s| {
        s.inline_subschemas = true;
        s.meta_schema = None;
    });
    let mut generated = settings.into_generator().into_root_schema_for::<T>().to_value();
    unwrap_descriptions(&mut generated);
    let mut schema = Schema::from_json(&generated).expect("every type of ours has a structural schema");
    absent_rather_than_null(&mut schema);
    // Every object has these; they are no defaults.
    for name in ["apiVersion", "kind", "metadata"] {
        schema.properties.get_mut(name).into_iter().for_each(|property| property.default = None);
    }
    schema
}

/// Doc comments are broken into lines for this source; whoever shows them breaks lines anew. Paragraphs stay.
fn unwrap_descriptions(schema: &mut Json) {
    match schema {
        Json::Object(keywords) => {
            for (name, value) in keywords {
                match value {
                    Json::String(text) if name == "description" => {
                        *text =
                            text.split("\n\n").map(|p| p.replace('\n', " ")).collect::<Vec<_>>().join("\n\n");
                    }
                    other => unwrap_descriptions(other),
                }
            }
        }
        Json::Array(parts) => parts.iter_mut().for_each(unwrap_descriptions),
        _ => {}
    }
}

/// `Option` fields are left out when they have no value: a `null` sent for one is taken as absent, as Kubernetes does
/// with its own kinds.
fn absent_rather_than_null(schema: &mut Schema) {
    schema.nullable = false;
    schema.properties.values_mut().for_each(absent_rather_than_null);
    let nested = [&mut schema.items, &mut schema.additional_properties];
    nested.into_iter().flatten().for_each(|schema| absent_rather_than_null(schema));
}

#[cfg(test)]
pub(crate) mod tests {
    use crate::{Define, Kind};
    use lab_object::schema::{self, Type};
    use lab_object::{Json, Schema};
    use proptest::prelude::*;
    use proptest::test_runner::{Config, TestRunner};
    use std::cell::Cell;

    /// An example is read and written again without loss, says what it is, and stays what it is.
    pub(crate) fn survives<T: Define + PartialEq>() {
        let example = serde_json::to_value(T::example()).expect("its keys are strings");
        assert_eq!(example["apiVersion"], *T::api_version());
        assert_eq!(example["kind"], T::KIND);
        let read = |value: &Json| serde_json::from_value::<T>(value.clone()).map_err(|e| e.to_string());
        assert!(read(&example).as_ref() == Ok(&T::example()), "{example:#}");
        let mut bare = example.clone();
        let fields = bare.as_object_mut().expect("an object");
        assert!(fields.remove("apiVersion").is_some() && fields.remove("kind").is_some());
        let again = read(&bare).and_then(|typed| serde_json::to_value(typed).map_err(|e| e.to_string()));
        assert_eq!(again, Ok(example.clone()));
        let mut other = example;
        other["kind"] = "Other".into();
        assert!(read(&other).is_err_and(|e| e.contains("Other") && e.contains(T::KIND)));
    }

    /// Whatever is admitted can be read by those who work with the typed form, and what they write is admitted again.
    pub(crate) fn reads_what_is_admitted<T: Define>() {
        let kind = T::define();
        let example = serde_json::to_value(T::example()).expect("its keys are strings");
        let config = Config { cases: 64, failure_persistence: None, ..Config::default() };
        let admitted = Cell::new(0);
        let outcome = TestRunner::new(config).run(&values(&kind.schema, false), |change| {
            let mut object = example.clone();
            json_patch::merge(&mut object, &change);
            object["apiVersion"] = kind.api_version().into();
            object["kind"] = T::KIND.into();
            schema::default(&kind.schema, &mut object);
            if !is_admitted(&kind, &object) {
                return Ok(());
            }
            admitted.set(admitted.get() + 1);
            let fail = |e: serde_json::Error| TestCaseError::fail(format!("{e} in {object:#}"));
            let typed: T = serde_json::from_value(object.clone()).map_err(fail)?;
            let mut again = serde_json::to_value(typed).map_err(fail)?;
            // Kubernetes leaves out empty texts even where elements are told apart by them.
            prop_assert!(kind.built_in || is_admitted(&kind, &again), "{again:#}");
            prop_assert_eq!(schema::prune(&kind.schema, &mut again), Vec::<String>::new());
            Ok(())
        });
        outcome.unwrap_or_else(|e| panic!("{kind:?}: {e}"));
        assert!(admitted.get() > 0, "{kind:?}: nothing was admitted");
    }

    fn is_admitted(kind: &Kind, object: &Json) -> bool {
        schema::validate(&kind.schema, object).is_empty()
            && kind.validate.is_none_or(|validate| validate(object, None).is_empty())
    }

    /// Texts that some field takes, and some that only look like it.
    const TEXTS: [&str; 24] = [
        "",
        "a",
        "Zoë",
        "*:*:*:*",
        "read:*:dev:a.b",
        "10.20.0.77",
        "10.0.0.0/8",
        "fd00::1",
        "fd00:0:0::/48",
        "52:54:00:ab:cd:ef",
        "52-54-00-AB-CD-EF",
        "33Gi",
        "9999999999999999999",
        "8388608Ti",
        "sha256:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff",
        "4c4c4544-0042-3510-8054-b4c04f564433",
        "2026-11-21T12:00:00Z",
        "2026-11-21T13:00:00.123456789+01:00",
        "-009999-01-01T00:00:00Z",
        "https://mirror.lab.example/a",
        "file:///srv/a",
        "/var/lib/a",
        "YQ==",
        "quiet",
    ];

    /// Values that a schema takes, some of them at its edges. What is not `fresh` is merged into a value that has all it
    /// must have.
    fn values(schema: &Schema, fresh: bool) -> BoxedStrategy<Json> {
        let takes = |value: &Json| schema::validate(schema, value).is_empty();
        let leaves = |values: Vec<Json>| {
            let mut taken: Vec<Json> = values.into_iter().filter(|v| takes(v)).collect();
            taken.extend(schema.allowed.iter().cloned());
            if taken.is_empty() { Just(Json::Null).boxed() } else { proptest::sample::select(taken).boxed() }
        };
        match schema.kind {
            Some(Type::Object) if !schema.properties.is_empty() => {
                let fields: Vec<_> = schema
                    .properties
                    .iter()
                    .map(|(name, property)| {
                        let odds = if fresh && schema.required.contains(name) { 0.999 } else { 0.3 };
                        (Just(name.clone()), proptest::option::weighted(odds, values(property, fresh)))
                    })
                    .collect();
                let some = |fields: Vec<(String, Option<Json>)>| {
                    fields.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
                };
                fields.prop_map(some).prop_map(Json::Object).boxed()
            }
            Some(Type::Object) => match &schema.additional_properties {
                Some(each) => proptest::collection::btree_map("[a-z.]{1,4}", values(each, true), 0..3)
                    .prop_map(|map| Json::Object(map.into_iter().collect()))
                    .boxed(),
                None => Just(serde_json::json!({})).boxed(),
            },
            Some(Type::Array) => {
                let items =
                    schema.items.as_deref().map_or(Just(Json::Null).boxed(), |items| values(items, true));
                proptest::collection::vec(items, 0..3).prop_map(Json::Array).boxed()
            }
            Some(Type::Boolean) => leaves(vec![true.into(), false.into()]),
            Some(Type::Integer | Type::Number) => leaves(
                [-1, 0, 1, 77, 4094, 65536, i64::from(i32::MAX), i64::MIN, i64::MAX].map(Json::from).to_vec(),
            ),
            Some(Type::String) => leaves(TEXTS.map(Json::from).to_vec()),
            None => Just(Json::Null).boxed(),
        }
    }
}
