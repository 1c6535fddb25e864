use super::*;
use proptest::{collection::vec, prelude::*};
use serde_json::json;

/// As much of a Deployment's and a Node's schema as the cases need.
fn schema() -> Schema {
    let text = json!({"type": "string"});
    let by = |key: &str, item: Json| {
        json!({"type": "array", "items": item, "x-kubernetes-patch-strategy": "merge",
            "x-kubernetes-patch-merge-key": key})
    };
    let env = json!({"type": "object", "properties": {"name": text, "value": text}});
    let port = json!({"type": "object", "properties": {"containerPort": {"type": "integer"}, "name": text}});
    let container = json!({"type": "object", "properties": {
        "name": text, "image": text, "env": by("name", env), "ports": by("containerPort", port),
        "command": {"type": "array", "items": text}}});
    let mut volumes = by("name", json!({"type": "object", "additionalProperties": {"type": "object"}}));
    volumes["x-kubernetes-patch-strategy"] = json!("merge,retainKeys");
    let schema = json!({"type": "object", "properties": {
        "metadata": {"type": "object", "properties": {
            "labels": {"type": "object", "additionalProperties": text},
            "finalizers": {"type": "array", "items": text, "x-kubernetes-patch-strategy": "merge"}}},
        "spec": {"type": "object", "properties": {
            "replicas": {"type": "integer"},
            "containers": by("name", container),
            "volumes": volumes,
            "strategy": {"type": "object", "x-kubernetes-patch-strategy": "retainKeys",
                "properties": {"type": text, "rollingUpdate": {"type": "object"}}},
            "whole": {"type": "object", "x-kubernetes-patch-strategy": "replace"},
            "taints": {"type": "array", "items": {"type": "object", "properties": {"key": text}}},
            "keyless": {"type": "array", "items": {"type": "object"}, "x-kubernetes-patch-strategy": "merge"}}}}});
    serde_json::from_value(schema).unwrap()
}

/// `expected` is what becomes of the target, or the error's text. A second application must change nothing.
#[track_caller]
fn check(target: Json, patch: Json, expected: Result<Json, &str>) {
    let mut found = target.clone();
    match strategic(&schema(), &mut found, &patch) {
        Ok(()) => {
            assert_eq!(Ok(&found), expected.as_ref(), "{target} with {patch}");
            strategic(&schema(), &mut found, &patch).unwrap();
            assert_eq!(Ok(found), expected, "{target} with {patch}, twice");
        }
        Err(error) => {
            assert_eq!(expected, Err(&*error.to_string()), "{target} with {patch}");
            assert_eq!(found, target, "a failed patch changed its target");
        }
    }
}

#[track_caller]
fn spec(target: Json, patch: Json, expected: Json) {
    check(json!({"spec": target}), json!({"spec": patch}), Ok(json!({"spec": expected})));
}

#[test]
fn without_lists_it_is_a_merge_patch() {
    check(json!({}), json!({}), Ok(json!({})));
    spec(json!({"replicas": 1, "x": 2}), json!({"replicas": 4}), json!({"replicas": 4, "x": 2}));
    spec(json!({"replicas": 1}), json!({"replicas": null}), json!({}));
    spec(json!({}), json!({"replicas": null, "a": {"b": null, "c": 1}}), json!({"a": {"c": 1}}));
    spec(json!({"replicas": {"odd": 1}}), json!({"replicas": 1}), json!({"replicas": 1}));
    spec(json!({"strategy": 1}), json!({"strategy": {"type": "x"}}), json!({"strategy": {"type": "x"}}));
    check(
        json!({"unknown": {"a": 1, "l": [1, 2]}}),
        json!({"unknown": {"b": 2, "l": [{"$patch": "replace"}, 3]}}),
        Ok(json!({"unknown": {"a": 1, "b": 2, "l": [{"$patch": "replace"}, 3]}})),
    );
}

