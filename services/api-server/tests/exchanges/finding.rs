//! GET by name and by other names, paths, tenants, methods.

use crate::session::{MAPS, SERVERS, Session};
use serde_json::json;

#[tokio::test]
async fn a_server_answers_to_its_other_names() {
    let lab = Session::new().await;
    let server = |name: &str, host: &str| json!({"metadata": {"name": name}, "spec": {"hostname": host}});
    let one = lab.check(&format!("POST {SERVERS}"), server("aa-bb-cc-dd-ee-01", "one"), 201, json!({})).await;
    lab.check(&format!("POST {SERVERS}"), server("aa-bb-cc-dd-ee-02", "two"), 201, json!({})).await;
    let found = json!({"metadata": {"name": "aa-bb-cc-dd-ee-01"}});
    let uid = one["metadata"]["uid"].as_str().unwrap();
    let nics = json!({"status": {"nics": [{"name": "eth0", "mac": "aa:bb:cc:dd:ee:01"}], "addresses": ["10.1.2.3", "fd00::1"]}});
    lab.check_as(
        &format!("PATCH {SERVERS}/one/status"),
        "application/merge-patch+json",
        nics,
        200,
        found.clone(),
    )
    .await;
    let macs = ["aa:bb:cc:dd:ee:01", "AA-BB-CC-DD-EE-01", "aabb.ccdd.ee01", "aabbccddee01"];
    let addresses = ["10.1.2.3", "fd00::1", "FD00:0::1"];
    for name in ["one", "ONE", uid].into_iter().chain(macs).chain(addresses) {
        lab.check(&format!("GET {SERVERS}/{name}"), json!(null), 200, found.clone()).await;
    }
    lab.check(&format!("GET {SERVERS}/three"), json!(null), 404, json!({"reason": "NotFound"})).await;

    let patch = json!({"spec": {"hostname": "three"}});
    lab.check_as(&format!("PATCH {SERVERS}/one"), "application/merge-patch+json", patch, 200, found.clone())
        .await;
    lab.check(&format!("GET {SERVERS}/three"), json!(null), 200, found.clone()).await;
    lab.check(&format!("GET {SERVERS}/one"), json!(null), 404, json!({})).await;

    let replacement = server("aa-bb-cc-dd-ee-01", "four");
    lab.check(&format!("PUT {SERVERS}/three"), replacement, 200, found).await;
    lab.check(
        &format!("DELETE {SERVERS}/four"),
        json!(null),
        200,
        json!({"status": "Success", "details": {"name": "aa-bb-cc-dd-ee-01"}}),
    )
    .await;
    lab.check(&format!("GET {SERVERS}/four"), json!(null), 404, json!({})).await;
}

#[tokio::test]
async fn an_ambiguous_name_lists_the_candidates() {
    let lab = Session::new().await;
    for name in ["s1", "s2"] {
        let server = json!({"metadata": {"name": name}, "spec": {"hostname": "same"}});
        lab.check(&format!("POST {SERVERS}"), server, 201, json!({})).await;
    }
    let refused = json!({"reason": "Conflict", "details": {"causes": [{"reason": "AmbiguousName"}, {"reason": "AmbiguousName"}]}});
    let status = lab.check(&format!("GET {SERVERS}/same"), json!(null), 409, refused).await;
    assert!(status["message"].as_str().unwrap().contains("s1, s2"), "{status}");
}

#[tokio::test]
async fn tenants_do_not_see_each_other() {
    let lab = Session::new().await;
    lab.config_map("mine", json!({})).await;
    let theirs = format!("/clusters/other{MAPS}");
    lab.check(&format!("GET {theirs}/mine"), json!(null), 404, json!({"reason": "NotFound"})).await;
    lab.check(&format!("GET {theirs}"), json!(null), 200, json!({"items": []})).await;
    lab.check(
        &format!("POST {theirs}"),
        json!({"metadata": {"name": "a"}}),
        404,
        json!({"details": {"kind": "namespaces"}}),
    )
    .await;
    lab.check(
        &format!("GET /clusters/default{MAPS}/mine"),
        json!(null),
        200,
        json!({"metadata": {"name": "mine"}}),
    )
    .await;
}

