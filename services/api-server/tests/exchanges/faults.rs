//! What bad input gets: a status that says what is wrong, and nothing is lost.

use crate::session::{MAPS, SERVERS, Session, holds};
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use lab_access::Access;
use lab_api_server::{Authorizer, Caller, Options};
use serde_json::json;
use std::{convert::Infallible, sync::Arc};

const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";

#[tokio::test]
async fn bodies_that_cannot_be_read() {
    let lab = Session::new().await;
    for (content_type, body, status) in [
        ("application/json", "{", 400),
        ("application/json", "", 400),
        ("application/json", "[]", 400),
        ("application/json", "\"a\"", 400),
        ("application/json", "{\"metadata\":{\"name\":\"a\"}} {}", 400),
        ("application/json", "\u{0}\u{1}", 400),
        ("application/yaml", "a: [", 400),
        ("application/yaml", "- 1\n", 400),
        (PROTOBUF, "k8s", 400),
        (PROTOBUF, "k8s\0\u{7f}\u{7f}", 400),
        ("application/json", r#"{"kind":"Secret","apiVersion":"v1","metadata":{"name":"a"}}"#, 400),
        ("application/json", r#"{"kind":"ConfigMap","apiVersion":"v2","metadata":{"name":"a"}}"#, 400),
        ("application/json", r#"{"metadata":5}"#, 422),
        ("application/json", r#"{"metadata":{"name":"a"},"data":{"k":{"deep":[1]}}}"#, 422),
        ("application/json", r#"{"metadata":{"name":"a","labels":["x"]}}"#, 422),
        ("application/json", r#"{"metadata":{"name":5}}"#, 422),
        ("application/json", r#"{"metadata":{}}"#, 422),
        ("application/json", r#"{"metadata":{"name":"Not_A-Name"}}"#, 422),
        ("application/json", r#"{"metadata":{"name":"../escape"}}"#, 422),
        ("application/json", r#"{"metadata":{"name":"a/b"}}"#, 422),
        ("application/json", r#"{"metadata":{"name":"a","namespace":"other"}}"#, 400),
        ("application/json", r#"{"metadata":{"name":"a","resourceVersion":"5"}}"#, 400),
        ("application/xml", "<a/>", 415),
    ] {
        let answer = lab.send(&format!("POST {MAPS}"), &[("content-type", content_type)], body).await;
        let found = answer.json();
        assert_eq!(answer.status, status, "{content_type} {body:?}\n{found:#}");
        assert!(holds(&found, &json!({"kind": "Status", "status": "Failure", "message": "*"})), "{found:#}");
        assert!(answer.headers.contains_key("audit-id"));
    }
    lab.check(&format!("GET {MAPS}"), json!(null), 200, json!({"items": []})).await;
}

#[tokio::test]
async fn the_field_at_fault_is_named() {
    let lab = Session::new().await;
    for (path, body, field) in [
        (MAPS, json!({"metadata": {"name": "UPPER"}}), "metadata.name"),
        (MAPS, json!({"metadata": {"name": "a", "labels": {"k": "no spaces"}}}), "metadata.labels"),
        (MAPS, json!({"metadata": {"name": "a"}, "data": {"k": 1}}), "data.k"),
        (SERVERS, json!({"metadata": {"name": "a"}, "spec": {"hostname": ["x"]}}), "spec.hostname"),
    ] {
        let status = lab.check(&format!("POST {path}"), body, 422, json!({"reason": "Invalid"})).await;
        let causes = status["details"]["causes"].as_array().unwrap();
        assert!(causes.iter().any(|cause| cause["field"] == field), "{field}: {status:#}");
    }
}

#[tokio::test]
async fn a_body_may_be_3_mib() {
    let lab = Session::new().await;
    let request = format!("POST {MAPS}");
    let large = vec![b' '; 3 * 1024 * 1024 + 1];
    let refused = lab.send(&request, &[], large.clone()).await;
    assert_eq!(
        (refused.status.as_u16(), refused.json()["reason"].as_str()),
        (413, Some("RequestEntityTooLarge"))
    );
    let declared = lab.send(&request, &[("content-length", "99999999")], "{}").await;
    assert_eq!(declared.status, 413);

    // In pieces, without a length.
    let chunks = large.chunks(64 * 1024).map(|c| Ok::<_, Infallible>(Frame::data(Bytes::copy_from_slice(c))));
    let body = StreamBody::new(futures_util::stream::iter(chunks.collect::<Vec<_>>()));
    let request = Request::post(MAPS).body(body).unwrap();
    let response = lab.server.handle(request, Caller::internal("test")).await;
    assert_eq!(response.status(), 413);

    let split = [r#"{"metadata":{"#, r#""name":"a"}"#, "}"];
    let body = StreamBody::new(futures_util::stream::iter(
        split.map(|part| Ok::<_, Infallible>(Frame::data(Bytes::from_static(part.as_bytes())))),
    ));
    let response = lab.server.handle(Request::post(MAPS).body(body).unwrap(), Caller::internal("test")).await;
    assert_eq!(response.status(), 201);
}

#[tokio::test]
async fn a_body_that_breaks_off() {
    let lab = Session::new().await;
    let parts = [Ok(Frame::data(Bytes::from_static(b"{"))), Err(std::io::Error::other("reset"))];
    let body = StreamBody::new(futures_util::stream::iter(parts));
    let response = lab.server.handle(Request::post(MAPS).body(body).unwrap(), Caller::internal("test")).await;
    assert_eq!(response.status(), 400);
}

#[tokio::test]
async fn answers_that_cannot_be_given() {
    let lab = Session::new().await;
    let answer =
        lab.send(&format!("POST {MAPS}"), &[("accept", "image/png")], r#"{"metadata":{"name":"a"}}"#).await;
    assert_eq!((answer.status.as_u16(), answer.json()["reason"].as_str()), (406, Some("NotAcceptable")));
    lab.check(&format!("GET {MAPS}/a"), json!(null), 404, json!({})).await;
}

#[tokio::test]
async fn whoever_is_unknown_is_told_nothing() {
    let lab = Session::new().await;
    let get = |path: &str, caller: Caller| {
        let request = Request::get(path).body(Full::new(Bytes::new())).unwrap();
        let server = lab.server.clone();
        async move {
            let (parts, body) = server.handle(request, caller).await.into_parts();
            let body: lab_object::Json =
                serde_json::from_slice(&body.collect().await.unwrap().to_bytes()).unwrap_or_default();
            (parts.status.as_u16(), body)
        }
    };
    let stranger = Caller::new("someone", ["others"]);
    for (path, anonymous, known) in [
        ("/healthz", 200, 200),
        ("/livez", 200, 200),
        ("/readyz", 200, 200),
        ("/version", 200, 200),
        ("/healthzz", 401, 403),
        ("/metrics", 401, 403),
        ("/api", 401, 403),
        ("/nowhere", 401, 403),
        ("/api/v1/nothings", 401, 403),
        ("/api/v1/namespaces/a%2fb", 401, 403),
        ("/api/v1/namespaces", 401, 403),
        ("/clusters/other/healthz", 200, 200),
    ] {
        let (status, body) = get(path, Caller::anonymous(None)).await;
        assert_eq!(status, anonymous, "{path} {body}");
        if status == 401 {
            assert!(holds(&body, &json!({"kind": "Status", "reason": "Unauthorized"})), "{body}");
        }
        assert_eq!(get(path, stranger.clone()).await.0, known, "{path}");
    }
    let (_, body) = get("/api/v1/namespaces/default/configmaps/a", stranger).await;
    let message = body["message"].as_str().unwrap();
    let expected = r#"configmaps "a" is forbidden: User "someone" cannot get resource "configmaps" in API group "" in the namespace "default""#;
    assert!(message.starts_with(expected), "{message}");
}

/// Panics when it is asked about one tenant.
struct Faulty;

impl Authorizer for Faulty {
    fn access(&self, _: &Caller, tenant: &str) -> Arc<Access> {
        assert_ne!(tenant, "faulty", "a fault in the server");
        Arc::new(Access::EVERYTHING)
    }
}

#[tokio::test]
async fn a_panic_is_an_answer_and_the_server_goes_on() {
    let lab = Session::with(Options { authorizer: Arc::new(Faulty), ..Options::default() }).await;
    let internal = json!({"reason": "InternalError", "code": 500});
    lab.check("GET /clusters/faulty/api/v1/secrets", json!(null), 500, internal).await;
    lab.check(&format!("GET {MAPS}"), json!(null), 200, json!({})).await;
    let text = lab.send("GET /metrics", &[], "").await;
    assert!(std::str::from_utf8(&text.body).unwrap().contains("apiserver_panics_total 1"));
}

#[tokio::test]
async fn too_many_requests_are_refused() {
    let lab = Session::with(Options { max_requests: 1, ..Options::default() }).await;
    let waiting = StreamBody::new(futures_util::stream::pending::<Result<Frame<Bytes>, Infallible>>());
    let request = Request::post(MAPS).body(waiting).unwrap();
    let server = lab.server.clone();
    let stuck = tokio::spawn(async move { server.handle(request, Caller::internal("slow")).await });
    tokio::task::yield_now().await;
    let answer = lab.send(&format!("GET {MAPS}"), &[], "").await;
    assert_eq!((answer.status.as_u16(), answer.json()["reason"].as_str()), (429, Some("TooManyRequests")));
    stuck.abort();
    assert!(stuck.await.is_err());
    lab.check(&format!("GET {MAPS}"), json!(null), 200, json!({})).await;
}
