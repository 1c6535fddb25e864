//! DELETE: preconditions, finalizers, propagation, many at once.

use crate::session::{MAPS, Session};
use serde_json::json;

async fn held(lab: &Session, name: &str, finalizers: &[&str]) {
    let object = json!({"metadata": {"name": name, "finalizers": finalizers}});
    lab.check(&format!("POST {MAPS}"), object, 201, json!({})).await;
}

#[tokio::test]
async fn an_object_goes_at_once() {
    let lab = Session::new().await;
    let created = lab.config_map("a", json!({})).await;
    let done = json!({"kind": "Status", "apiVersion": "v1", "status": "Success",
        "details": {"name": "a", "kind": "configmaps", "uid": created["metadata"]["uid"]}});
    lab.check(&format!("DELETE {MAPS}/a"), json!({"propagationPolicy": "Background"}), 200, done).await;
    lab.check(&format!("DELETE {MAPS}/a"), json!(null), 404, json!({"reason": "NotFound"})).await;
}

#[tokio::test]
async fn preconditions_are_held_to() {
    let lab = Session::new().await;
    let created = lab.config_map("a", json!({})).await;
    for wrong in [json!({"uid": "other"}), json!({"resourceVersion": "1"})] {
        let refused = json!({"reason": "Conflict"});
        lab.check(&format!("DELETE {MAPS}/a"), json!({"preconditions": wrong}), 409, refused).await;
    }
    let right =
        json!({"uid": created["metadata"]["uid"], "resourceVersion": created["metadata"]["resourceVersion"]});
    lab.check(
        &format!("DELETE {MAPS}/a"),
        json!({"preconditions": right}),
        200,
        json!({"status": "Success"}),
    )
    .await;
}

#[tokio::test]
async fn finalizers_hold_an_object() {
    let lab = Session::new().await;
    held(&lab, "a", &["lab/x", "lab/y"]).await;
    let going = json!({"kind": "ConfigMap", "metadata": {"deletionTimestamp": "*", "deletionGracePeriodSeconds": 0, "generation": 2}});
    let marked = lab.check(&format!("DELETE {MAPS}/a"), json!(null), 200, going.clone()).await;
    assert_eq!(marked, lab.check(&format!("DELETE {MAPS}/a"), json!(null), 200, going.clone()).await);

    let patch = |list| json!({"metadata": {"finalizers": list}});
    let merge = "application/merge-patch+json";
    let refused = json!({"reason": "Invalid", "details": {"causes": [{"field": "metadata.finalizers"}]}});
    lab.check_as(&format!("PATCH {MAPS}/a"), merge, patch(json!(["lab/x", "lab/y", "lab/z"])), 422, refused)
        .await;
    lab.check_as(&format!("PATCH {MAPS}/a"), merge, patch(json!(["lab/y"])), 200, going.clone()).await;
    lab.check(&format!("GET {MAPS}/a"), json!(null), 200, json!({"metadata": {"finalizers": ["lab/y"]}}))
        .await;
    lab.check_as(&format!("PATCH {MAPS}/a"), merge, patch(json!(null)), 200, json!({"kind": "ConfigMap"}))
        .await;
    lab.check(&format!("GET {MAPS}/a"), json!(null), 404, json!({})).await;
}

#[tokio::test]
async fn propagation_becomes_a_finalizer() {
    let lab = Session::new().await;
    for (name, options, finalizers) in [
        ("a", json!({"propagationPolicy": "Foreground"}), json!(["foregroundDeletion"])),
        ("b", json!({"propagationPolicy": "Orphan"}), json!(["orphan"])),
        ("c", json!({"orphanDependents": true}), json!(["orphan"])),
    ] {
        held(&lab, name, &[]).await;
        let going = json!({"metadata": {"deletionTimestamp": "*", "finalizers": finalizers}});
        lab.check(&format!("DELETE {MAPS}/{name}"), options, 200, going).await;
    }
    // Another policy takes the first one's place; the background needs no finalizer.
    lab.check(
        &format!("DELETE {MAPS}/a"),
        json!({"propagationPolicy": "Orphan"}),
        200,
        json!({"metadata": {"finalizers": ["orphan"]}}),
    )
    .await;
    lab.check(
        &format!("DELETE {MAPS}/a"),
        json!({"propagationPolicy": "Background"}),
        200,
        json!({"status": "Success"}),
    )
    .await;
    let by_query = json!({"metadata": {"finalizers": ["foregroundDeletion"]}});
    held(&lab, "d", &[]).await;
    lab.check(&format!("DELETE {MAPS}/d?propagationPolicy=Foreground"), json!(null), 200, by_query).await;
    for wrong in [
        json!({"propagationPolicy": "Slowly"}),
        json!({"gracePeriodSeconds": -1}),
        json!({"propagationPolicy": "Orphan", "orphanDependents": true}),
        json!({"dryRun": ["Some"]}),
    ] {
        lab.check(&format!("DELETE {MAPS}/d"), wrong, 422, json!({"reason": "Invalid"})).await;
    }
}

#[tokio::test]
async fn many_go_at_once() {
    let lab = Session::new().await;
    lab.config_map("a", json!({"go": "yes"})).await;
    lab.config_map("b", json!({"go": "no"})).await;
    lab.config_map("c", json!({"go": "yes"})).await;
    let gone =
        json!({"kind": "ConfigMapList", "items": [{"metadata": {"name": "a"}}, {"metadata": {"name": "c"}}]});
    lab.check(&format!("DELETE {MAPS}?labelSelector=go%3Dyes"), json!(null), 200, gone).await;
    lab.check(&format!("GET {MAPS}"), json!(null), 200, json!({"items": [{"metadata": {"name": "b"}}]}))
        .await;
}
