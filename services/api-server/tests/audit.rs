//! The audit trail as requests fill it, and as it is read.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use lab_api_server::{ApiServer, Body, Caller, Options, RoleBased, audit::Recording};
use lab_audit::{
    Trail, Verifier,
    folder::{Directory, Folder, Sheet},
};
use lab_object::Json;
use lab_store::{Embedded, Notes, Store};
use serde_json::json;
use std::{
    io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};
use tempfile::TempDir;

const ENTRIES: &str = "/apis/audit.lab/v1alpha1/auditentries";
const SERVERS: &str = "/apis/metal.lab/v1alpha1/servers";
const SECRET: &str = "never-to-be-seen";

struct Lab {
    server: Arc<ApiServer>,
    trail: Arc<Trail>,
    _dir: TempDir,
}

impl Lab {
    async fn new() -> Self {
        Self::on(|dir| Arc::new(Directory(dir.to_owned()))).await
    }

    /// The same with a trail that is written by way of a folder.
    async fn on(folder: impl FnOnce(&Path) -> Arc<dyn Folder>) -> Self {
        let dir = TempDir::new().unwrap();
        std::fs::create_dir(dir.path().join("audit")).unwrap();
        let path = dir.path().join("audit");
        let trail = Trail::open_on(&path, folder(&path), lab_audit::Options::default());
        let trail = Arc::new(trail.unwrap());
        let notes: Arc<dyn Notes> = Arc::new(Recording::new(trail.clone()).unwrap());
        let kept = lab_store::Options { notes: Some(notes), ..lab_store::Options::default() };
        let store: Arc<dyn Store> = Arc::new(Embedded::open(&dir.path().join("store"), kept).unwrap());
        let authorizer = RoleBased::follow(store.clone()).await.unwrap();
        let options = Options { authorizer, audit: Some(trail.clone()), ..Options::default() };
        let server = ApiServer::new(lab_kinds::registry(), store, options);
        let lab = Self { server, trail, _dir: dir };
        lab.ask(&admin(), "POST /api/v1/namespaces", json!({"metadata": {"name": "default"}})).await;
        lab
    }

    async fn open(&self, caller: &Caller, request: &str, body: Json) -> Response<Body> {
        let (method, uri) = request.split_once(' ').unwrap();
        let bytes = if body.is_null() { Vec::new() } else { serde_json::to_vec(&body).unwrap() };
        let kind = if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
        let request = Request::builder()
            .method(method)
            .uri(uri)
            .header("content-type", kind)
            .header("user-agent", "test/1.0")
            .body(Full::new(Bytes::from(bytes)))
            .unwrap();
        self.server.handle(request, caller.clone()).await
    }

    /// The code of the answer, its request's ID, and its body.
    async fn ask(&self, caller: &Caller, request: &str, body: Json) -> (u16, String, Json) {
        let response = self.open(caller, request, body).await;
        let id = response.headers()["audit-id"].to_str().unwrap().to_owned();
        let code = response.status().as_u16();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        (code, id, serde_json::from_slice(&bytes).unwrap_or_default())
    }

    /// Entries as the API lists them with these options.
    async fn entries(&self, query: &str) -> Vec<Json> {
        let (code, _, list) = self.ask(&admin(), &format!("GET {ENTRIES}?{query}"), Json::Null).await;
        assert_eq!(code, 200, "{list}");
        list["items"].as_array().unwrap().clone()
    }
}

fn admin() -> Caller {
    caller("admin", &["system:masters"])
}

fn caller(user: &str, groups: &[&str]) -> Caller {
    Caller {
        credential: "certificate:abc".into(),
        address: Some("192.0.2.1:999".parse().unwrap()),
        ..Caller::new(user, groups.iter().copied())
    }
}

