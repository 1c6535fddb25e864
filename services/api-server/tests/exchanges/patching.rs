//! PATCH in its four types, and scale.

use crate::session::{MAPS, SERVERS, Session, version};
use lab_kinds::{Registry, Subresource};
use serde_json::json;

const JSON: &str = "application/json-patch+json";
const MERGE: &str = "application/merge-patch+json";
const STRATEGIC: &str = "application/strategic-merge-patch+json";
const APPLY: &str = "application/apply-patch+yaml";

#[tokio::test]
async fn the_three_that_change_what_is_there() {
    let lab = Session::new().await;
    lab.config_map("a", json!({})).await;
    let path = format!("PATCH {MAPS}/a");
    lab.check_as(&path, MERGE, json!({"data": {"l": "w"}}), 200, json!({"data": {"k": "v", "l": "w"}})).await;
    lab.check_as(&path, STRATEGIC, json!({"data": {"l": null}}), 200, json!({"data": {"k": "v", "l": null}}))
        .await;
    let operations = json!([{"op": "test", "path": "/data/k", "value": "v"}, {"op": "replace", "path": "/data/k", "value": "x"}]);
    let patched = lab.check_as(&path, JSON, operations.clone(), 200, json!({"data": {"k": "x"}})).await;
    lab.check_as(&path, JSON, operations, 422, json!({"reason": "Invalid"})).await;
    lab.check_as(&path, JSON, json!({"op": "add"}), 400, json!({"reason": "BadRequest"})).await;
    lab.check_as(&path, MERGE, json!([1]), 400, json!({"reason": "BadRequest"})).await;
    lab.check_as(&path, MERGE, json!({"data": {"k": 5}}), 422, json!({"reason": "Invalid"})).await;
    lab.check_as(&path, MERGE, json!({"metadata": {"name": "b"}}), 400, json!({"reason": "BadRequest"}))
        .await;
    lab.check_as(&path, "text/plain", json!({}), 415, json!({"reason": "UnsupportedMediaType"})).await;
    let same = lab.check_as(&path, MERGE, json!({"data": {"k": "x"}}), 200, json!({})).await;
    assert_eq!(version(&patched), version(&same), "a patch that changes nothing is not stored");

    let pinned = json!({"metadata": {"resourceVersion": "1"}, "data": {"k": "y"}});
    lab.check_as(&path, MERGE, pinned, 409, json!({"reason": "Conflict"})).await;
    lab.check_as(&format!("PATCH {MAPS}/none"), MERGE, json!({}), 404, json!({"reason": "NotFound"})).await;
    let server = format!("PATCH {SERVERS}/x");
    lab.check_as(&server, STRATEGIC, json!({}), 415, json!({"reason": "UnsupportedMediaType"})).await;
}

#[tokio::test]
async fn many_patches_at_once_all_arrive() {
    let lab = std::sync::Arc::new(Session::new().await);
    lab.config_map("a", json!({})).await;
    let patches: Vec<_> = (0..20)
        .map(|i| {
            let lab = lab.clone();
            tokio::spawn(async move {
                let patch = json!({"data": {format!("k{i}"): "v"}});
                lab.check_as(&format!("PATCH {MAPS}/a"), MERGE, patch, 200, json!({})).await;
            })
        })
        .collect();
    for patch in patches {
        patch.await.unwrap();
    }
    let all = lab.check(&format!("GET {MAPS}/a"), json!(null), 200, json!({})).await;
    assert_eq!(all["data"].as_object().unwrap().len(), 21);
}

