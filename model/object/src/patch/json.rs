//! JSON patches (RFC 6902).

use super::PatchError;
use crate::Json;
use json_patch::{PatchErrorKind, PatchOperation};

/// How many operations one patch may have; Kubernetes' own limit.
pub const MAX_OPERATIONS: usize = 10_000;
/// How many bytes the `copy` operations of one patch may make together; Kubernetes' own limit. Without one, a few
/// lines could double an object until memory ends.
pub const MAX_COPIED: usize = 3 * 1024 * 1024;

/// How deep the values that a patch moves about may come to lie. `move` and `copy` nest without end otherwise, and
/// what is nested too deep can be written but not read again.
pub const MAX_DEPTH: usize = 100;

/// Applies a JSON patch: all of it or, where it fails, nothing.
pub fn json(target: &mut Json, patch: &Json) -> Result<(), PatchError> {
    let Json::Array(operations) = patch else { return Err(PatchError::NotOperations) };
    if operations.len() > MAX_OPERATIONS {
        return Err(PatchError::TooManyOperations { count: operations.len(), limit: MAX_OPERATIONS });
    }
    let parsed = operations.iter().enumerate().map(|(index, operation)| parse(index, operation));
    let parsed = parsed.collect::<Result<Vec<_>, _>>()?;
    let mut changed = target.clone();
    let mut copied = 0;
    for (index, operation) in parsed.into_iter().enumerate() {
        let added = match &operation {
            PatchOperation::Add(add) => Some(&add.value),
            PatchOperation::Replace(replace) => Some(&replace.value),
            PatchOperation::Move(moved) => changed.pointer(moved.from.as_str()),
            PatchOperation::Copy(copy) => changed.pointer(copy.from.as_str()),
            PatchOperation::Remove(_) | PatchOperation::Test(_) => None,
        };
        if added.is_some_and(|value| operation.path().count() + depth(value) > MAX_DEPTH) {
            return Err(refused(
                index,
                &operation,
                format!("the object would become deeper than {MAX_DEPTH} levels"),
            ));
        }
        if let (PatchOperation::Copy(_), Some(value)) = (&operation, added) {
            copied += weight(value);
            if copied > MAX_COPIED {
                let why = format!("the patch would copy more than {MAX_COPIED} bytes");
                return Err(refused(index, &operation, why));
            }
        }
        apply(&mut changed, index, operation)?;
    }
    *target = changed;
    Ok(())
}

fn parse(index: usize, operation: &Json) -> Result<PatchOperation, PatchError> {
    let malformed = |why: String| PatchError::MalformedOperation { index, why };
    serde_json::from_value(operation.clone()).map_err(|error| malformed(error.to_string()))
}

fn apply(target: &mut Json, index: usize, operation: PatchOperation) -> Result<(), PatchError> {
    let operation = [operation];
    let failed = match json_patch::patch_unsafe(target, &operation) {
        Ok(()) => return Ok(()),
        Err(error) => error.kind,
    };
    let [operation] = operation;
    let why = match (&failed, &operation) {
        (_, PatchOperation::Test(test)) => match target.pointer(test.path.as_str()) {
            Some(found) => format!("the value there is {}, not {}", shown(found), shown(&test.value)),
            None => format!("there is no value there; it should be {}", shown(&test.value)),
        },
        (PatchErrorKind::InvalidFromPointer, PatchOperation::Move(m)) => nothing_at(m.from.as_str()),
        (PatchErrorKind::InvalidFromPointer, PatchOperation::Copy(c)) => nothing_at(c.from.as_str()),
        (
            PatchErrorKind::InvalidPointer,
            PatchOperation::Add(_) | PatchOperation::Move(_) | PatchOperation::Copy(_),
        ) => "there is no object or list to put it into, or the list is shorter".into(),
        (PatchErrorKind::InvalidPointer, _) => "there is no such value".into(),
        (other, _) => other.to_string(),
    };
    Err(refused(index, &operation, why))
}

fn nothing_at(from: &str) -> String {
    format!("there is no value at {from:?} to take")
}

fn refused(index: usize, operation: &PatchOperation, why: String) -> PatchError {
    let name = match operation {
        PatchOperation::Add(_) => "add",
        PatchOperation::Remove(_) => "remove",
        PatchOperation::Replace(_) => "replace",
        PatchOperation::Move(_) => "move",
        PatchOperation::Copy(_) => "copy",
        PatchOperation::Test(_) => "test",
    };
    PatchError::Operation { index, operation: name, path: operation.path().to_string(), why }
}

/// A value for a message: never a whole document.
fn shown(value: &Json) -> String {
    match value {
        Json::Array(list) => format!("a list of {}", list.len()),
        Json::Object(fields) => format!("an object of {}", fields.len()),
        scalar => scalar.to_string(),
    }
}

/// About how many bytes a value takes.
fn weight(value: &Json) -> usize {
    match value {
        Json::Null | Json::Bool(_) | Json::Number(_) => 8,
        Json::String(text) => text.len() + 2,
        Json::Array(list) => 2 + list.iter().map(|v| weight(v) + 1).sum::<usize>(),
        Json::Object(fields) => 2 + fields.iter().map(|(k, v)| k.len() + 4 + weight(v)).sum::<usize>(),
    }
}

