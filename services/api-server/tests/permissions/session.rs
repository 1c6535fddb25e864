//! A server that decides by roles, and requests in the name of anybody.

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use lab_api_server::{ApiServer, Body, Caller, Options, RoleBased};
use lab_object::Json;
use lab_store::{Embedded, Store};
use serde_json::json;
use std::{sync::Arc, time::Duration};
use tempfile::TempDir;

/// Path of the servers.
pub const SERVERS: &str = "/apis/metal.lab/v1alpha1/servers";
/// Path of what is about permissions.
pub const IAM: &str = "/apis/iam.lab/v1alpha1";

pub struct Session {
    pub server: Arc<ApiServer>,
    _dir: TempDir,
}

impl Session {
    /// With the role `dev`, which may apply in dev on baremetal and is bound to `dev-1`; `viewer`, bound to the group
    /// `viewers`; and a server in each of two environments.
    pub async fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let store: Arc<dyn Store> =
            Arc::new(Embedded::open(dir.path(), lab_store::Options::default()).unwrap());
        let authorizer = RoleBased::follow(store.clone()).await.unwrap();
        let options = Options { authorizer, ..Options::default() };
        let lab = Self { server: ApiServer::new(lab_kinds::registry(), store, options), _dir: dir };
        for (role, permissions) in [
            ("dev", json!(["apply:baremetal:dev:*"])),
            ("viewer", json!(["read:*:*:*"])),
            ("dev-admin", json!(["admin:*:dev:*"])),
        ] {
            let role = json!({"metadata": {"name": role}, "spec": {"permissions": permissions}});
            lab.root("POST", &format!("{IAM}/roles"), role, 201).await;
        }
        lab.bind("dev", "User", "dev-1").await;
        lab.bind("viewer", "Group", "viewers").await;
        lab.bind("dev-admin", "User", "dev-admin").await;
        for (name, environment) in [("s-dev", "dev"), ("s-prod", "production")] {
            lab.root("POST", SERVERS, server(name, environment), 201).await;
        }
        lab
    }

    /// Binds a role to a subject; the binding has both names.
    pub async fn bind(&self, role: &str, kind: &str, subject: &str) {
        let spec = json!({"role": role, "subjects": [{"kind": kind, "name": subject}]});
        let binding = json!({"metadata": {"name": format!("{role}-{subject}")}, "spec": spec});
        self.root("POST", &format!("{IAM}/rolebindings"), binding, 201).await;
    }

    /// A request by a member of `system:masters`.
    pub async fn root(&self, method: &str, path: &str, body: Json, status: u16) -> Json {
        self.request(Caller::internal("test"), [method, path, "application/json"], body, status).await
    }

    /// A request by a user without groups.
    pub async fn by(&self, user: &str, method: &str, path: &str, body: Json, status: u16) -> Json {
        self.request(caller(user, &[]), [method, path, "application/json"], body, status).await
    }

    /// A request, by method, path and content type.
    pub async fn request(
        &self,
        caller: Caller,
        [method, path, content_type]: [&str; 3],
        body: Json,
        status: u16,
    ) -> Json {
        let bytes = if body.is_null() { Vec::new() } else { serde_json::to_vec(&body).unwrap() };
        let who = caller.user.clone();
        let response = self.open(caller, method, path, content_type, bytes).await;
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let found: Json = serde_json::from_slice(&bytes).unwrap_or_default();
        assert_eq!(parts.status, status, "{who}: {method} {path}\n{found:#}");
        found
    }

    pub async fn open(
        &self,
        caller: Caller,
        method: &str,
        path: &str,
        content_type: &str,
        body: impl Into<Bytes>,
    ) -> http::Response<Body> {
        let request = Request::builder().method(method).uri(path).header("content-type", content_type);
        self.server.handle(request.body(Full::new(body.into())).unwrap(), caller).await
    }

    /// The names that a user's list has.
    pub async fn names(&self, user: &str, path: &str) -> Vec<String> {
        names(&self.by(user, "GET", path, json!(null), 200).await)
    }

    /// A watch by a user.
    pub async fn watch(&self, user: &str, path: &str) -> Events {
        let response = self.open(caller(user, &[]), "GET", path, "", "").await;
        assert_eq!(response.status(), 200);
        Events { body: response.into_body(), read: Vec::new() }
    }
}

/// The events of a watch.
pub struct Events {
    body: Body,
    read: Vec<u8>,
}

impl Events {
    /// The next event; `None` at the end of the watch.
    pub async fn next(&mut self) -> Option<Json> {
        loop {
            if let Some(end) = self.read.iter().position(|b| *b == b'\n') {
                let line: Vec<u8> = self.read.drain(..=end).collect();
                return Some(serde_json::from_slice(&line).unwrap());
            }
            let frame = tokio::time::timeout(Duration::from_secs(10), self.body.frame()).await.unwrap()?;
            let mut data = frame.unwrap().into_data().unwrap();
            let length = bytes::Buf::remaining(&data);
            self.read.extend_from_slice(&bytes::Buf::copy_to_bytes(&mut data, length));
        }
    }

    /// Expects the type and name of the next events.
    pub async fn expect(&mut self, expected: &[(&str, &str)]) {
        for (kind, name) in expected {
            let event = self.next().await.expect("the watch goes on");
            let found = (event["type"].as_str().unwrap(), event["object"]["metadata"]["name"].as_str());
            assert_eq!(found, (*kind, Some(*name)), "{event:#}");
        }
    }

    /// Expects that the watch ends because permissions changed.
    pub async fn expect_end(&mut self) {
        let event = self.next().await.expect("an error is sent first");
        assert_eq!((&event["type"], &event["object"]["code"]), (&json!("ERROR"), &json!(410)), "{event:#}");
        assert_eq!(self.next().await, None);
    }
}

pub fn caller(user: &str, groups: &[&str]) -> Caller {
    Caller::new(user, groups.iter().copied())
}

pub fn server(name: &str, environment: &str) -> Json {
    json!({"metadata": {"name": name}, "spec": {"hostname": name, "cloud": "baremetal", "environment": environment}})
}

pub fn names(list: &Json) -> Vec<String> {
    let items = list["items"].as_array().unwrap();
    items.iter().map(|item| item["metadata"]["name"].as_str().unwrap().to_owned()).collect()
}