#[test]
fn what_kubectl_sends() {
    // edit and set image.
    spec(
        json!({"containers": [{"name": "c", "image": "nginx", "env": [{"name": "A", "value": "1"}]}]}),
        json!({"$setElementOrder/containers": [{"name": "c"}], "containers": [{"image": "nginx2", "name": "c"}]}),
        json!({"containers": [{"name": "c", "image": "nginx2", "env": [{"name": "A", "value": "1"}]}]}),
    );
    // taint: the list has no strategy here.
    spec(
        json!({"taints": [{"key": "old"}]}),
        json!({"taints": [{"effect": "NoSchedule", "key": "a", "value": "b"}]}),
        json!({"taints": [{"effect": "NoSchedule", "key": "a", "value": "b"}]}),
    );
    // apply with an element removed and one added.
    spec(
        json!({"containers": [{"name": "a", "image": "1"}, {"name": "b"}, {"name": "server-made"}]}),
        json!({"$setElementOrder/containers": [{"name": "c"}, {"name": "a"}],
            "containers": [{"name": "c", "image": "3"}, {"name": "b", "$patch": "delete"}]}),
        json!({"containers": [{"name": "server-made"}, {"name": "c", "image": "3"}, {"name": "a", "image": "1"}]}),
    );
    // rollout restart.
    check(
        json!({"metadata": {"labels": {"a": "b"}}}),
        json!({"metadata": {"annotations": {"kubectl.kubernetes.io/restartedAt": "now"}}}),
        Ok(
            json!({"metadata": {"labels": {"a": "b"}, "annotations": {"kubectl.kubernetes.io/restartedAt": "now"}}}),
        ),
    );
}

#[test]
fn lists_by_key() {
    let list = |l: Json| json!({"containers": l});
    // New elements come first, as with Kubernetes.
    spec(
        list(json!([{"name": "a"}])),
        list(json!([{"name": "b"}])),
        list(json!([{"name": "b"}, {"name": "a"}])),
    );
    spec(
        list(json!([{"name": "a", "image": "1"}, {"name": "b"}])),
        list(json!([{"name": "b", "image": "2"}])),
        list(json!([{"name": "a", "image": "1"}, {"name": "b", "image": "2"}])),
    );
    spec(
        list(json!([{"name": "a"}, {"name": "b"}])),
        list(json!([{"name": "a", "$patch": "delete"}])),
        list(json!([{"name": "b"}])),
    );
    spec(
        list(json!([{"name": "a"}, {"name": "b"}])),
        list(json!([{"$patch": "replace"}, {"name": "c", "image": null}])),
        list(json!([{"name": "c"}])),
    );
    spec(
        list(json!([{"name": "a", "image": "1"}, {"name": "b", "image": "2"}])),
        list(json!([{"name": "a", "$patch": "replace", "command": ["x"]}])),
        list(json!([{"name": "a", "command": ["x"]}, {"name": "b", "image": "2"}])),
    );
    spec(
        list(json!([{"name": "a", "image": "1"}])),
        list(json!([{"name": "a", "$patch": "merge", "command": ["x"]}])),
        list(json!([{"name": "a", "image": "1", "command": ["x"]}])),
    );
    spec(list(json!([{"name": "a"}])), list(json!([])), list(json!([{"name": "a"}])));
    spec(list(json!([{"name": "a"}])), list(json!(null)), json!({}));
    spec(
        json!({}),
        list(json!([{"name": "x", "$patch": "delete"}, {"name": "y"}])),
        list(json!([{"name": "y"}])),
    );
    // Nested lists, with keys that are numbers.
    spec(
        list(json!([{"name": "a", "ports": [{"containerPort": 80}, {"containerPort": 81}]}])),
        list(json!([{"name": "a", "ports": [{"containerPort": 81, "name": "x"}]}])),
        list(json!([{"name": "a", "ports": [{"containerPort": 80}, {"containerPort": 81, "name": "x"}]}])),
    );
}

#[test]
fn directives_act_in_what_is_new() {
    spec(
        json!({}),
        json!({"$setElementOrder/containers": [{"name": "a"}], "containers": [{"name": "a",
            "$setElementOrder/env": [{"name": "E"}], "env": [{"name": "E", "value": null}]}]}),
        json!({"containers": [{"name": "a", "env": [{"name": "E"}]}]}),
    );
    check(
        json!({}),
        json!({"metadata": {"$deleteFromPrimitiveList/finalizers": ["a"]}}),
        Ok(json!({"metadata": {}})),
    );
    check(json!({}), json!({"metadata": {"$patch": "delete"}}), Ok(json!({})));
}

