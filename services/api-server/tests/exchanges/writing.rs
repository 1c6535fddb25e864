//! POST, PUT and the status subresource.

use crate::session::{MAPS, SERVERS, Session, version};
use serde_json::json;

#[tokio::test]
async fn an_object_is_created_read_replaced() {
    let lab = Session::new().await;
    let created = lab
        .check(
            &format!("POST {MAPS}?fieldManager=tester"),
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "creationTimestamp": null}, "data": {"k": "v"}}),
            201,
            json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"k": "v"}, "metadata": {
                "name": "a", "namespace": "default", "uid": "*", "creationTimestamp": "*", "resourceVersion": "*",
                "managedFields": [{"manager": "tester", "operation": "Update", "apiVersion": "v1"}]}}),
        )
        .await;
    let read = lab.check(&format!("GET {MAPS}/a"), json!(null), 200, json!({})).await;
    assert_eq!(read, created);

    let mut wanted = created.clone();
    wanted["data"]["k"] = "w".into();
    let replaced =
        lab.check(&format!("PUT {MAPS}/a"), wanted.clone(), 200, json!({"data": {"k": "w"}})).await;
    assert!(version(&replaced) > version(&created));
    assert_eq!(replaced["metadata"]["uid"], created["metadata"]["uid"]);

    let conflict = json!({"reason": "Conflict", "code": 409, "details": {"name": "a", "kind": "configmaps"},
        "message": "Operation cannot be fulfilled on configmaps \"a\": the object has been modified; please apply your changes to the latest version and try again"});
    lab.check(&format!("PUT {MAPS}/a"), wanted, 409, conflict).await;

    let unconditional = json!({"metadata": {"name": "a"}, "data": {"k": "x"}});
    let again =
        lab.check(&format!("PUT {MAPS}/a"), unconditional.clone(), 200, json!({"data": {"k": "x"}})).await;
    let same = lab.check(&format!("PUT {MAPS}/a"), unconditional, 200, json!({"data": {"k": "x"}})).await;
    assert_eq!(version(&again), version(&same), "a write that changes nothing is not stored");

    let exists = json!({"reason": "AlreadyExists", "message": "configmaps \"a\" already exists"});
    lab.check(&format!("POST {MAPS}"), json!({"metadata": {"name": "a"}}), 409, exists).await;
    let absent = json!({"reason": "NotFound", "message": "configmaps \"b\" not found"});
    lab.check(&format!("PUT {MAPS}/b"), json!({"metadata": {"name": "b"}}), 404, absent).await;
}

#[tokio::test]
async fn names_are_generated() {
    let lab = Session::new().await;
    let object = json!({"metadata": {"generateName": "job-"}});
    let mut names = Vec::new();
    for _ in 0..3 {
        let created = lab.check(&format!("POST {MAPS}"), object.clone(), 201, json!({})).await;
        names.push(created["metadata"]["name"].as_str().unwrap().to_owned());
    }
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), 3);
    for name in names {
        let suffix = name.strip_prefix("job-").unwrap();
        assert!(
            suffix.len() == 5 && suffix.chars().all(|c| "bcdfghjklmnpqrstvwxz2456789".contains(c)),
            "{name}"
        );
    }
}

#[tokio::test]
async fn a_namespace_must_exist_and_not_be_going() {
    let lab = Session::new().await;
    let object = json!({"metadata": {"name": "a"}});
    let absent = json!({"reason": "NotFound", "message": "namespaces \"none\" not found"});
    lab.check("POST /api/v1/namespaces/none/configmaps", object.clone(), 404, absent).await;
    lab.check(
        "POST /api/v1/namespaces",
        json!({"metadata": {"name": "old"}}),
        201,
        json!({"spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"}}),
    )
    .await;
    lab.check("DELETE /api/v1/namespaces/old", json!(null), 200,
        json!({"kind": "Namespace", "metadata": {"deletionTimestamp": "*"}, "status": {"phase": "Terminating"}})).await;
    let going = json!({"reason": "Forbidden", "details": {"causes": [{"reason": "NamespaceTerminating"}]}});
    lab.check("POST /api/v1/namespaces/old/configmaps", object, 403, going).await;
    let old = lab.check("GET /api/v1/namespaces/old", json!(null), 200, json!({})).await;
    let mut emptied = old.clone();
    emptied["spec"]["finalizers"] = json!([]);
    let kept = json!({"spec": {"finalizers": ["kubernetes"]}});
    lab.check("PUT /api/v1/namespaces/old", emptied.clone(), 200, kept).await;
    lab.check("PUT /api/v1/namespaces/old/finalize", emptied, 200, json!({"kind": "Namespace"})).await;
    lab.check("GET /api/v1/namespaces/old", json!(null), 404, json!({"reason": "NotFound"})).await;
}