#[tokio::test]
async fn what_is_applied_is_owned() {
    let lab = Session::new().await;
    let config =
        |data| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": data});
    let by = |manager: &str| format!("PATCH {MAPS}/a?fieldManager={manager}");
    lab.check_as(&by("one"), APPLY, config(json!({"k": "v", "l": "v"})), 201,
        json!({"data": {"k": "v", "l": "v"}, "metadata": {"uid": "*", "managedFields": [{"manager": "one", "operation": "Apply"}]}})).await;
    let conflict = json!({"reason": "Conflict", "details": {"causes": [{"reason": "FieldManagerConflict", "field": ".data.k"}]}});
    lab.check_as(&by("two"), APPLY, config(json!({"k": "w"})), 409, conflict).await;
    lab.check_as(
        &format!("{}&force=true", by("two")),
        APPLY,
        config(json!({"k": "w"})),
        200,
        json!({"data": {"k": "w"}}),
    )
    .await;
    let rest = lab.check_as(&by("one"), APPLY, config(json!({})), 200, json!({})).await;
    assert_eq!(rest["data"], json!({"k": "w"}), "what one no longer applies goes, what two owns stays");

    let yaml = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: y}\ndata:\n  k: \"v\"\n";
    let answer =
        lab.send(&format!("PATCH {MAPS}/y?fieldManager=one"), &[("content-type", APPLY)], yaml).await;
    assert_eq!(answer.status, 201, "{:#}", answer.json());
    let no_manager = json!({"reason": "Invalid", "details": {"causes": [{"field": "fieldManager"}]}});
    lab.check_as(&format!("PATCH {MAPS}/a"), APPLY, config(json!({})), 422, no_manager).await;
    let no_force = json!({"reason": "Invalid", "details": {"causes": [{"field": "force"}]}});
    lab.check_as(&format!("PATCH {MAPS}/a?force=true"), MERGE, json!({}), 422, no_force).await;
    let strict = format!("PATCH {MAPS}/z?fieldManager=one&fieldValidation=Strict");
    let unknown = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "z"}, "more": 1});
    lab.check_as(&strict, APPLY, unknown, 400, json!({"reason": "BadRequest"})).await;
    let elsewhere = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "q"}});
    lab.check_as(&strict, APPLY, elsewhere, 400, json!({"reason": "BadRequest"})).await;
}

#[tokio::test]
async fn replicas_are_scaled() {
    let scale = Subresource::Scale { spec: "data.replicas".into(), status: "data.observed".into() };
    let mut registry: Registry = lab_kinds::registry();
    let mut kind = (**registry.by_resource("", "v1", "configmaps").unwrap()).clone();
    let mut schema = (*kind.schema).clone();
    schema.properties.remove("data");
    schema.preserve_unknown_fields = true;
    (kind.schema, kind.validate, kind.default) = (schema.into(), None, None);
    let kind = kind.subresource(scale);
    registry.insert(kind);
    let lab = Session::over(registry, Default::default(), Default::default()).await;
    let object = json!({"metadata": {"name": "a"}, "data": {"replicas": 2, "observed": 1}});
    lab.check(&format!("POST {MAPS}"), object, 201, json!({})).await;
    let path = format!("{MAPS}/a/scale");
    let seen = lab
        .check(
            &format!("GET {path}"),
            json!(null),
            200,
            json!({"kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": {"name": "a", "uid": "*"},
                "spec": {"replicas": 2}, "status": {"replicas": 1}}),
        )
        .await;
    lab.check_as(
        &format!("PATCH {path}"),
        MERGE,
        json!({"spec": {"replicas": 3}}),
        200,
        json!({"spec": {"replicas": 3}}),
    )
    .await;
    lab.check(&format!("GET {MAPS}/a"), json!(null), 200, json!({"data": {"replicas": 3, "observed": 1}}))
        .await;
    lab.check(&format!("PUT {path}"), seen, 409, json!({"reason": "Conflict"})).await;
    let put = json!({"kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": {"name": "a"}, "spec": {"replicas": 5}});
    lab.check(&format!("PUT {path}"), put, 200, json!({"spec": {"replicas": 5}})).await;
    lab.check_as(
        &format!("PATCH {path}"),
        MERGE,
        json!({"spec": {"replicas": -1}}),
        422,
        json!({"reason": "Invalid"}),
    )
    .await;
}
