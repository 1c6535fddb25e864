//! Requests as kubectl 1.32 was recorded to send them: what it asks for must be answered as it expects.

use crate::session::{Session, holds};
use lab_object::Json;
use serde_json::json;

const JSON: &str = "application/json";
const ANY: &str = "application/json, */*";
const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";
const BOTH: &str = "application/vnd.kubernetes.protobuf,application/json";
const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json";
const DISCOVERY: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json";
const MERGE: &str = "application/merge-patch+json";
const APPLY: &str = "application/apply-patch+yaml";

const MAP: &str = "/api/v1/namespaces/default/configmaps";
const SERVER: &str = "/apis/metal.lab/v1alpha1/servers";

/// Sends one recorded request and expects a status and, in the answer, these fields.
async fn check(lab: &Session, request: &str, types: (&str, &str), body: &str, status: u16, expected: Json) {
    let (accept, content_type) = types;
    let mut headers =
        vec![("accept", accept), ("user-agent", "kubectl.1.32/v1.32.5 (linux/amd64) kubernetes/9894294")];
    if !content_type.is_empty() {
        headers.push(("content-type", content_type));
    }
    let answer = lab.send(request, &headers, body.to_owned()).await;
    let found = answer.json();
    assert_eq!(answer.status, status, "{request}\n{found:#}");
    assert!(holds(&found, &expected), "{request}\nexpected {expected:#}\nfound {found:#}");
}

#[tokio::test]
async fn discovery_and_documents() {
    let lab = Session::new().await;
    for (path, accept, status, expected) in [
        ("/api?timeout=5s", DISCOVERY, 200, json!({"kind": "APIGroupDiscoveryList"})),
        ("/apis?timeout=5s", DISCOVERY, 200, json!({"kind": "APIGroupDiscoveryList"})),
        ("/openapi/v3?timeout=32s", ANY, 200, json!({"paths": {}})),
        ("/openapi/v3/api/v1?hash=ABC&timeout=32s", JSON, 200, json!({})),
        ("/version?timeout=32s", ANY, 200, json!({"major": "1"})),
        ("/readyz", ANY, 200, json!(null)),
    ] {
        let answer = lab.send(&format!("GET {path}"), &[("accept", accept)], "").await;
        let following = answer.status.is_redirection();
        assert!(following || answer.status == status, "{path} {}", answer.status);
        assert!(following || holds(&answer.json(), &expected), "{path} {:#}", answer.json());
    }
    let accept = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";
    let answer = lab.send("GET /openapi/v2?timeout=32s", &[("accept", accept)], "").await;
    let given = answer.headers["content-type"].to_str().unwrap();
    assert!(answer.status == 200 && given.ends_with("v2.v1.0+protobuf"), "{} {given}", answer.status);
}

#[tokio::test]
async fn the_life_of_a_config_map() {
    let lab = Session::new().await;
    let created = "{\"apiVersion\":\"v1\",\"data\":{\"a\":\"b\"},\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"cm1\",\"namespace\":\"default\"}}\n";
    let managed = json!({"metadata": {"managedFields": [{"manager": "kubectl-create"}]}});
    check(
        &lab,
        &format!("POST {MAP}?fieldManager=kubectl-create&fieldValidation=Strict"),
        (JSON, JSON),
        created,
        201,
        managed,
    )
    .await;
    check(&lab, &format!("GET {MAP}/cm1"), (JSON, ""), "", 200, json!({"data": {"a": "b"}})).await;
    check(&lab, &format!("GET {MAP}?limit=500"), (TABLE, ""), "", 200,
        json!({"kind": "Table", "apiVersion": "meta.k8s.io/v1", "rows": [{"object": {"kind": "PartialObjectMetadata"}}]})).await;
    check(
        &lab,
        &format!("PATCH {MAP}/cm1?fieldManager=kubectl-label"),
        (JSON, MERGE),
        "{\"metadata\":{\"labels\":{\"a\":\"b\"}}}",
        200,
        json!({"metadata": {"labels": {"a": "b"}}}),
    )
    .await;
    check(
        &lab,
        &format!("PATCH {MAP}/cm1?fieldManager=kubectl-annotate"),
        (JSON, MERGE),
        "{\"metadata\":{\"annotations\":{\"z\":\"1\"}}}",
        200,
        json!({"metadata": {"annotations": {"z": "1"}}}),
    )
    .await;
    let stale = created.replace("\"default\"", "\"default\",\"resourceVersion\":\"1\"");
    let replace = format!("PUT {MAP}/cm1?fieldManager=kubectl-replace&fieldValidation=Strict");
    check(&lab, &replace, (JSON, JSON), &stale, 409, json!({"reason": "Conflict"})).await;
    check(&lab, &replace, (JSON, JSON), created, 200, json!({"data": {"a": "b"}})).await;
    check(
        &lab,
        &format!("PATCH {MAP}/cm1?dryRun=All&fieldManager=kubectl-client-side-apply"),
        (JSON, "application/strategic-merge-patch+json"),
        "{\"data\":{\"a\":\"c\"}}",
        200,
        json!({"data": {"a": "c"}}),
    )
    .await;
    check(
        &lab,
        &format!("DELETE {MAP}/cm1"),
        (JSON, JSON),
        "{\"propagationPolicy\":\"Background\"}\n",
        200,
        json!({"status": "Success", "details": {"name": "cm1", "kind": "configmaps", "uid": "*"}}),
    )
    .await;
    check(&lab, &format!("GET {MAP}/cm1"), (JSON, ""), "", 404, json!({"reason": "NotFound"})).await;
}

