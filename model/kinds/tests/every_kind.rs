//! What holds for every registered kind, so that a further one is only its file.

use lab_kinds::{Cell, ColumnType, Kind, Scope, registry};
use lab_object::schema::{self, ListType, Type};
use lab_object::{Json, Schema, path::Path};
use std::collections::BTreeMap;

fn example(kind: &Kind) -> Json {
    kind.example.map(|example| example()).unwrap_or_else(|| panic!("{kind:?} shows no example"))
}

/// Every schema within, with its path.
fn each_schema<'a>(schema: &'a Schema, path: &str, visit: &mut impl FnMut(&str, &'a Schema)) {
    visit(path, schema);
    for (name, property) in &schema.properties {
        each_schema(property, &format!("{path}.{name}"), visit);
    }
    schema.items.iter().for_each(|items| each_schema(items, &format!("{path}[]"), visit));
    schema.additional_properties.iter().for_each(|values| each_schema(values, &format!("{path}[*]"), visit));
}

/// The schema at a path such as `status.nics.network`, through lists; `None` when there is no such field.
fn at_path<'a>(schema: &'a Schema, path: &str) -> Option<&'a Schema> {
    let through = |schema: &'a Schema| schema.items.as_deref().unwrap_or(schema);
    path.split('.').try_fold(schema, |schema, name| through(schema).properties.get(name)).map(through)
}

#[test]
fn every_field_is_explained() {
    for kind in registry().kinds() {
        assert!(!kind.schema.description.is_empty(), "{kind:?} has no description");
        each_schema(&kind.schema, "", &mut |path, schema| {
            for (name, property) in &schema.properties {
                assert!(property.description.len() > 3, "{kind:?}: {path}.{name} has no description");
            }
        });
    }
}

#[test]
fn every_schema_can_be_applied_to() {
    for kind in registry().kinds() {
        each_schema(&kind.schema, "", &mut |path, schema| {
            assert!(schema.kind.is_some() || schema.preserve_unknown_fields, "{kind:?}: {path} has no type");
            assert!(!schema.nullable, "{kind:?}: {path} may be null");
            if schema.kind == Some(Type::Array) {
                assert!(schema.list_type.is_some(), "{kind:?}: {path} does not say how it is merged");
            }
            let items = schema.items.as_deref();
            let keys = schema.list_map_keys.iter().chain(&schema.patch_merge_key);
            for key in keys {
                let known = items.is_some_and(|items| items.properties.contains_key(key));
                assert!(known, "{kind:?}: {path} is merged by {key}, which its elements do not have");
            }
            if schema.list_type == Some(ListType::Map) && !kind.built_in {
                let keyed = |key| {
                    items.is_some_and(|items: &Schema| {
                        items.required.contains(key) || items.properties[key].default.is_some()
                    })
                };
                let loose: Vec<_> = schema.list_map_keys.iter().filter(|key| !keyed(key)).collect();
                assert!(
                    loose.is_empty(),
                    "{kind:?}: {path}: elements need not have {loose:?}, by which they are merged"
                );
            }
        });
    }
}

#[test]
fn examples_are_valid_and_keep_their_defaults() {
    for kind in registry().kinds() {
        let mut object = example(kind);
        assert_eq!(schema::prune(&kind.schema, &mut object), [""; 0], "{kind:?}");
        assert_eq!(object, example(kind), "{kind:?}");
        schema::default(&kind.schema, &mut object);
        kind.default.into_iter().for_each(|default| default(&mut object));
        let errors: Vec<_> =
            schema::validate(&kind.schema, &object).iter().map(ToString::to_string).collect();
        assert_eq!(errors, [""; 0], "{kind:?}");
        for old in [None, Some(&object)] {
            let errors = kind.validate.map(|validate| validate(&object, old)).unwrap_or_default();
            assert_eq!(errors, [], "{kind:?}");
        }
        // What is written is what would be read: defaults do not move.
        let once = object.clone();
        schema::default(&kind.schema, &mut object);
        kind.default.into_iter().for_each(|default| default(&mut object));
        assert_eq!(object, once, "{kind:?}");
    }
}

#[test]
fn every_default_is_a_valid_value() {
    for kind in registry().kinds() {
        each_schema(&kind.schema, "", &mut |path, schema| {
            if let Some(default) = &schema.default {
                let mut value = default.clone();
                schema::default(schema, &mut value);
                assert_eq!(schema::validate(schema, &value), [], "{kind:?}: default of {path}");
            }
        });
    }
}