#[test]
fn order_of_elements() {
    let named = |names: &str| names.chars().map(|c| json!({"name": c.to_string()})).collect::<Json>();
    for (target, patch, order, expected) in [
        ("abc", "", "cba", "cba"),
        ("abc", "", "ca", "bca"),
        ("abcd", "", "db", "acdb"),
        ("abc", "d", "dabc", "dabc"),
        ("abc", "d", "abdc", "abdc"),
        ("axb", "", "ba", "xba"),
        ("ab", "", "zab", "ab"),
        ("ab", "c", "", "ab c"),
    ] {
        let mut change = json!({"$setElementOrder/containers": named(order), "containers": named(patch)});
        if patch.is_empty() {
            change.as_object_mut().unwrap().remove("containers");
        }
        spec(
            json!({"containers": named(target)}),
            change,
            json!({"containers": named(&expected.replace(' ', ""))}),
        );
    }
    // A new element where another was deleted stands at the end of the old order, further ones at the beginning.
    for (target, new, deleted, order, expected) in [
        ("dcb", "a", "b", "a", "dca"),
        ("dcb", "a", "d", "a", "cba"),
        ("dcb", "ae", "b", "ae", "dcae"),
        ("dcb", "ea", "b", "ae", "order"),
        ("dcb", "a", "", "a", "adcb"),
    ] {
        let mut elements = named(new);
        for name in deleted.chars() {
            elements.as_array_mut().unwrap().push(json!({"name": name.to_string(), "$patch": "delete"}));
        }
        let change = json!({"spec": {"$setElementOrder/containers": named(order), "containers": elements}});
        let expected = match expected {
            "order" => {
                Err("spec.containers: the order in the patch list does not match its $setElementOrder list")
            }
            names => Ok(json!({"spec": {"containers": named(names)}})),
        };
        check(json!({"spec": {"containers": named(target)}}), change, expected);
    }
    check(
        json!({"spec": {"containers": named("ab")}}),
        json!({"spec": {"$setElementOrder/containers": named("ab"), "containers": named("ba")}}),
        Err("spec.containers: the order in the patch list does not match its $setElementOrder list"),
    );
}

#[test]
fn lists_of_scalars() {
    let list = |l: Json| json!({"metadata": {"finalizers": l}});
    check(list(json!(["a"])), list(json!(["a", "b"])), Ok(list(json!(["a", "b"]))));
    check(list(json!(["a", "b"])), list(json!(["c"])), Ok(list(json!(["c", "a", "b"]))));
    check(list(json!(["a", "a", "b"])), list(json!(["b"])), Ok(list(json!(["a", "b"]))));
    let meta = |patch: Json| json!({"metadata": patch});
    check(
        list(json!(["a", "b", "c"])),
        meta(json!({"$deleteFromPrimitiveList/finalizers": ["a", "z"]})),
        Ok(list(json!(["b", "c"]))),
    );
    check(
        list(json!(["a", "b", "c"])),
        meta(
            json!({"$setElementOrder/finalizers": ["c", "a"], "$deleteFromPrimitiveList/finalizers": ["b"]}),
        ),
        Ok(list(json!(["c", "a"]))),
    );
    check(
        list(json!(["a", "b"])),
        meta(json!({"finalizers": ["c"], "$setElementOrder/finalizers": ["b", "c", "a"]})),
        Ok(list(json!(["b", "c", "a"]))),
    );
}

#[test]
fn whole_objects() {
    let strategy = |s: Json| json!({"strategy": s});
    let rolling = json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}});
    spec(
        strategy(rolling.clone()),
        strategy(json!({"$retainKeys": ["type"], "type": "Recreate"})),
        strategy(json!({"type": "Recreate"})),
    );
    spec(
        strategy(rolling.clone()),
        strategy(json!({"$retainKeys": ["type"], "type": "Recreate", "rollingUpdate": null})),
        strategy(json!({"type": "Recreate"})),
    );
    spec(strategy(rolling.clone()), strategy(json!({"$patch": "delete"})), strategy(json!({})));
    spec(
        strategy(rolling.clone()),
        strategy(json!({"$patch": "replace", "type": "Recreate", "rollingUpdate": null})),
        strategy(json!({"type": "Recreate"})),
    );
    spec(
        strategy(rolling.clone()),
        strategy(json!({"$patch": "merge", "type": "Recreate"})),
        strategy(json!({"type": "Recreate", "rollingUpdate": {"maxSurge": 1}})),
    );
    spec(json!({"whole": {"a": 1, "b": 2}}), json!({"whole": {"a": 3}}), json!({"whole": {"a": 3}}));
    // A volume changes its kind.
    spec(
        json!({"volumes": [{"name": "v", "emptyDir": {}}]}),
        json!({"volumes": [{"name": "v", "$retainKeys": ["name", "hostPath"], "hostPath": {"path": {}}}]}),
        json!({"volumes": [{"name": "v", "hostPath": {"path": {}}}]}),
    );
}