/// How many lists and objects lie in one another.
fn depth(value: &Json) -> usize {
    match value {
        Json::Array(list) => 1 + list.iter().map(depth).max().unwrap_or(0),
        Json::Object(fields) => 1 + fields.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::patch::tests::any_json;
    use proptest::prelude::*;
    use serde_json::json;

    /// `expected` is the changed object, or the error's text.
    fn check(target: Json, patch: Json, expected: Result<Json, &str>) {
        let mut found = target.clone();
        match json(&mut found, &patch) {
            Ok(()) => assert_eq!(Ok(found), expected, "{target} with {patch}"),
            Err(error) => {
                assert_eq!(
                    Err(&*error.to_string()),
                    expected.as_ref().map_err(|e| *e),
                    "{target} with {patch}"
                );
                assert_eq!(found, target, "a failed patch changed its target");
            }
        }
    }

    #[test]
    fn operations() {
        let add = |path: &str, value: Json| json!([{"op": "add", "path": path, "value": value}]);
        check(json!({}), json!([]), Ok(json!({})));
        check(json!({"a": 1}), add("/b", json!(2)), Ok(json!({"a": 1, "b": 2})));
        check(json!({"a": [1, 3]}), add("/a/1", json!(2)), Ok(json!({"a": [1, 2, 3]})));
        check(json!({"a": [1]}), add("/a/-", json!(2)), Ok(json!({"a": [1, 2]})));
        check(json!({}), add("/a~1b~0", json!(1)), Ok(json!({"a/b~": 1})));
        check(json!({"a": 1}), json!([{"op": "remove", "path": "/a"}]), Ok(json!({})));
        check(
            json!({"spec": {"replicas": 4}}),
            json!([{"op": "replace", "path": "/spec/replicas", "value": 5}]),
            Ok(json!({"spec": {"replicas": 5}})),
        );
        check(json!({"a": 1}), json!([{"op": "move", "from": "/a", "path": "/b"}]), Ok(json!({"b": 1})));
        check(
            json!({"a": 1}),
            json!([{"op": "copy", "from": "/a", "path": "/b"}]),
            Ok(json!({"a": 1, "b": 1})),
        );
        check(json!({"a": 1}), json!([{"op": "test", "path": "/a", "value": 1}]), Ok(json!({"a": 1})));
    }

    #[test]
    fn what_is_refused_says_where_and_why() {
        let of = |target: Json, patch: Json, expected: &str| check(target, patch, Err(expected));
        of(json!({}), json!({}), "a JSON patch must be a list of operations");
        of(
            json!({}),
            json!([{"op": "remove", "path": "/a"}]),
            "operation 0 of the JSON patch (remove \"/a\") cannot be applied: there is no such value",
        );
        of(
            json!({"a": 4}),
            json!([{"op": "add", "path": "/b", "value": 1}, {"op": "test", "path": "/a", "value": 5}]),
            "operation 1 of the JSON patch (test \"/a\") cannot be applied: the value there is 4, not 5",
        );
        of(
            json!({}),
            json!([{"op": "test", "path": "/a", "value": {}}]),
            "operation 0 of the JSON patch (test \"/a\") cannot be applied: there is no value there; it should be an \
             object of 0",
        );
        of(
            json!({}),
            json!([{"op": "add", "path": "/a/b", "value": 1}]),
            "operation 0 of the JSON patch (add \"/a/b\") cannot be applied: there is no object or list to put it \
             into, or the list is shorter",
        );
        of(
            json!({}),
            json!([{"op": "copy", "from": "/x", "path": "/b"}]),
            "operation 0 of the JSON patch (copy \"/b\") cannot be applied: there is no value at \"/x\" to take",
        );
        of(
            json!({}),
            json!([{"op": "add", "path": "/a"}]),
            "operation 0 of the JSON patch is malformed: missing field `value`",
        );
        let many = Json::from(vec![json!({"op": "test", "path": "", "value": {}}); MAX_OPERATIONS + 1]);
        of(json!({}), many, "The allowed maximum operations in a JSON patch is 10000, got 10001");
    }

    #[test]
    fn copies_cannot_grow_without_end() {
        let doubling = (0..64).map(|i| json!({"op": "copy", "from": "", "path": format!("/{i}")})).collect();
        let mut target = json!({"x": "y".repeat(1024)});
        let error = json(&mut target, &doubling).unwrap_err();
        assert!(error.to_string().contains("would copy more than 3145728 bytes"), "{error}");
    }

    #[test]
    fn objects_cannot_nest_without_end() {
        let nesting = (0..4000).flat_map(|i| {
            let (inner, outer) = (format!("/{i}"), format!("/{}", i + 1));
            let add = json!({"op": "add", "path": outer, "value": {}});
            [add, json!({"op": "move", "from": inner, "path": outer + "/x"})]
        });
        let mut target = json!({"0": {}});
        let error = json(&mut target, &nesting.collect()).unwrap_err();
        assert!(error.to_string().ends_with("the object would become deeper than 100 levels"), "{error}");
    }

    proptest! {
        #[test]
        fn a_diff_leads_from_one_to_the_other(from in any_json(true), to in any_json(true)) {
            let patch = serde_json::to_value(json_patch::diff(&from, &to)).unwrap();
            let mut found = from;
            prop_assert_eq!(json(&mut found, &patch), Ok(()));
            prop_assert_eq!(found, to);
        }

        #[test]
        fn any_list_of_operations_is_judged(
            target in any_json(true),
            operations in proptest::collection::vec(
                ("add|remove|replace|move|copy|test", "(/[abc01-]{0,2}){0,3}", "(/[abc01-]{0,2}){0,3}", any_json(true)),
                0..5,
            ),
        ) {
            let patch: Json = operations
                .into_iter()
                .map(|(op, path, from, value)| json!({"op": op, "path": path, "from": from, "value": value}))
                .collect();
            let mut found = target.clone();
            if json(&mut found, &patch).is_err() {
                prop_assert_eq!(found, target);
            }
        }
    }
}