#[tokio::test]
async fn every_change_and_every_refusal_is_recorded() {
    let lab = Lab::new().await;
    let stranger = caller("eve", &["somebody"]);
    let named = |name: &str| json!({"metadata": {"name": name}, "spec": {}});
    let map = json!({"metadata": {"name": "s"}, "stringData": {"password": SECRET}});
    let secrets = "/api/v1/namespaces/default/secrets";
    // Request, body, and the entry's verb, object (resource, name), code and reason; none where nothing is recorded.
    type Entry = Option<(&'static str, &'static str, &'static str, u16, &'static str)>;
    let admin = admin();
    let exchanges: Vec<(&Caller, String, Json, Entry)> = vec![
        (&admin, format!("POST {SERVERS}"), named("a"), Some(("create", "servers", "a", 201, ""))),
        (
            &admin,
            format!("POST {SERVERS}"),
            named("a"),
            Some(("create", "servers", "a", 409, "AlreadyExists")),
        ),
        (&admin, format!("GET {SERVERS}"), Json::Null, None),
        (
            &admin,
            format!("PATCH {SERVERS}/a"),
            json!({"spec": {"environment": "dev"}}),
            Some(("patch", "servers", "a", 200, "")),
        ),
        (
            &admin,
            format!("PATCH {SERVERS}/a"),
            json!({"spec": {"environment": 3}}),
            Some(("patch", "servers", "a", 422, "Invalid")),
        ),
        (
            &admin,
            format!("DELETE {SERVERS}/b"),
            Json::Null,
            Some(("delete", "servers", "b", 404, "NotFound")),
        ),
        (&admin, format!("DELETE {SERVERS}/a"), Json::Null, Some(("delete", "servers", "a", 200, ""))),
        (&admin, format!("POST {secrets}"), map, Some(("create", "secrets", "s", 201, ""))),
        (&stranger, format!("GET {secrets}/s"), Json::Null, Some(("get", "secrets", "s", 403, "Forbidden"))),
        (
            &stranger,
            format!("GET {ENTRIES}"),
            Json::Null,
            Some(("list", "auditentries", "", 403, "Forbidden")),
        ),
        (&stranger, "GET /audit".into(), Json::Null, Some(("get", "", "", 403, "Forbidden"))),
        (&admin, "GET /healthz".into(), Json::Null, None),
        (&admin, format!("DELETE {ENTRIES}/1"), Json::Null, None),
        (&admin, format!("POST {SERVERS}?dryRun=All"), named("c"), Some(("create", "servers", "c", 201, ""))),
    ];
    for (caller, request, body, expected) in exchanges {
        let (code, id, answer) = lab.ask(caller, &request, body).await;
        // Where an entry turned out wrong, the last one holds.
        let entries = lab.entries(&format!("fieldSelector=request%3D{id}")).await;
        let Some((verb, resource, name, expected_code, reason)) = expected else {
            assert!(entries.is_empty(), "{request}: {entries:?}");
            continue;
        };
        let entry = entries.last().unwrap_or_else(|| panic!("{request} is not recorded"));
        assert_eq!(code, expected_code, "{request}: {answer}");
        let object = &entry["object"];
        let text = |value: &Json| value.as_str().unwrap_or_default().to_owned();
        let found = (text(&entry["verb"]), text(&object["resource"]), text(&object["name"]));
        assert_eq!(found, (verb.into(), resource.into(), name.into()), "{request}");
        assert_eq!(entry["result"]["code"], code, "{request}");
        assert_eq!(text(&entry["result"]["reason"]), reason, "{request}");
        assert_eq!(entry["user"]["name"], *caller.user, "{request}");
        assert_eq!(entry["user"]["credential"], "certificate:abc");
        assert_eq!((&entry["from"], &entry["client"]), (&json!("192.0.2.1:999"), &json!("test/1.0")));
        assert_eq!(
            entry["revision"].is_u64(),
            code < 300 && !request.contains("dryRun"),
            "{request}: {entry}"
        );
        assert_eq!(entries.len(), 1, "{request}: {entries:?}");
    }
    let (code, _, _) = lab.ask(&Caller::anonymous(None), &format!("GET {SERVERS}"), Json::Null).await;
    let refused = lab.entries("fieldSelector=user.name%3Dsystem:anonymous").await;
    assert_eq!((code, refused.len()), (401, 1));
    let mut copy = Vec::new();
    lab.trail.export(&mut copy).unwrap();
    assert!(!String::from_utf8_lossy(&copy).contains(SECRET));
}

#[tokio::test]
async fn what_is_hidden_is_recorded_as_asked_for() {
    let lab = Lab::new().await;
    let role = json!({"metadata": {"name": "dev"}, "spec": {"permissions": ["apply:*:dev:*"]}});
    let subjects = [json!({"kind": "User", "name": "dave"})];
    let binding = json!({"metadata": {"name": "dev"}, "spec": {"role": "dev", "subjects": subjects}});
    lab.ask(&admin(), "POST /apis/iam.lab/v1alpha1/roles", role).await;
    lab.ask(&admin(), "POST /apis/iam.lab/v1alpha1/rolebindings", binding).await;
    let server = json!({"metadata": {"name": "p"}, "spec": {"cloud": "baremetal", "environment": "prod"}});
    lab.ask(&admin(), &format!("POST {SERVERS}"), server).await;
    let dave = caller("dave", &[]);
    for (request, recorded) in [("p", 1), ("nowhere", 0)] {
        let (code, id, _) = lab.ask(&dave, &format!("GET {SERVERS}/{request}"), Json::Null).await;
        let entries = lab.entries(&format!("fieldSelector=request%3D{id}")).await;
        assert_eq!((code, entries.len()), (404, recorded), "{request}");
    }
}

