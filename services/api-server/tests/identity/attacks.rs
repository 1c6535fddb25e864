//! What attackers try on the wire.

use crate::session::{IAM, Lab, METAL, NULL, Shown};
use http_body_util::{BodyExt, StreamBody};
use lab_object::Json;
use serde_json::json;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Sends bytes as they are; everything that is answered until nothing more comes.
async fn raw(lab: &Lab, shown: &Shown, bytes: &str) -> String {
    let mut stream = lab.dial(shown, "http/1.1").await;
    stream.write_all(bytes.as_bytes()).await.ok();
    let mut answer = Vec::new();
    let reading = async {
        let mut part = [0; 4096];
        while let Ok(length @ 1..) = stream.read(&mut part).await {
            answer.extend_from_slice(&part[..length]);
        }
    };
    tokio::time::timeout(Duration::from_millis(700), reading).await.ok();
    String::from_utf8_lossy(&answer).into_owned()
}

async fn reader(lab: &Lab) -> Shown {
    lab.bind("viewer", "User", "u").await;
    let token = json!({"metadata": {"name": "t"}, "spec": {"user": "u"}});
    let made = lab.root("POST", &format!("{IAM}/apitokens"), token, 201).await;
    Shown::token(made["status"]["token"].as_str().unwrap())
}

#[tokio::test]
async fn paths_lead_nowhere_else() {
    let lab = Lab::new().await;
    let secret = json!({"metadata": {"name": "s"}, "stringData": {"k": "hidden"}});
    lab.root("POST", "/api/v1/namespaces/default/secrets", secret, 201).await;
    let shown = reader(&lab).await;
    let token = shown.token.clone().unwrap();
    for path in [
        "/api/v1/namespaces/default/configmaps/../secrets/s",
        "/api/v1/namespaces/default/configmaps/..%2fsecrets%2fs",
        "/api/v1/namespaces/default/configmaps/%2e%2e/secrets/s",
        "/api/v1/namespaces/%2e%2e/secrets/s",
        "/api/v1/namespaces/default%2fsecrets%2fs",
        "/api/v1/namespaces/default/secrets/s",
        "//api/v1/namespaces/default/secrets/s",
        "/api//v1/namespaces/default/secrets/s",
        "/healthz/../api/v1/namespaces/default/secrets/s",
        "/healthz%2f..%2fapi%2fv1%2fnamespaces%2fdefault%2fsecrets%2fs",
        "/clusters/default/api/v1/namespaces/default/secrets/s",
        "/clusters/other/api/v1/namespaces/default/secrets/s",
        "/clusters/../api/v1/namespaces/default/secrets/s",
        "/clusters/default%2fcore%2fsecrets/api/v1/namespaces",
        "/apis/iam.lab/v1alpha1/logins/../apitokens",
        "/apis/iam.lab/v1alpha1/enrolments/..%2fusers",
    ] {
        for authorization in ["", &format!("authorization: Bearer {token}\r\n")] {
            let request =
                format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{authorization}\r\n");
            let answer = raw(&lab, &Shown::default(), &request).await;
            assert!(answer.starts_with("HTTP/1.1 4"), "{path}: {answer}");
            assert!(!answer.contains("hidden") && !answer.contains("aGlkZGVu"), "{path}: {answer}");
        }
    }
}

#[tokio::test]
async fn no_request_hides_in_another() {
    let lab = Lab::new().await;
    let admin = Shown::issued(&lab.certificate("admin", &["system:masters"]));
    let path = format!("{METAL}/servers");
    let hidden = format!("DELETE {path}/s-dev HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\n\r\n");
    let head = format!("POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n");
    for lengths in [
        format!("content-length: {}\r\ncontent-length: 2\r\n", hidden.len() + 2),
        format!("content-length: 2\r\ncontent-length: {}\r\n", hidden.len() + 2),
        "content-length: +2\r\n".into(),
        "content-length: 2, 2\r\n".into(),
        "transfer-encoding: chunked, identity\r\n".into(),
        "transfer-encoding: xchunked\r\n".into(),
        "transfer-encoding : chunked\r\ncontent-length: 2\r\n".into(),
    ] {
        let answer = raw(&lab, &admin, &format!("{head}{lengths}\r\n{{}}{hidden}")).await;
        assert!(!answer.contains("HTTP/1.1 2"), "{lengths}: {answer}");
        lab.root("GET", &format!("{path}/s-dev"), NULL, 200).await;
    }
}

#[tokio::test]
async fn what_is_too_large_is_not_read() {
    let lab = Lab::new().await;
    let big = "y".repeat(200 * 1024);
    for header in [format!("authorization: Bearer {big}"), format!("x-{big}: 1"), format!("cookie: {big}")] {
        let request = format!("GET {METAL}/servers HTTP/1.1\r\nhost: localhost\r\n{header}\r\n\r\n");
        let answer = raw(&lab, &Shown::default(), &request).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");
    }
    lab.ask(&Shown::default(), "GET", "/healthz", NULL, 200).await;
}

#[tokio::test]
async fn who_sends_slowly_is_not_waited_for() {
    let lab = Lab::new().await;
    // From here on the clock jumps to whatever is waited for.
    tokio::time::pause();
    let stream = futures_util::stream::pending::<Result<hyper::body::Frame<bytes::Bytes>, std::io::Error>>();
    let request = http::Request::post(format!("{IAM}/logins")).body(StreamBody::new(stream)).unwrap();
    let answer = lab.server.handle(request, lab_api_server::Caller::anonymous(None)).await;
    assert_eq!(answer.status(), 504);
    let body: Json = serde_json::from_slice(&answer.into_body().collect().await.unwrap().to_bytes()).unwrap();
    assert_eq!(body["reason"], "Timeout", "{body:#}");
}
