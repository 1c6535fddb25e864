//! Histories of writes, and what they must lead to.

use super::*;
use proptest::prelude::*;
use serde_json::json;

fn schema() -> Schema {
    let string = json!({"type": "string"});
    Schema::from_json(&json!({"type": "object", "properties": {
        "apiVersion": string, "kind": string,
        "metadata": {"type": "object", "properties": {
            "name": string, "uid": string, "resourceVersion": string, "generation": {"type": "integer"},
            "labels": {"type": "object", "additionalProperties": string},
            "annotations": {"type": "object", "additionalProperties": string},
            "finalizers": {"type": "array", "items": string, "x-kubernetes-list-type": "set"},
            "managedFields": {"type": "array", "items": true},
        }},
        "data": {"type": "object", "additionalProperties": string},
        "spec": {"type": "object", "properties": {
            "replicas": {"type": "integer"},
            "mode": {"type": "string", "default": "auto"},
            "args": {"type": "array", "items": string},
            "tags": {"type": "array", "items": string, "x-kubernetes-list-type": "set"},
            "selector": {"type": "object", "additionalProperties": string, "x-kubernetes-map-type": "atomic"},
            "strategy": {"type": "object", "properties": {"kind": string, "surge": {"type": "integer"}}},
            "ports": {"type": "array", "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["port", "protocol"],
                "items": {"type": "object", "properties": {"port": {"type": "integer"}, "name": string,
                    "protocol": {"type": "string", "default": "TCP"}}}},
            "nics": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
                "items": {"type": "object", "properties": {"name": string, "mac": string, "mtu": {"type": "integer"}}}},
            "open": {"x-kubernetes-preserve-unknown-fields": true},
        }},
        "status": {"type": "object", "properties": {"phase": string}},
    }}))
    .unwrap()
}

fn at(second: i64) -> Time {
    Time(jiff::Timestamp::from_second(1_790_000_000 + second).unwrap())
}

fn context<'a>(schema: &'a Schema, manager: &'a str, second: i64) -> ApplyContext<'a> {
    ApplyContext {
        schema,
        manager,
        api_version: "v1",
        subresource: "",
        status_apart: true,
        now: at(second),
        force: false,
    }
}

/// An object with this besides its type and name.
fn object(rest: Json) -> Json {
    let mut object = json!({"apiVersion": "v1", "kind": "Thing", "metadata": {"name": "x"}});
    object.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
    if object["metadata"].get("name").is_none() {
        object["metadata"]["name"] = "x".into();
    }
    object
}