#[tokio::test]
async fn paths_that_lead_nowhere() {
    let lab = Session::new().await;
    for (request, status) in [
        ("GET /api/v1/nothings", 404),
        ("GET /api/v2/configmaps", 404),
        ("GET /apis/none.lab/v1/servers", 404),
        ("GET /nowhere", 404),
        ("GET /api/v1/namespaces/default/namespaces/x/y/z", 404),
        ("GET /apis/metal.lab/v1alpha1/namespaces/default/servers", 404),
        ("GET /api/v1/configmaps/a", 404),
        ("GET /api/v1/namespaces/default/configmaps/a/scale", 404),
        ("GET /api/v1/namespaces//configmaps", 400),
        ("GET /api/v1/namespaces/default/configmaps/..", 400),
        ("GET /api/v1/namespaces/default/configmaps/%2e%2e", 400),
        ("GET /api/v1/namespaces/default/configmaps/a%2fb", 400),
        ("GET /api/v1/namespaces/default%2F..%2Fother/configmaps", 400),
        ("GET /api/v1/namespaces/default/configmaps/%00", 400),
        ("GET /api/v1/namespaces/default/configmaps/%ff", 400),
        ("GET /clusters/..%2fx/api/v1/configmaps", 400),
        ("GET /clusters/UPPER/api/v1/configmaps", 400),
        ("POST /api/v1/configmaps", 405),
        ("POST /api/v1/namespaces/default/configmaps/a", 405),
        ("PUT /api/v1/namespaces/default/configmaps", 405),
        ("PATCH /api/v1/namespaces/default/configmaps", 405),
        ("DELETE /api/v1/configmaps", 405),
        ("OPTIONS /api/v1/configmaps", 405),
        ("POST /version", 405),
    ] {
        let status_of = |code| match code {
            400 => "BadRequest",
            404 => "NotFound",
            _ => "MethodNotAllowed",
        };
        lab.check(request, json!(null), status, json!({"kind": "Status", "reason": status_of(status)})).await;
    }
}

#[tokio::test]
async fn a_refused_method_comes_with_those_that_are_taken() {
    let lab = Session::new().await;
    for (request, allowed) in [
        ("PUT /api/v1/namespaces/default/configmaps", "GET, HEAD, POST, DELETE"),
        ("POST /api/v1/namespaces/default/configmaps/a", "GET, HEAD, PUT, PATCH, DELETE"),
        ("POST /api/v1/configmaps", "GET, HEAD"),
        ("POST /api/v1/watch/configmaps", "GET, HEAD"),
        ("GET /api/v1/namespaces/default/serviceaccounts/a/token", "POST"),
        ("DELETE /version", "GET, HEAD"),
        ("GET /apis/authorization.k8s.io/v1/selfsubjectaccessreviews", "POST"),
    ] {
        let answer = lab.send(request, &[], "").await;
        assert_eq!(
            (answer.status.as_u16(), &answer.headers["allow"]),
            (405, &allowed.parse().unwrap()),
            "{request}"
        );
    }
}

#[tokio::test]
async fn options_that_cannot_be_read_are_named() {
    let lab = Session::new().await;
    for (query, status, named) in [
        ("limit=x", 400, "limit"),
        ("timeoutSeconds=soon", 400, "timeoutSeconds"),
        ("resourceVersion=new", 400, "resourceVersion"),
        ("watch=perhaps", 400, "watch"),
        ("resourceVersionMatch=Nearly", 422, "resourceVersionMatch"),
        ("resourceVersionMatch=Exact", 422, "resourceVersionMatch"),
        ("resourceVersionMatch=Exact&resourceVersion=0", 422, "resourceVersionMatch"),
        ("sendInitialEvents=true", 422, "sendInitialEvents"),
        ("watch=1&sendInitialEvents=true", 422, "resourceVersionMatch"),
        ("propagationPolicy=Slowly", 422, "propagationPolicy"),
        ("fieldManager=%07", 422, "fieldManager"),
        ("fieldValidation=Lax", 422, "fieldValidation"),
    ] {
        let refused = json!({"details": {"causes": [{"field": named}]}});
        lab.check(&format!("GET {MAPS}?{query}"), json!(null), status, refused).await;
    }
    for (query, words) in [
        ("labelSelector=a%3D%3D%3Db", "labelSelector"),
        ("fieldSelector=metadata.name", "fieldSelector"),
        ("fieldSelector=data.k%3Dv", "data.k"),
        ("continue=nonsense", "continue"),
    ] {
        let status = lab
            .check(&format!("GET {MAPS}?{query}"), json!(null), 400, json!({"reason": "BadRequest"}))
            .await;
        assert!(status["message"].as_str().unwrap().contains(words), "{status}");
    }
    lab.check(&format!("GET {MAPS}?unheard=of&limit=&watch=false"), json!(null), 200, json!({"items": []}))
        .await;
}

#[tokio::test]
async fn health_version_metrics() {
    let lab = Session::new().await;
    for path in ["/healthz", "/livez", "/readyz", "/readyz/store", "/healthz/ping"] {
        let answer = lab.send(&format!("GET {path}"), &[], "").await;
        assert_eq!((answer.status.as_u16(), &answer.body[..]), (200, &b"ok"[..]), "{path}");
    }
    let verbose = lab.send("GET /readyz?verbose", &[], "").await;
    assert_eq!(&verbose.body[..], b"[+]ping ok\n[+]store ok\nreadyz check passed\n");
    lab.check("GET /readyz/none", json!(null), 404, json!({})).await;
    lab.check("GET /version", json!(null), 200, json!({"major": "1", "gitVersion": "*"})).await;
    lab.config_map("a", json!({})).await;
    let metrics = lab.send("GET /metrics", &[], "").await;
    let text = std::str::from_utf8(&metrics.body).unwrap();
    for line in [
        r#"apiserver_request_total{verb="create",group="",resource="configmaps",subresource="",code="201"} 1"#,
        r#"apiserver_request_duration_seconds_count{verb="create",group="",resource="configmaps",subresource=""} 1"#,
        "apiserver_requests_in_flight 1",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
}