#[test]
fn columns_and_selectors_name_fields_that_exist() {
    for kind in registry().kinds() {
        for column in kind.table() {
            assert!(column.description.ends_with('.'), "{kind:?}: column {} is not explained", column.name);
            let Cell::Path(path) = &column.cell else { continue };
            let field = at_path(&kind.schema, path).unwrap_or_else(|| panic!("{kind:?}: no field {path}"));
            Path::parse(path).unwrap_or_else(|e| panic!("{kind:?}: {e}"));
            let expected = match (field.kind, field.format.as_deref()) {
                (Some(Type::Integer), _) => ColumnType::Integer,
                (Some(Type::Boolean), _) => ColumnType::Boolean,
                (Some(Type::String), Some("date-time")) if column.kind == ColumnType::Date => {
                    ColumnType::Date
                }
                (Some(Type::String), _) => ColumnType::String,
                other => panic!("{kind:?}: column {} shows {other:?}", column.name),
            };
            assert_eq!(column.kind, expected, "{kind:?}: column {}", column.name);
        }
        for field in &kind.selectable {
            let found =
                at_path(&kind.schema, &field.0).unwrap_or_else(|| panic!("{kind:?}: no field {}", field.0));
            let scalar = !matches!(found.kind, Some(Type::Object | Type::Array) | None);
            assert!(scalar, "{kind:?}: {} is no single value", field.0);
        }
    }
}

#[test]
fn cells_stand_the_test_of_odd_objects() {
    for kind in registry().kinds() {
        for object in
            [Json::Null, serde_json::json!({}), serde_json::json!({"spec": [], "status": "x", "data": 5})]
        {
            for column in kind.table() {
                if let Cell::With(cell) = column.cell {
                    let value = cell(&object);
                    assert!(!value.is_object() && !value.is_array(), "{kind:?}: {} of {object}", column.name);
                }
            }
            kind.aliases.into_iter().for_each(|aliases| assert_eq!(aliases(&object), [""; 0], "{kind:?}"));
            kind.validate.into_iter().for_each(|validate| drop(validate(&object, Some(&object))));
            kind.default.into_iter().for_each(|default| default(&mut object.clone()));
        }
    }
}

#[test]
fn names_are_unique() {
    let mut seen = BTreeMap::new();
    for kind in registry().kinds() {
        let mut names = vec![kind.plural.clone(), kind.singular.clone()];
        names.extend(kind.short_names.iter().cloned());
        for name in names {
            assert!(name.bytes().all(|b| b.is_ascii_lowercase()), "{kind:?}: {name}");
            if let Some(other) = seen.insert(name.clone(), format!("{kind:?}")) {
                panic!("{name} names {other} and {kind:?}");
            }
        }
        assert_eq!(kind.singular, kind.kind.to_lowercase());
    }
}

#[test]
fn what_kubernetes_shows_of_its_own_kinds() {
    let registry = registry();
    let check = |kind: &str, expected: &[&str], wide: &[&str]| {
        let kind = registry.by_name(kind).expect("it is registered");
        let names = |wide: bool| {
            let table = kind.table().into_iter();
            table.filter(|c| wide || c.priority == 0).map(|c| c.name.into_owned()).collect::<Vec<_>>()
        };
        assert_eq!(names(false), expected);
        assert_eq!(names(true), if wide.is_empty() { expected } else { wide });
    };
    check("namespaces", &["Name", "Status", "Age"], &[]);
    check("configmaps", &["Name", "Data", "Age"], &[]);
    check("secrets", &["Name", "Type", "Data", "Age"], &[]);
    check("serviceaccounts", &["Name", "Secrets", "Age"], &[]);
    check("leases", &["Name", "Holder", "Age"], &[]);
    check(
        "events",
        &["Last Seen", "Type", "Reason", "Object", "Message"],
        &[
            "Last Seen",
            "Type",
            "Reason",
            "Object",
            "Subobject",
            "Source",
            "Message",
            "First Seen",
            "Count",
            "Name",
        ],
    );
}

#[test]
fn ours_have_no_namespace_and_a_status_only_where_something_reports() {
    for kind in registry().kinds().iter().filter(|k| k.group.ends_with(".lab")) {
        assert_eq!(kind.scope, Scope::Cluster, "{kind:?}");
        assert_eq!(kind.has_status(), kind.schema.properties.contains_key("status"), "{kind:?}");
    }
}