/// One write. A manager written `kubectl/status` writes through that subresource.
enum Write {
    Update(&'static str, Json),
    Apply(&'static str, Json),
    Force(&'static str, Json),
}
use Write::{Apply, Force, Update};

/// Does the writes one after another, a second apart.
fn history(writes: Vec<Write>) -> Result<Json, ApplyError> {
    let schema = schema();
    let mut live: Option<Json> = None;
    for (second, write) in (0..).zip(writes) {
        let (manager, config, force) = match &write {
            Update(manager, config) => (*manager, config, None),
            Apply(manager, config) => (*manager, config, Some(false)),
            Force(manager, config) => (*manager, config, Some(true)),
        };
        let (manager, subresource) = manager.split_once('/').unwrap_or((manager, ""));
        let ctx =
            ApplyContext { subresource, force: force == Some(true), ..context(&schema, manager, second) };
        let mut new = object(config.clone());
        match force {
            Some(_) => new = apply(&ctx, live.as_ref(), &new)?,
            None => track_update(&ctx, live.as_ref(), &mut new),
        }
        crate::schema::default(&schema, &mut new);
        live = Some(new);
    }
    Ok(live.unwrap())
}

/// Takes the managed fields out, as `{"manager Operation subresource": fields}`.
fn ownership(object: &mut Json) -> Json {
    let list = managers::take(object).unwrap_or(json!([]));
    let entry = |entry: &Json| {
        let part = |name: &str| entry.get(name).and_then(Json::as_str).unwrap_or_default();
        let name = format!("{} {} {}", part("manager"), part("operation"), part("subresource"));
        (name.trim_end().to_owned(), entry["fieldsV1"].clone())
    };
    Json::Object(list.as_array().unwrap().iter().map(entry).collect())
}

#[track_caller]
fn check(writes: Vec<Write>, expected: Json, owners: Json) {
    let mut live = history(writes).unwrap();
    let found = ownership(&mut live);
    let mut expected = object(expected);
    if let Some(metadata) = expected["metadata"].as_object_mut() {
        metadata.entry("name").or_insert("x".into());
    }
    assert_eq!(live, expected);
    assert_eq!(found, owners);
}

#[track_caller]
fn check_conflict(writes: Vec<Write>, message: &str) {
    match history(writes) {
        Err(error @ ApplyError::Conflicts(_)) => assert_eq!(error.to_string(), message),
        other => panic!("expected a conflict, found {other:?}"),
    }
}

#[test]
fn fields_of_an_apply_are_set_and_owned() {
    check(
        vec![Apply("a", json!({"metadata": {"labels": {"l": "1"}}, "data": {"k": "v"}}))],
        json!({"metadata": {"labels": {"l": "1"}}, "data": {"k": "v"}}),
        json!({"a Apply": {"f:metadata": {"f:labels": {"f:l": {}}}, "f:data": {"f:k": {}}}}),
    );
    check(
        vec![Apply(
            "a",
            json!({"spec": {"replicas": 1, "args": ["x"], "tags": ["t"], "selector": {"s": "1"},
            "ports": [{"port": 80}], "nics": [{"name": "e0", "mtu": 9000}], "open": {"o": {"p": [1]}}}}),
        )],
        json!({"spec": {"replicas": 1, "mode": "auto", "args": ["x"], "tags": ["t"], "selector": {"s": "1"},
            "ports": [{"port": 80, "protocol": "TCP"}], "nics": [{"name": "e0", "mtu": 9000}],
            "open": {"o": {"p": [1]}}}}),
        json!({"a Apply": {"f:spec": {"f:replicas": {}, "f:args": {}, "f:tags": {"v:\"t\"": {}}, "f:selector": {},
            "f:ports": {"k:{\"port\":80,\"protocol\":\"TCP\"}": {".": {}, "f:port": {}}},
            "f:nics": {"k:{\"name\":\"e0\"}": {".": {}, "f:name": {}, "f:mtu": {}}},
            "f:open": {"f:o": {".": {}, "f:p": {}}}}}}),
    );
}

#[test]
fn fields_of_a_create_are_owned_with_what_holds_them() {
    check(
        vec![Update(
            "u",
            json!({"metadata": {"uid": "1", "finalizers": ["f"]}, "spec": {"nics": [{"name": "e0"}]}}),
        )],
        json!({"metadata": {"uid": "1", "finalizers": ["f"]}, "spec": {"mode": "auto", "nics": [{"name": "e0"}]}}),
        json!({"u Update": {"f:metadata": {"f:finalizers": {".": {}, "v:\"f\"": {}}},
            "f:spec": {".": {}, "f:nics": {".": {}, "k:{\"name\":\"e0\"}": {".": {}, "f:name": {}}}}}}),
    );
}

#[test]
fn what_is_no_longer_applied_goes() {
    check(
        vec![
            Apply(
                "a",
                json!({"data": {"k": "v", "l": "w"}, "spec": {"tags": ["t", "u"], "strategy": {"kind": "k"},
                "nics": [{"name": "e0", "mac": "m"}, {"name": "e1"}]}}),
            ),
            Apply("a", json!({"data": {"l": "w"}, "spec": {"tags": ["u"], "nics": [{"name": "e0"}]}})),
        ],
        json!({"data": {"l": "w"}, "spec": {"mode": "auto", "tags": ["u"], "nics": [{"name": "e0"}]}}),
        json!({"a Apply": {"f:data": {"f:l": {}}, "f:spec": {"f:tags": {"v:\"u\"": {}},
            "f:nics": {"k:{\"name\":\"e0\"}": {".": {}, "f:name": {}}}}}}),
    );
}

#[test]
fn what_others_own_stays() {
    // Shared with another applier.
    check(
        vec![
            Apply("a", json!({"data": {"k": "v", "l": "w"}})),
            Apply("b", json!({"data": {"k": "v"}})),
            Apply("a", json!({"data": {"l": "w"}})),
        ],
        json!({"data": {"k": "v", "l": "w"}}),
        json!({"a Apply": {"f:data": {"f:l": {}}}, "b Apply": {"f:data": {"f:k": {}}}}),
    );
    // Nobody's: a default inside a structure that the applier has left.
    check(
        vec![
            Apply("a", json!({"spec": {"strategy": {"kind": "k"}}})),
            Update("u", json!({"spec": {"mode": "auto", "strategy": {"kind": "k", "surge": 1}}})),
            Apply("a", json!({"spec": {}})),
        ],
        json!({"spec": {"mode": "auto", "strategy": {"surge": 1}}}),
        json!({"a Apply": {"f:spec": {}}, "u Update": {"f:spec": {"f:strategy": {"f:surge": {}}}}}),
    );
    // A list's element goes with all there is in it.
    check(
        vec![
            Apply("a", json!({"spec": {"nics": [{"name": "e0"}, {"name": "e1"}]}})),
            Update(
                "u",
                json!({"spec": {"mode": "auto", "nics": [{"name": "e0"}, {"name": "e1", "mtu": 1}]}}),
            ),
            Apply("a", json!({"spec": {"nics": [{"name": "e0"}]}})),
        ],
        json!({"spec": {"mode": "auto", "nics": [{"name": "e0"}]}}),
        json!({"a Apply": {"f:spec": {"f:nics": {"k:{\"name\":\"e0\"}": {".": {}, "f:name": {}}}}}}),
    );
}

#[test]
fn another_value_than_the_owners_is_a_conflict() {
    check_conflict(
        vec![Update("kubectl", json!({"data": {"a": "1"}})), Apply("b", json!({"data": {"a": "2"}}))],
        "Apply failed with 1 conflict: conflict with \"kubectl\" using v1: .data.a",
    );
    check_conflict(
        vec![Apply("a", json!({"spec": {"replicas": 1}})), Apply("b", json!({"spec": {"replicas": 2}}))],
        "Apply failed with 1 conflict: conflict with \"a\": .spec.replicas",
    );
    check_conflict(
        vec![
            Update("u", json!({"data": {"a": "1"}})),
            Apply("a", json!({"spec": {"args": ["x"], "nics": [{"name": "e0", "mtu": 1}]}})),
            Update(
                "u/scale",
                json!({"data": {"a": "1"}, "spec": {"mode": "auto", "replicas": 3, "args": ["x"],
                "nics": [{"name": "e0", "mtu": 1}]}}),
            ),
            Apply(
                "b",
                json!({"data": {"a": "2"}, "spec": {"args": ["y"], "replicas": 1,
                "nics": [{"name": "e0", "mtu": 2}]}}),
            ),
        ],
        "Apply failed with 4 conflicts: conflicts with \"a\":\n- .spec.args\n- .spec.nics[name=\"e0\"].mtu\n\
         conflicts with \"u\" using v1:\n- .data.a\n\
         conflicts with \"u\" with subresource \"scale\" using v1:\n- .spec.replicas",
    );
}

#[test]
fn force_takes_over_and_equal_values_are_shared() {
    check(
        vec![Update("u", json!({"data": {"a": "1", "b": "1"}})), Force("b", json!({"data": {"a": "2"}}))],
        json!({"data": {"a": "2", "b": "1"}}),
        json!({"u Update": {"f:data": {".": {}, "f:b": {}}}, "b Apply": {"f:data": {"f:a": {}}}}),
    );
    check(
        vec![Apply("a", json!({"data": {"k": "v"}})), Apply("b", json!({"data": {"k": "v"}}))],
        json!({"data": {"k": "v"}}),
        json!({"a Apply": {"f:data": {"f:k": {}}}, "b Apply": {"f:data": {"f:k": {}}}}),
    );
}

#[test]
fn an_update_takes_what_it_changes() {
    check(
        vec![
            Apply("a", json!({"data": {"k": "v", "l": "w"}})),
            Update("u", json!({"data": {"k": "x", "m": "n"}})),
        ],
        json!({"data": {"k": "x", "m": "n"}}),
        json!({"u Update": {"f:data": {"f:k": {}, "f:m": {}}}}),
    );
    check(
        vec![
            Update("u", json!({"spec": {"mode": "auto", "args": ["x"]}})),
            Update("v", json!({"spec": {"mode": "auto", "args": ["y"]}})),
        ],
        json!({"spec": {"mode": "auto", "args": ["y"]}}),
        json!({"u Update": {"f:spec": {".": {}, "f:mode": {}}}, "v Update": {"f:spec": {"f:args": {}}}}),
    );
}

#[test]
fn order_of_lists() {
    let order = |live: &[&str], applied: &[&str], expected: &[&str]| {
        let mut result = history(vec![
            Update("u", json!({"spec": {"mode": "auto", "tags": live}})),
            Apply("a", json!({"spec": {"tags": applied}})),
        ])
        .unwrap();
        assert_eq!(result["spec"]["tags"].take(), json!(expected), "{live:?} + {applied:?}");
    };
    order(&["a", "b", "c"], &["d"], &["a", "b", "c", "d"]);
    order(&["a", "b", "c"], &["c", "a"], &["b", "c", "a"]);
    order(&["a", "c"], &["a", "b", "c"], &["a", "b", "c"]);
    order(&["a", "x", "c"], &["a", "b", "c"], &["a", "x", "b", "c"]);
    order(&[], &["b", "a"], &["b", "a"]);
}

#[test]
fn status_is_apart() {
    check(
        vec![Apply("a", json!({"data": {"k": "v"}, "status": {"phase": "P"}}))],
        json!({"data": {"k": "v"}}),
        json!({"a Apply": {"f:data": {"f:k": {}}}}),
    );
    check(
        vec![
            Apply("a", json!({"data": {"k": "v"}})),
            Apply(
                "a/status",
                json!({"data": {"k": "no"}, "metadata": {"labels": {"l": "no"}},
                "status": {"phase": "P"}}),
            ),
        ],
        json!({"data": {"k": "v"}, "status": {"phase": "P"}}),
        json!({"a Apply": {"f:data": {"f:k": {}}}, "a Apply status": {"f:status": {"f:phase": {}}}}),
    );
}

#[test]
fn client_side_apply_becomes_server_side() {
    let last =
        |config: &str| json!({"annotations": {"kubectl.kubernetes.io/last-applied-configuration": config}});
    let config = r#"{"apiVersion":"v1","kind":"Thing","metadata":{"name":"x"},"data":{"k":"v"}}"#;
    let client_side =
        || Update("kubectl-client-side-apply", json!({"metadata": last(config), "data": {"k": "v"}}));

    // What client-side apply set is kubectl's own; the annotation follows.
    let mut live = history(vec![client_side(), Apply("kubectl", json!({"data": {"k": "w"}}))]).unwrap();
    let annotation =
        "{\"apiVersion\":\"v1\",\"data\":{\"k\":\"w\"},\"kind\":\"Thing\",\"metadata\":{\"name\":\"x\"}}\n";
    assert_eq!(live["metadata"]["annotations"], last(annotation)["annotations"]);
    assert_eq!(live["data"], json!({"k": "w"}));
    assert_eq!(ownership(&mut live)["kubectl Apply"], json!({"f:data": {"f:k": {}}}));

    // What somebody changed since is not, and another manager gets nothing for free.
    let changed = || Update("u", json!({"metadata": last(config), "data": {"k": "other"}}));
    check_conflict(
        vec![client_side(), changed(), Apply("kubectl", json!({"data": {"k": "w"}}))],
        "Apply failed with 1 conflict: conflict with \"u\" using v1: .data.k",
    );
    check_conflict(
        vec![client_side(), Apply("other", json!({"data": {"k": "w"}}))],
        "Apply failed with 1 conflict: conflict with \"kubectl-client-side-apply\" using v1: .data.k",
    );
}

#[test]
fn objects_without_managed_fields() {
    let cleared = || json!({"metadata": {"managedFields": [{}]}, "data": {"k": "v"}});
    let created = || Update("u", json!({"data": {"k": "v"}}));
    check(vec![created(), Update("u", cleared())], json!({"data": {"k": "v"}}), json!({}));
    check(
        vec![created(), Update("u", cleared()), Update("u", json!({"data": {"k": "w"}}))],
        json!({"data": {"k": "w"}}),
        json!({}),
    );
    check(
        vec![created(), Update("u", cleared()), Apply("a", json!({"data": {"l": "w"}}))],
        json!({"data": {"k": "v", "l": "w"}}),
        json!({"before-first-apply Update": {"f:data": {".": {}, "f:k": {}}}, "a Apply": {"f:data": {"f:l": {}}}}),
    );
    check_conflict(
        vec![created(), Update("u", cleared()), Apply("a", json!({"data": {"k": "w"}}))],
        "Apply failed with 1 conflict: conflict with \"before-first-apply\" using v1: .data.k",
    );
}

#[test]
fn a_client_may_edit_the_list_but_not_break_it() {
    let entry = json!({"manager": "m", "operation": "Apply", "apiVersion": "v1", "fieldsType": "FieldsV1",
        "fieldsV1": {"f:data": {"f:k": {}}}});
    let created = || Update("u", json!({"data": {"k": "v"}}));
    let edit = |list: Json| Update("u", json!({"metadata": {"managedFields": list}, "data": {"k": "v"}}));
    let kept = json!({"u Update": {"f:data": {".": {}, "f:k": {}}}});
    let data = || json!({"data": {"k": "v"}});
    check(vec![created(), edit(json!([entry]))], data(), json!({"m Apply": {"f:data": {"f:k": {}}}}));
    check(vec![created(), edit(json!([]))], data(), kept.clone());
    check(vec![created(), edit(json!([{"manager": "m"}]))], data(), kept.clone());
    check(vec![created(), edit(json!("nonsense"))], data(), kept.clone());
    let mut broken = entry.clone();
    broken["fieldsV1"] = json!({"data": {}});
    check(vec![created(), edit(json!([broken]))], data(), kept.clone());
    let through = Update("u/status", json!({"metadata": {"managedFields": [entry]}, "data": {"k": "v"}}));
    check(vec![created(), through], data(), kept);
}

#[test]
fn times_move_with_what_is_set() {
    let times = |writes: Vec<Write>| -> Vec<i64> {
        let mut live = history(writes).unwrap();
        let managers = managers::read(&managers::take(&mut live).unwrap()).unwrap();
        managers.iter().map(|m| m.time.unwrap().0.as_second() - at(0).0.as_second()).collect()
    };
    let data = |value: &str| json!({"data": {"k": value}});
    assert_eq!(times(vec![Apply("a", data("v")), Apply("a", data("v"))]), [0]);
    assert_eq!(times(vec![Apply("a", data("v")), Apply("a", data("w"))]), [1]);
    assert_eq!(times(vec![Update("a", data("v")), Update("a", data("v"))]), [0]);
    assert_eq!(times(vec![Update("a", data("v")), Update("a", data("w"))]), [1]);
    assert_eq!(times(vec![Update("a", json!({"data": {"k": "v", "l": "w"}})), Update("b", data("v"))]), [0]);
}

#[test]
fn updaters_are_capped() {
    let names = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m"];
    let mut data = serde_json::Map::new();
    let writes = names.map(|name| {
        data.insert(name.into(), "v".into());
        Update(name, json!({"data": data}))
    });
    let mut live = history(writes.into()).unwrap();
    let owners = ownership(&mut live);
    assert_eq!(owners.as_object().unwrap().len(), 10);
    let oldest = json!({"f:data": {".": {}, "f:a": {}, "f:b": {}, "f:c": {}, "f:d": {}}});
    assert_eq!(owners["ancient-changes Update"], oldest);
}

#[test]
fn configurations_that_are_refused() {
    let refused = |config: Json, code: u16, message: &str| {
        let schema = schema();
        let error = apply(&context(&schema, "a", 0), None, &config).unwrap_err();
        let status = error.status("Thing", "lab", "x");
        assert_eq!((status.code, status.message.as_str()), (code, message));
    };
    refused(object(json!({"metadata": {"managedFields": []}})), 400, "metadata.managedFields must be nil");
    refused(
        json!({"apiVersion": "v2", "kind": "Thing"}),
        400,
        "Incorrect version specified in apply patch. Specified patch version: v2, expected: v1",
    );
    refused(
        object(json!({"spec": {"tags": ["a", "a"]}})),
        422,
        "Thing.lab \"x\" is invalid: spec.tags[1]: Duplicate value: \"a\"",
    );
    refused(
        object(json!({"spec": {"nics": [{"mac": "m"}]}})),
        422,
        "Thing.lab \"x\" is invalid: spec.nics[0]: Required value: the element lacks \"name\", by which elements of \
         this list are told apart",
    );
}

#[test]
fn a_conflict_tells_each_cause() {
    let error =
        history(vec![Apply("a", json!({"data": {"k": "v"}})), Apply("b", json!({"data": {"k": "w"}}))]);
    let status = error.unwrap_err().status("Thing", "lab", "x");
    assert_eq!((status.code, status.reason), (409, Some(Reason::Conflict)));
    let cause = |reason: &str, message: &str, field: &str| Cause {
        reason: reason.into(),
        message: message.into(),
        field: field.into(),
    };
    assert_eq!(
        status.details.unwrap().causes,
        [cause("FieldManagerConflict", "conflict with \"a\"", ".data.k")]
    );
}

#[test]
fn names_of_managers() {
    assert!(check_manager("kubectl").is_ok());
    assert!(check_manager(&"a".repeat(128)).is_ok());
    assert_eq!(check_manager(&"a".repeat(129)).unwrap_err().reason, "FieldValueTooLong");
    assert_eq!(check_manager("a\nb").unwrap_err().reason, "FieldValueInvalid");
}

/// Objects of the schema, small enough that two of them often meet in a field.
fn config() -> impl Strategy<Value = Json> {
    let word = || prop::sample::select(vec!["a", "b", "c"]);
    let data = prop::collection::btree_map(word(), word(), 0..3);
    let tags = prop::collection::btree_set(word(), 0..3);
    let args = prop::collection::vec(word(), 0..3);
    let nics = prop::collection::btree_map(word(), prop::option::of(0..3), 0..3);
    let surge = prop::option::of(0..3);
    let parts = (data, prop::option::of(tags), prop::option::of(args), nics, surge);
    parts.prop_map(|(data, tags, args, nics, surge)| {
        let nics = nics.into_iter().map(|(name, mtu)| match mtu {
            Some(mtu) => json!({"name": name, "mtu": mtu}),
            None => json!({"name": name}),
        });
        let mut spec = json!({"nics": nics.collect::<Vec<_>>(), "open": {"data": data}});
        let mut put = |name: &str, value: Option<Json>| value.map(|value| spec[name] = value);
        put("tags", tags.map(|tags| json!(tags)));
        put("args", args.map(|args| json!(args)));
        put("strategy", surge.map(|surge| json!({"surge": surge})));
        object(json!({"data": data, "spec": spec}))
    })
}

fn fields() -> impl Strategy<Value = FieldSet> {
    config().prop_map(|config| config::field_set(&schema(), &config).unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn applying_twice_is_applying_once(live in config(), config in config()) {
        let schema = schema();
        let mut created = live;
        track_update(&context(&schema, "u", 0), None, &mut created);
        let ctx = ApplyContext { force: true, ..context(&schema, "a", 1) };
        let once = apply(&ctx, Some(&created), &config).unwrap();
        let twice = apply(&context(&schema, "a", 2), Some(&once), &config).unwrap();
        prop_assert_eq!(once, twice);
    }

    #[test]
    fn what_an_applier_has_set_it_may_set_again(live in config(), first in config(), second in config()) {
        let schema = schema();
        let mut created = live;
        track_update(&context(&schema, "u", 0), None, &mut created);
        let force = ApplyContext { force: true, ..context(&schema, "a", 1) };
        let applied = apply(&force, Some(&created), &first).unwrap();
        // Nothing applied is no part of anybody's; the same again, forced over by nobody, is no conflict.
        let nothing = object(json!({}));
        prop_assert!(apply(&context(&schema, "a", 2), Some(&applied), &nothing).is_ok());
        let again = apply(&force, Some(&applied), &second).unwrap();
        prop_assert!(apply(&context(&schema, "a", 3), Some(&again), &second).is_ok());
    }

    #[test]
    fn what_is_applied_is_there(live in config(), config in config()) {
        let schema = schema();
        let mut created = live;
        track_update(&context(&schema, "u", 0), None, &mut created);
        let ctx = ApplyContext { force: true, ..context(&schema, "a", 1) };
        let merged = apply(&ctx, Some(&created), &config).unwrap();
        let present = compare::all_fields(&schema, &merged);
        prop_assert!(present.contains_all(&config::field_set(&schema, &config).unwrap()));
    }

    #[test]
    fn updates_lead_to_sets_of_what_is_there(objects in prop::collection::vec(config(), 1..5)) {
        let names = ["a", "b", "c", "d", "e"];
        let writes = objects.into_iter().zip(names).map(|(config, name)| Update(name, config)).collect();
        let mut live = history(writes).unwrap();
        let managers = managers::read(&managers::take(&mut live).unwrap()).unwrap();
        let present = compare::all_fields(&schema(), &live);
        for manager in managers {
            prop_assert!(present.contains_all(&manager.fields), "{manager:?}");
        }
    }

    #[test]
    fn fields_v1_is_read_as_written(set in fields()) {
        prop_assert_eq!(FieldSet::from_fields_v1(&set.clone().into_fields_v1()).unwrap(), set);
    }

    #[test]
    fn laws_of_sets(a in fields(), b in fields()) {
        let union = |a: &FieldSet, b: &FieldSet| {
            let mut both = a.clone();
            both.unite(b);
            both
        };
        let minus = |a: &FieldSet, b: &FieldSet| {
            let mut left = a.clone();
            left.subtract(b);
            left
        };
        prop_assert_eq!(union(&a, &b), union(&b, &a));
        prop_assert_eq!(union(&a, &a), a.clone());
        prop_assert_eq!(a.intersection(&b), b.intersection(&a));
        prop_assert!(union(&a, &b).contains_all(&a) && a.contains_all(&a.intersection(&b)));
        prop_assert_eq!(union(&minus(&a, &b), &a.intersection(&b)), a.clone());
        prop_assert!(minus(&a, &b).intersection(&b).is_empty());
    }
}