#[tokio::test]
async fn entries_are_found_by_field_time_and_number() {
    let lab = Lab::new().await;
    for number in 0..7 {
        lab.ask(&admin(), &format!("POST {SERVERS}"), json!({"metadata": {"name": format!("s{number}")}}))
            .await;
    }
    let names = |entries: Vec<Json>| -> Vec<String> {
        entries.iter().map(|entry| entry["object"]["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(lab.entries("last=2").await), ["s5", "s6"]);
    assert_eq!(names(lab.entries("last=1&fieldSelector=object.name%3Ds3").await), ["s3"]);
    assert_eq!(lab.entries("fieldSelector=verb%3Dcreate,object.resource!%3Dservers").await.len(), 1);
    assert_eq!(lab.entries("until=2020-01-01T00:00:00Z").await.len(), 0);
    let all = lab.entries("since=2020-01-01T00:00:00Z&until=2999-01-01T00:00:00Z").await;
    assert_eq!(all.len(), 8);
    let fifth = all[4]["time"].as_str().unwrap();
    assert_eq!(names(lab.entries(&format!("since={fifth}")).await), ["s3", "s4", "s5", "s6"]);
    // In pages, as kubectl asks.
    let (_, _, first) = lab.ask(&admin(), &format!("GET {ENTRIES}?limit=5"), Json::Null).await;
    assert_eq!(first["items"].as_array().unwrap().len(), 5);
    let token = first["metadata"]["continue"].as_str().unwrap();
    let (_, _, rest) =
        lab.ask(&admin(), &format!("GET {ENTRIES}?limit=5&continue={token}"), Json::Null).await;
    assert_eq!((rest["items"].as_array().unwrap().len(), &rest["metadata"]["continue"]), (3, &Json::Null));
    let (code, _, one) = lab.ask(&admin(), &format!("GET {ENTRIES}/3"), Json::Null).await;
    assert_eq!((code, &one), (200, &all[2]));
    for (path, code) in [
        ("99", 404),
        ("03", 404),
        ("x", 404),
        ("?watch=true", 405),
        ("?since=noon", 400),
        ("?last=1&limit=1", 400),
    ] {
        let path = if path.starts_with('?') { path.to_owned() } else { format!("/{path}") };
        assert_eq!(lab.ask(&admin(), &format!("GET {ENTRIES}{path}"), Json::Null).await.0, code, "{path}");
    }
    // The whole of it is a chain.
    let response = lab.open(&admin(), "GET /audit", Json::Null).await;
    assert_eq!(response.status(), StatusCode::OK);
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    let report = Verifier::new(None).read(&bytes[..]).unwrap();
    assert!(report.problems.is_empty() && report.entries >= 8, "{report:?}");
}

#[tokio::test]
async fn what_cannot_be_recorded_is_not_done() {
    let faults = Arc::new(AtomicBool::new(false));
    let lab = Lab::on(|dir| Arc::new(Failing(Directory(dir.to_owned()), faults.clone()))).await;
    let create = |name: &str| (format!("POST {SERVERS}"), json!({"metadata": {"name": name}}));
    let check = async |(request, body): (String, Json), expected: u16| {
        let (code, _, answer) = lab.ask(&admin(), &request, body).await;
        assert_eq!(code, expected, "{request}: {answer}");
    };
    check(create("a"), 201).await;
    faults.store(true, Ordering::SeqCst);
    // Its entry is on disk, with the store; that the trail cannot take it over shows when somebody reads.
    check(create("b"), 201).await;
    assert_eq!(lab.entries("fieldSelector=object.name%3Db").await.len(), 0);
    check(create("c"), 503).await;
    check((format!("DELETE {SERVERS}/a"), Json::Null), 503).await;
    for (path, expected) in [("a", 200), ("b", 200), ("c", 404)] {
        check((format!("GET {SERVERS}/{path}"), Json::Null), expected).await;
    }
    check(("GET /healthz".into(), Json::Null), 200).await;
    faults.store(false, Ordering::SeqCst);
    lab.trail.probe().await.unwrap();
    check(create("c"), 201).await;
    let created = lab.entries("fieldSelector=object.resource%3Dservers,verb%3Dcreate").await;
    let found: Vec<_> =
        created.iter().map(|e| (e["object"]["name"].clone(), e["result"]["code"].clone())).collect();
    // What is refused at once is not even read: nobody knows its name.
    let expected = [(json!("a"), 201), (json!("b"), 201), (Json::Null, 503), (json!("c"), 201)];
    assert_eq!(found, expected.map(|(name, code)| (name, json!(code))));
    lab.trail.close();
    check(create("d"), 503).await;
}

/// A directory on a disk that can be told to fail.
#[derive(Debug)]
struct Failing(Directory, Arc<AtomicBool>);

#[derive(Debug)]
struct FailingSheet(Arc<dyn Sheet>, Arc<AtomicBool>);

impl Folder for Failing {
    fn open(&self, name: &str, create: bool) -> io::Result<Arc<dyn Sheet>> {
        Ok(Arc::new(FailingSheet(self.0.open(name, create)?, self.1.clone())))
    }
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.0.rename(from, to)
    }
    fn remove(&self, name: &str) -> io::Result<()> {
        self.0.remove(name)
    }
}

impl Sheet for FailingSheet {
    fn length(&self) -> io::Result<u64> {
        self.0.length()
    }
    fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write(offset, bytes)
    }
    fn set_length(&self, length: u64) -> io::Result<()> {
        self.0.set_length(length)
    }
    fn sync(&self) -> io::Result<()> {
        if self.1.load(Ordering::SeqCst) { Err(io::Error::other("the disk is gone")) } else { self.0.sync() }
    }
}
