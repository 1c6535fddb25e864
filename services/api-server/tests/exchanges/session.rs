//! A server with a store of its own, and how tests talk to it.

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use lab_api_server::{ApiServer, Body, Caller, Options};
use lab_object::Json;
use lab_store::{Embedded, Store};
use serde_json::json;
use std::{sync::Arc, time::Duration};
use tempfile::TempDir;

/// A server on an empty store in a directory of its own, with the namespace `default`.
pub struct Session {
    pub server: Arc<ApiServer>,
    pub store: Arc<Embedded>,
    _dir: TempDir,
}

/// What was answered.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    /// The body as JSON; null where it is none.
    pub fn json(&self) -> Json {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

impl Session {
    pub async fn new() -> Self {
        Self::with(Options::default()).await
    }

    pub async fn with(options: Options) -> Self {
        Self::over(lab_kinds::registry(), options, lab_store::Options::default()).await
    }

    pub async fn over(registry: lab_kinds::Registry, options: Options, kept: lab_store::Options) -> Self {
        let dir = TempDir::new().unwrap();
        let store = Arc::new(Embedded::open(dir.path(), kept).unwrap());
        let server = ApiServer::new(registry, store.clone() as Arc<dyn Store>, options);
        let session = Self { server, store, _dir: dir };
        session
            .check("POST /api/v1/namespaces", json!({"metadata": {"name": "default"}}), 201, json!({}))
            .await;
        session
    }

    /// Sends a request (`METHOD path`) with headers and a body of bytes.
    pub async fn send(&self, request: &str, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Answer {
        let response = self.open(request, headers, body).await;
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answer { status: parts.status, headers: parts.headers, body }
    }

    /// The same, with the body still to be read.
    pub async fn open(
        &self,
        request: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> http::Response<Body> {
        let (method, uri) = request.split_once(' ').unwrap();
        let mut builder = Request::builder().method(method).uri(uri).header("user-agent", "test/1.0");
        for (name, value) in headers {
            builder = builder.header(*name, *value);
        }
        let request = builder.body(Full::new(body.into())).unwrap();
        self.server.handle(request, Caller::internal("test")).await
    }

    /// Sends JSON (nothing for null) and expects a status and, in the answer, these fields. Returns the answer.
    pub async fn check(&self, request: &str, body: Json, status: u16, expected: Json) -> Json {
        self.check_as(request, "application/json", body, status, expected).await
    }

    /// The same, with a content type.
    pub async fn check_as(
        &self,
        request: &str,
        content_type: &str,
        body: Json,
        status: u16,
        expected: Json,
    ) -> Json {
        let bytes = if body.is_null() { Vec::new() } else { serde_json::to_vec(&body).unwrap() };
        let answer = self.send(request, &[("content-type", content_type)], bytes).await;
        let found = answer.json();
        assert_eq!(answer.status, status, "{request}\n{found:#}");
        assert!(holds(&found, &expected), "{request}\nexpected {expected:#}\nfound {found:#}");
        found
    }

    /// Creates a ConfigMap of one entry in the namespace `default`.
    pub async fn config_map(&self, name: &str, labels: Json) -> Json {
        let object = json!({"metadata": {"name": name, "labels": labels}, "data": {"k": "v"}});
        self.check("POST /api/v1/namespaces/default/configmaps", object, 201, json!({})).await
    }
}

/// Path of the ConfigMaps in the namespace `default`.
pub const MAPS: &str = "/api/v1/namespaces/default/configmaps";
/// Path of the servers.
pub const SERVERS: &str = "/apis/metal.lab/v1alpha1/servers";

/// Whether everything expected is there: fields of objects, all elements of lists, equal scalars. `"*"` is any text.
pub fn holds(found: &Json, expected: &Json) -> bool {
    match (found, expected) {
        (Json::Object(found), Json::Object(expected)) => {
            expected.iter().all(|(name, value)| holds(found.get(name).unwrap_or(&Json::Null), value))
        }
        (Json::Array(found), Json::Array(expected)) => {
            found.len() == expected.len() && found.iter().zip(expected).all(|(f, e)| holds(f, e))
        }
        (Json::String(_), Json::String(any)) if any == "*" => true,
        (found, expected) => found == expected,
    }
}

/// The resourceVersion of an object or list.
pub fn version(object: &Json) -> u64 {
    object["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap()
}

/// A running watch.
pub struct Watching {
    body: Body,
    rest: Vec<u8>,
}

impl Session {
    /// Opens a watch.
    pub async fn watch(&self, path: &str, headers: &[(&str, &str)]) -> Watching {
        let response = self.open(&format!("GET {path}"), headers, "").await;
        assert_eq!(response.status(), 200);
        Watching { body: response.into_body(), rest: Vec::new() }
    }
}

impl Watching {
    /// The next event; `None` when the watch has ended.
    pub async fn next(&mut self) -> Option<Json> {
        loop {
            if let Some(end) = self.rest.iter().position(|&b| b == b'\n') {
                let line: Vec<u8> = self.rest.drain(..=end).collect();
                return Some(serde_json::from_slice(&line).unwrap());
            }
            let frame = tokio::time::timeout(Duration::from_secs(10), self.body.frame());
            let frame = frame.await.expect("an event or the end should have come")?;
            let pieces = frame.unwrap().into_data().unwrap();
            pieces.iter().for_each(|piece| self.rest.extend_from_slice(piece));
        }
    }

    /// Expects the next events, each by type and fields of the object.
    pub async fn expect(&mut self, events: &[(&str, Json)]) {
        for (kind, object) in events {
            let found = self.next().await.unwrap_or_default();
            let expected = json!({"type": kind, "object": object});
            assert!(holds(&found, &expected), "expected {expected:#}\nfound {found:#}");
        }
    }
}