#[test]
fn what_is_refused_says_where() {
    for (patch, expected) in [
        (json!([]), "(root): the patch has a list here, where an object must stand"),
        (
            json!({"spec": {"strategy": {"$patch": "drop"}}}),
            "spec.strategy: $patch cannot be \"drop\": it must be \"replace\", \"delete\" or \"merge\"",
        ),
        (
            json!({"spec": {"containers": [{"name": "a"}, {"image": "x"}]}}),
            "spec.containers[1]: the element of the patch does not have the merge key \"name\", which tells elements \
             apart",
        ),
        (
            json!({"spec": {"containers": [{"name": "a", "env": [7]}]}}),
            "spec.containers[0].env[0]: the patch has a number here, where an object must stand",
        ),
        (
            json!({"spec": {"strategy": {"$retainKeys": ["type"], "rollingUpdate": {}}}}),
            "spec.strategy: the patch sets \"rollingUpdate\", which its $retainKeys list does not name",
        ),
        (
            json!({"metadata": {"$setElementOrder/finalizers": "a"}}),
            "metadata.$setElementOrder/finalizers: the patch has a string here, where a list must stand",
        ),
        (
            json!({"metadata": {"$setElementOrder/finalizers": ["a"], "finalizers": {}}}),
            "metadata.finalizers: the patch has an object here, where a list must stand",
        ),
        (
            json!({"spec": {"keyless": [{}]}}),
            "spec.keyless[0]: lists of objects or lists cannot be merged without a merge key",
        ),
    ] {
        check(json!({"spec": {"containers": []}}), patch, Err(expected));
    }
}

fn elements() -> impl Strategy<Value = Json> {
    let element =
        ("[abcd]", proptest::option::of("[xy]"), vec("[EF]", 0..3)).prop_map(|(name, image, env)| {
            let env = env.iter().map(|name| json!({"name": name, "value": "v"})).collect::<Json>();
            json!({"name": name, "image": image, "env": env})
        });
    vec(element, 0..4).prop_map(|list| {
        let mut seen = std::collections::HashSet::new();
        list.into_iter().filter(|e| seen.insert(e["name"].to_string())).collect()
    })
}

fn document() -> impl Strategy<Value = Json> {
    (elements(), vec("[abc]", 0..4), proptest::option::of(0..3)).prop_map(|(containers, finalizers, replicas)| {
        json!({"metadata": {"finalizers": finalizers}, "spec": {"containers": containers, "replicas": replicas}})
    })
}

proptest! {
    #[test]
    fn twice_is_once(target in document(), patch in document(), deleted in proptest::option::of("[abcd]")) {
        let mut patch = patch;
        if let Some(name) = deleted {
            let list = patch["spec"]["containers"].as_array_mut().unwrap();
            list.retain(|e| e["name"] != *name);
            list.push(json!({"name": name, "$patch": "delete"}));
        }
        let mut once = target;
        strategic(&schema(), &mut once, &patch).unwrap();
        let mut twice = once.clone();
        strategic(&schema(), &mut twice, &patch).unwrap();
        prop_assert_eq!(once, twice);
    }

    #[test]
    fn with_an_empty_schema_it_is_a_merge_patch(
        target in crate::patch::tests::object(false),
        patch in crate::patch::tests::object(true),
    ) {
        let (mut merged, mut strategically) = (target.clone(), target);
        crate::patch::merge(&mut merged, &patch);
        strategic(&Schema::default(), &mut strategically, &patch).unwrap();
        prop_assert_eq!(merged, strategically);
    }

    #[test]
    fn any_patch_is_judged(target in document(), patch in wild()) {
        let mut found = target.clone();
        if strategic(&schema(), &mut found, &patch).is_err() {
            prop_assert_eq!(found, target);
        }
    }
}

/// Patches of directives and values in any places.
fn wild() -> impl Strategy<Value = Json> {
    let names = "metadata|spec|containers|finalizers|name|env|\\$patch|\\$retainKeys|\\$setElementOrder/containers|\
                 \\$setElementOrder/finalizers|\\$deleteFromPrimitiveList/finalizers";
    let leaf = prop_oneof![
        Just(Json::Null),
        "replace|delete|merge|[abc]".prop_map(Json::from),
        (0..3).prop_map(Json::from),
    ];
    leaf.prop_recursive(5, 48, 4, move |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Json::from),
            proptest::collection::btree_map(names, inner, 0..4).prop_map(|m| m.into_iter().collect::<Json>()),
        ]
    })
}
