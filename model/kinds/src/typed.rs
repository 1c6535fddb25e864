//! What typed kinds have in common: how they carry `apiVersion` and `kind`, and how a schema is made of them.

use lab_object::{Resource, Schema};
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
    let generated = settings.into_generator().into_root_schema_for::<T>().to_value();
    let mut schema = Schema::from_json(&generated).expect("every type of ours has a structural schema");
    absent_rather_than_null(&mut schema);
    // Every object has these; they are no defaults.
    for name in ["apiVersion", "kind", "metadata"] {
        schema.properties.get_mut(name).into_iter().for_each(|property| property.default = None);
    }
    schema
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
    use crate::Define;
    use lab_object::Json;

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
}
