//! OpenAPI, made from the registry when it is first asked for: v3, a document per group and version, and v2, one of
//! all.

mod gnostic;
mod paths;
mod schemas;
mod v2;

use crate::{
    discovery::group_version_path,
    document::{Document, Hash},
    negotiate,
};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, header};
use lab_kinds::Registry;
use lab_object::{GroupVersion, Json};
use serde_json::{Map, json};
use std::sync::{Arc, OnceLock};

/// Where the index is; the documents lie beneath.
const INDEX: &str = "/openapi/v3";

/// Where the document of v2 is.
const V2: &str = "/openapi/v2";

/// The content type of v2 as protobuf. Clients ask for it with an `@`, which media types cannot hold.
const V2_PROTOBUF: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";

/// The OpenAPI documents of a registry.
pub struct OpenApi {
    registry: Arc<Registry>,
    index: OnceLock<Document>,
    v2: OnceLock<Document>,
    v2_protobuf: OnceLock<Document>,
    documents: Vec<Entry>,
}

/// One group and version: nothing is made before it is asked for.
struct Entry {
    group_version: GroupVersion,
    path: String,
    hash: OnceLock<String>,
    document: OnceLock<Document>,
}

impl OpenApi {
    /// The documents for these kinds; none is built yet.
    pub fn new(registry: Arc<Registry>) -> Self {
        let entry = |group_version: GroupVersion| Entry {
            path: format!("{INDEX}{}", group_version_path(&group_version.group, &group_version.version)),
            group_version,
            hash: OnceLock::new(),
            document: OnceLock::new(),
        };
        let documents = registry.group_versions().into_iter().map(entry).collect();
        let (index, v2, v2_protobuf) = Default::default();
        Self { registry, index, v2, v2_protobuf, documents }
    }

    /// The answer to a GET of `/openapi/v2`, `/openapi/v3` or a document beneath that; `query` is the raw query string
    /// (`hash=…`). `None`: no such document.
    pub fn answer(&self, path: &str, query: Option<&str>, headers: &HeaderMap) -> Option<Response<Bytes>> {
        let path = path.strip_suffix('/').unwrap_or(path);
        if path == INDEX {
            return Some(self.index.get_or_init(|| self.index()).answer(headers));
        }
        if path == V2 {
            return Some(self.v2(headers));
        }
        let entry = self.documents.iter().find(|e| e.path == path)?;
        let make =
            || Document::new(negotiate::JSON, document(&self.registry, &entry.group_version).to_string());
        let document = entry.document.get_or_init(make);
        let mut response = document.answer(headers);
        let asked = query.unwrap_or_default().split('&').find_map(|pair| pair.strip_prefix("hash="));
        if asked == Some(document.hash()) {
            // The address holds the hash: what is found there never changes.
            let immutable = HeaderValue::from_static("public, immutable, max-age=31536000");
            response.headers_mut().insert(header::CACHE_CONTROL, immutable);
        }
        Some(response)
    }

    /// The document of v2 in the form that `Accept` asks for: protobuf, else JSON.
    fn v2(&self, headers: &HeaderMap) -> Response<Bytes> {
        let protobuf = V2_PROTOBUF.replace("v2.v1.0", "v2@v1.0");
        let wanted = negotiate::clauses(headers, header::ACCEPT);
        if wanted.first().is_some_and(|c| c.is(V2_PROTOBUF) || c.is(&protobuf)) {
            let make = || Document::new(V2_PROTOBUF, gnostic::encode(&v2::swagger(&self.registry)));
            return self.v2_protobuf.get_or_init(make).answer(headers);
        }
        let make = || Document::new(negotiate::JSON, v2::swagger(&self.registry).to_string());
        self.v2.get_or_init(make).answer(headers)
    }

    /// Every document's address with its hash. The documents are hashed as they are written, and not kept.
    fn index(&self) -> Document {
        let mut paths = Map::new();
        for entry in &self.documents {
            let hash = entry.hash.get_or_init(|| {
                let mut hash = Hash::default();
                let document = document(&self.registry, &entry.group_version);
                serde_json::to_writer(&mut hash, &document).expect("hashing does not fail");
                hash.finish()
            });
            let name = entry.path.trim_start_matches(INDEX).trim_start_matches('/');
            paths.insert(name.into(), json!({"serverRelativeURL": format!("{}?hash={hash}", entry.path)}));
        }
        Document::new(negotiate::JSON, json!({ "paths": paths }).to_string())
    }
}

/// The document of one group and version.
fn document(registry: &Registry, group_version: &GroupVersion) -> Json {
    let (mut paths, mut components) = (Map::new(), schemas::shared());
    for kind in registry.in_group_version(&group_version.group, &group_version.version) {
        schemas::add(&mut components, kind);
        paths::add(&mut paths, kind);
    }
    json!({
        "openapi": "3.0.0",
        "info": {"title": "Lab", "version": env!("CARGO_PKG_VERSION")},
        "paths": paths,
        "components": {"schemas": components},
    })
}