#[tokio::test]
async fn typed_creates_send_protobuf() {
    let lab = Session::new().await;
    let create = "?fieldManager=kubectl-create&fieldValidation=Strict";
    let map = "k8s\0\n\u{f}\n\u{2}v1\u{12}\tConfigMap\u{12}\u{1c}\n\u{12}\n\u{2}c3\u{12}\0\u{1a}\0\"\0*\u{0}2\u{0}8\0B\0\u{12}\u{6}\n\u{1}a\u{12}\u{1}b\u{1a}\0\"\0";
    check(
        &lab,
        &format!("POST {MAP}{create}"),
        (BOTH, PROTOBUF),
        map,
        201,
        json!({"metadata": {"name": "c3"}, "data": {"a": "b"}}),
    )
    .await;
    let namespace = "k8s\0\n\u{f}\n\u{2}v1\u{12}\tNamespace\u{12}\u{1a}\n\u{12}\n\u{2}n2\u{12}\0\u{1a}\0\"\0*\u{0}2\u{0}8\0B\0\u{12}\0\u{1a}\u{2}\n\0\u{1a}\0\"\0";
    check(
        &lab,
        &format!("POST /api/v1/namespaces{create}"),
        (BOTH, PROTOBUF),
        namespace,
        201,
        json!({"metadata": {"name": "n2"}}),
    )
    .await;
    let token = "k8s\0\n(\n\u{18}authentication.k8s.io/v1\u{12}\u{c}TokenRequest\u{12}\u{1a}\n\u{10}\n\0\u{12}\0\u{1a}\0\"\0*\u{0}2\u{0}8\0B\0\u{12}\0\u{1a}\u{4}\n\0\u{12}\0\u{1a}\0\"\0";
    let accounts = "/api/v1/namespaces/default/serviceaccounts";
    lab.check(&format!("POST {accounts}"), json!({"metadata": {"name": "default"}}), 201, json!({})).await;
    check(
        &lab,
        &format!("POST {accounts}/default/token"),
        (BOTH, PROTOBUF),
        token,
        501,
        json!({"reason": "NotImplemented"}),
    )
    .await;
}

#[tokio::test]
async fn servers_are_applied_waited_for_and_described() {
    let lab = Session::new().await;
    let apply = format!("PATCH {SERVER}/s1?fieldManager=kubectl&fieldValidation=Strict&force=false");
    let applied = "{\"apiVersion\":\"metal.lab/v1alpha1\",\"kind\":\"Server\",\"metadata\":{\"name\":\"s1\"},\"spec\":{\"hostname\":\"m2\"}}\n";
    check(&lab, &apply, (JSON, APPLY), applied, 201, json!({"spec": {"hostname": "m2"}})).await;
    check(&lab, &apply, (JSON, APPLY), applied, 200, json!({"spec": {"hostname": "m2"}})).await;
    check(&lab, &format!("GET {SERVER}?limit=500"), (TABLE, ""), "", 200, json!({"kind": "Table"})).await;
    let by_name = "fieldSelector=metadata.name%3Ds1";
    check(
        &lab,
        &format!("GET {SERVER}?{by_name}&limit=500&resourceVersion=0"),
        (JSON, ""),
        "",
        200,
        json!({"kind": "ServerList", "items": [{"metadata": {"name": "s1"}}]}),
    )
    .await;
    let from = lab_store::Store::revision(&*lab.store);
    let path = format!(
        "{SERVER}?allowWatchBookmarks=true&{by_name}&resourceVersion={from}&timeoutSeconds=425&watch=true"
    );
    let mut watch = lab.watch(&path, &[("accept", JSON)]).await;
    check(
        &lab,
        &format!("PATCH {SERVER}/s1?fieldManager=kubectl-patch"),
        (JSON, MERGE),
        "{\"spec\":{\"hostname\":\"m3\"}}",
        200,
        json!({}),
    )
    .await;
    watch.expect(&[("MODIFIED", json!({"spec": {"hostname": "m3"}}))]).await;
    let events = "/api/v1/events?fieldSelector=involvedObject.name%3Ds1%2CinvolvedObject.namespace%3D%2CinvolvedObject.kind%3DServer%2CinvolvedObject.uid%3Ds1&limit=500";
    check(&lab, &format!("GET {events}"), (BOTH, ""), "", 200, json!({"kind": "EventList", "items": []}))
        .await;
    check(
        &lab,
        &format!("DELETE {SERVER}/s1"),
        (JSON, JSON),
        "{\"propagationPolicy\":\"Background\"}\n",
        200,
        json!({"status": "Success", "details": {"group": "metal.lab", "kind": "servers"}}),
    )
    .await;
}