#[tokio::test]
async fn status_is_written_apart() {
    let lab = Session::new().await;
    let server = json!({"metadata": {"name": "aa-bb-cc-dd-ee-01"}, "spec": {"hostname": "one"}, "status": {"phase": "Ready"}});
    let created =
        lab.check(&format!("POST {SERVERS}"), server, 201, json!({"metadata": {"generation": 1}})).await;
    assert_ne!(created["status"]["phase"], "Ready", "status is not taken from a create");
    let path = format!("{SERVERS}/aa-bb-cc-dd-ee-01");
    let mut wanted = created.clone();
    wanted["status"] = json!({"phase": "Discovering"});
    wanted["spec"]["hostname"] = "two".into();
    lab.check(
        &format!("PUT {path}"),
        wanted.clone(),
        200,
        json!({"spec": {"hostname": "two"}, "metadata": {"generation": 2}}),
    )
    .await;
    wanted["metadata"].as_object_mut().unwrap().remove("resourceVersion");
    wanted["spec"]["hostname"] = "three".into();
    let phase = json!({"status": {"phase": "Discovering"}, "spec": {"hostname": "two"}, "metadata": {"generation": 2}});
    lab.check(&format!("PUT {path}/status"), wanted, 200, phase.clone()).await;
    lab.check(&format!("GET {path}/status"), json!(null), 200, phase).await;
}

#[tokio::test]
async fn a_dry_run_changes_nothing() {
    let lab = Session::new().await;
    let before = lab.server.store().revision();
    let object = json!({"metadata": {"name": "a"}, "data": {"k": "v"}});
    lab.check(&format!("POST {MAPS}?dryRun=All"), object.clone(), 201, json!({"metadata": {"uid": "*"}}))
        .await;
    lab.check(&format!("GET {MAPS}/a"), json!(null), 404, json!({})).await;
    assert_eq!(lab.server.store().revision(), before);
    lab.check(&format!("POST {MAPS}"), object.clone(), 201, json!({})).await;
    lab.check(&format!("POST {MAPS}?dryRun=All"), object.clone(), 409, json!({"reason": "AlreadyExists"}))
        .await;
    let changed = json!({"metadata": {"name": "a"}, "data": {"k": "w"}});
    lab.check(&format!("PUT {MAPS}/a?dryRun=All"), changed.clone(), 200, changed.clone()).await;
    lab.check_as(
        &format!("PATCH {MAPS}/a?dryRun=All"),
        "application/merge-patch+json",
        json!({"data": {"k": "w"}}),
        200,
        changed,
    )
    .await;
    lab.check(&format!("DELETE {MAPS}/a?dryRun=All"), json!(null), 200, json!({"status": "Success"})).await;
    lab.check(&format!("DELETE {MAPS}?dryRun=All"), json!(null), 200, json!({"kind": "ConfigMapList"})).await;
    lab.check(&format!("GET {MAPS}/a"), json!(null), 200, object).await;
    lab.check(&format!("POST {MAPS}?dryRun=Some"), json!({}), 422, json!({"reason": "Invalid"})).await;
}

#[tokio::test]
async fn unknown_and_duplicate_fields() {
    let lab = Session::new().await;
    let body = r#"{"metadata":{"name":"NAME"},"data":{"k":"v","k":"w"},"more":1}"#;
    for (name, validation, status, warnings) in
        [("a", "", 201, 2), ("b", "Warn", 201, 2), ("c", "Ignore", 201, 0), ("d", "Strict", 400, 0)]
    {
        let request = format!("POST {MAPS}?fieldValidation={validation}");
        let answer = lab.send(&request, &[], body.replace("NAME", name)).await;
        let found = answer.json();
        assert_eq!(answer.status, status, "{validation}: {found:#}");
        let shown: Vec<_> = answer.headers.get_all("warning").iter().map(|w| w.to_str().unwrap()).collect();
        assert_eq!(shown.len(), warnings, "{validation}: {shown:?}");
        assert!(shown.iter().all(|w| w.starts_with("299 - \"") && w.contains(" field \\\"")), "{shown:?}");
        if status == 400 {
            let message = found["message"].as_str().unwrap();
            assert!(
                message.contains("strict decoding error") && message.contains("unknown field \"more\""),
                "{message}"
            );
        }
    }
}

#[tokio::test]
async fn a_token_is_asked_for() {
    let lab = Session::new().await;
    let accounts = "/api/v1/namespaces/default/serviceaccounts";
    lab.check(&format!("POST {accounts}"), json!({"metadata": {"name": "s"}}), 201, json!({})).await;
    let request = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"audiences": ["a"]}});
    lab.check(&format!("POST {accounts}/s/token"), request.clone(), 501, json!({"reason": "NotImplemented"}))
        .await;
    lab.check(&format!("POST {accounts}/t/token"), request.clone(), 404, json!({"reason": "NotFound"})).await;
    let mut short = request;
    short["spec"]["expirationSeconds"] = 5.into();
    let refused = json!({"reason": "Invalid", "details": {"causes": [{"field": "spec.expirationSeconds"}]}});
    lab.check(&format!("POST {accounts}/s/token"), short, 422, refused).await;
    lab.check(&format!("GET {accounts}/s/token"), json!(null), 405, json!({"reason": "MethodNotAllowed"}))
        .await;
}
