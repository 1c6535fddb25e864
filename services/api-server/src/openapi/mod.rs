//! OpenAPI v3: a document per group and version, made from the registry when it is first asked for.

mod paths;
mod schemas;

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

/// The OpenAPI documents of a registry.
pub struct OpenApi {
    registry: Arc<Registry>,
    index: OnceLock<Document>,
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
        Self { registry, index: OnceLock::new(), documents }
    }

    /// The answer to a GET of `/openapi/v3` or a document beneath it; `query` is the raw query string (`hash=…`).
    /// `None`: no such document (also `/openapi/v2`, which clients take as leave to do without).
    pub fn answer(&self, path: &str, query: Option<&str>, headers: &HeaderMap) -> Option<Response<Bytes>> {
        let path = path.strip_suffix('/').unwrap_or(path);
        if path == INDEX {
            return Some(self.index.get_or_init(|| self.index()).answer(headers));
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
