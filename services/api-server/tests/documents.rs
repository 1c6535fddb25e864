//! Discovery and OpenAPI tell of every kind, of nothing else, and agree with what is served.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use http::{HeaderMap, Method, StatusCode, header};
use lab_api_server::{
    discovery::Discovery,
    openapi::OpenApi,
    request::{self, Route},
};
use lab_kinds::{Kind, Registry, registry};
use lab_object::Json;
use std::{collections::BTreeSet, sync::Arc};

const V2: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

fn accept(value: &str) -> HeaderMap {
    HeaderMap::from_iter([(header::ACCEPT, value.parse().unwrap())])
}

#[track_caller]
fn discovered(discovery: &Discovery, path: &str, headers: &HeaderMap) -> Json {
    let response = discovery.answer(path, headers).unwrap_or_else(|| panic!("{path} is not served"));
    serde_json::from_slice(response.body()).unwrap()
}

fn strings(value: &Json) -> Vec<&str> {
    value.as_array().into_iter().flatten().filter_map(Json::as_str).collect()
}

fn base(kind: &Kind) -> String {
    if kind.group.is_empty() {
        format!("/api/{}", kind.version)
    } else {
        format!("/apis/{}/{}", kind.group, kind.version)
    }
}

#[test]
fn every_kind_is_discovered_in_both_forms() {
    let registry = registry();
    let discovery = Discovery::new(&registry);
    let lists = [discovered(&discovery, "/api", &accept(V2)), discovered(&discovery, "/apis", &accept(V2))];
    let groups: Vec<_> = lists.iter().flat_map(|list| list["items"].as_array().unwrap()).collect();
    for kind in registry.kinds() {
        let legacy = discovered(&discovery, &base(kind), &HeaderMap::new());
        let resources = legacy["resources"].as_array().unwrap();
        let resource = resources.iter().find(|r| r["name"] == *kind.plural).unwrap();
        assert_eq!(resource["kind"], *kind.kind);
        assert_eq!(resource["namespaced"], kind.namespaced());
        assert_eq!(strings(&resource["shortNames"]), kind.short_names);

        let group =
            groups.iter().find(|g| g["metadata"]["name"].as_str().unwrap_or_default() == kind.group).unwrap();
        let version =
            group["versions"].as_array().unwrap().iter().find(|v| v["version"] == *kind.version).unwrap();
        let modern =
            version["resources"].as_array().unwrap().iter().find(|r| r["resource"] == *kind.plural).unwrap();
        assert_eq!(modern["verbs"], resource["verbs"]);
        assert_eq!(modern["singularResource"], *kind.singular);
        assert_eq!(modern["responseKind"]["group"], *kind.group);
        let names = |list: &Json| -> BTreeSet<String> {
            list.as_array()
                .into_iter()
                .flatten()
                .map(|s| s["subresource"].as_str().unwrap().to_owned())
                .collect()
        };
        let parts: BTreeSet<_> = kind.subresources.iter().map(|s| s.path().to_owned()).collect();
        assert_eq!(names(&modern["subresources"]), parts);
        for part in parts {
            assert!(resources.iter().any(|r| r["name"] == format!("{}/{part}", kind.plural)));
        }
    }
}

#[test]
fn the_form_follows_accept_and_nothing_is_sent_twice() {
    let discovery = Discovery::new(&registry());
    let kubectl = format!("{V2},{},application/json", V2.replace("v=v2", "v=v2beta1"));
    let cases = [
        (kubectl.as_str(), "APIGroupDiscoveryList", V2),
        (&V2.replace("v=v2", "v=v2beta1"), "APIGroupDiscoveryList", &V2.replace("v=v2", "v=v2beta1")),
        (&V2.replace("v=v2", "v=v3"), "APIGroupList", "application/json"),
        ("application/json", "APIGroupList", "application/json"),
        ("*/*", "APIGroupList", "application/json"),
        ("application/vnd.kubernetes.protobuf", "APIGroupList", "application/json"),
    ];
    for (value, kind, content_type) in cases {
        let mut headers = accept(value);
        let response = discovery.answer("/apis", &headers).unwrap();
        assert_eq!(response.headers()[header::CONTENT_TYPE], content_type, "{value}");
        let body: Json = serde_json::from_slice(response.body()).unwrap();
        assert_eq!(body["kind"], kind, "{value}");
        headers.insert(header::IF_NONE_MATCH, response.headers()[header::ETAG].clone());
        let again = discovery.answer("/apis", &headers).unwrap();
        assert_eq!((again.status(), again.body().len()), (StatusCode::NOT_MODIFIED, 0));
        headers.insert(header::IF_NONE_MATCH, "\"other\"".parse().unwrap());
        assert_eq!(discovery.answer("/apis", &headers).unwrap().status(), StatusCode::OK);
    }
    assert!(discovery.answer("/apis/nobody.lab", &HeaderMap::new()).is_none());
    assert!(discovery.answer("/apis/metal.lab/v9", &HeaderMap::new()).is_none());
}

/// Every document, by the address that the index gives.
fn documents(openapi: &OpenApi) -> Vec<(String, Json)> {
    let none = HeaderMap::new();
    let index: Json =
        serde_json::from_slice(openapi.answer("/openapi/v3", None, &none).unwrap().body()).unwrap();
    let paths = index["paths"].as_object().unwrap();
    let read = |(name, entry): (&String, &Json)| {
        let url = entry["serverRelativeURL"].as_str().unwrap();
        let (path, query) = url.split_once('?').unwrap();
        let response = openapi.answer(path, Some(query), &none).unwrap();
        assert!(response.headers()[header::CACHE_CONTROL].to_str().unwrap().contains("immutable"), "{url}");
        let stale = openapi.answer(path, Some("hash=00"), &none).unwrap();
        assert!(!stale.headers()[header::CACHE_CONTROL].to_str().unwrap().contains("immutable"), "{url}");
        (name.clone(), serde_json::from_slice(response.body()).unwrap())
    };
    paths.iter().map(read).collect()
}

fn references<'a>(value: &'a Json, found: &mut BTreeSet<&'a str>) {
    match value {
        Json::Object(fields) => {
            found.extend(fields.get("$ref").and_then(Json::as_str));
            fields.values().for_each(|v| references(v, found));
        }
        Json::Array(list) => list.iter().for_each(|v| references(v, found)),
        _ => {}
    }
}

#[test]
fn every_kind_has_a_schema_and_every_reference_leads_somewhere() {
    let registry = Arc::new(registry());
    let documents = documents(&OpenApi::new(registry.clone()));
    for (name, document) in &documents {
        let mut found = BTreeSet::new();
        references(document, &mut found);
        for reference in found {
            let pointer = reference.strip_prefix('#').unwrap();
            assert!(document.pointer(pointer).is_some(), "{name}: {reference}");
        }
    }
    for kind in registry.kinds() {
        let (_, document) = documents.iter().find(|(name, _)| format!("/{name}") == base(kind)).unwrap();
        let schemas = document["components"]["schemas"].as_object().unwrap();
        let is_kind = |schema: &&Json| {
            schema["x-kubernetes-group-version-kind"].as_array().into_iter().flatten().any(|gvk| {
                gvk["kind"] == *kind.kind && gvk["group"] == *kind.group && gvk["version"] == *kind.version
            })
        };
        let schema = schemas.values().find(is_kind).unwrap_or_else(|| panic!("{kind:?} has no schema"));
        assert!(schema["properties"]["metadata"]["allOf"][0]["$ref"].is_string(), "{kind:?}");
        for field in schema["properties"].as_object().unwrap().values() {
            assert!(field["description"].as_str().is_some_and(|d| !d.is_empty()), "{kind:?}: {field}");
        }
    }
}

#[test]
fn every_documented_operation_is_served_and_every_patch_can_be_validated() {
    let registry = registry();
    let documents = documents(&OpenApi::new(Arc::new(registry.clone())));
    let mut patched = BTreeSet::new();
    for (path, item) in documents.iter().flat_map(|(_, d)| d["paths"].as_object().unwrap()) {
        let real = path.replace("{namespace}", "default").replace("{name}", "x1");
        for (method, operation) in item.as_object().unwrap().iter().filter(|(m, _)| *m != "parameters") {
            let verb = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
            let route = request::route(&registry, &verb, &real, None);
            assert!(matches!(route, Ok(Route::Objects(_))), "{method} {real}: {:?}", route.err());
            assert!(operation["x-kubernetes-group-version-kind"]["kind"].is_string(), "{method} {path}");
            if method == "patch" {
                let parameters = operation["parameters"].as_array().unwrap();
                for name in ["fieldValidation", "dryRun", "fieldManager", "force"] {
                    assert!(
                        parameters.iter().any(|p| p["name"] == name && p["in"] == "query"),
                        "{path}: {name}"
                    );
                }
                patched.insert(path.clone());
            }
        }
    }
    for kind in registry.kinds() {
        let namespace = if kind.namespaced() { "/namespaces/{namespace}" } else { "" };
        let path = format!("{}{namespace}/{}/{{name}}", base(kind), kind.plural);
        assert_eq!(patched.contains(&path), !kind.read_only, "{path}");
    }
}

#[test]
fn nothing_else_is_answered() {
    let openapi = OpenApi::new(Arc::new(Registry::default()));
    for path in ["/openapi", "/openapi/v2/x", "/openapi/v3/api/v1", "/openapi/v3/x"] {
        assert!(openapi.answer(path, None, &HeaderMap::new()).is_none(), "{path}");
    }
}

#[test]
fn version_2_says_the_same() {
    let registry = Arc::new(registry());
    let openapi = OpenApi::new(registry.clone());
    let response = openapi.answer("/openapi/v2", None, &HeaderMap::new()).unwrap();
    let swagger: Json = serde_json::from_slice(response.body()).unwrap();
    let mut found = BTreeSet::new();
    references(&swagger, &mut found);
    assert!(found.iter().all(|r| swagger.pointer(r.strip_prefix('#').unwrap()).is_some()), "{found:?}");
    let v3 = documents(&openapi);
    let paths = v3.iter().flat_map(|(_, d)| d["paths"].as_object().unwrap());
    for (path, item) in paths {
        let converted = &swagger["paths"][path];
        assert_eq!(converted.as_object().map(|i| i.len()), item.as_object().map(|i| i.len()), "{path}");
        assert!(
            converted.pointer("/get/responses/200/schema/$ref").is_some() || item.get("get").is_none(),
            "{path}"
        );
    }
    let kubectl = accept("application/com.github.proto-openapi.spec.v2@v1.0+protobuf");
    let response = openapi.answer("/openapi/v2", None, &kubectl).unwrap();
    assert!(response.headers()[header::CONTENT_TYPE].to_str().unwrap().ends_with("+protobuf"));
    // swagger (1) is "2.0", then info (2).
    assert_eq!(response.body()[..6], *b"\x0a\x032.0\x12");
    for kind in registry.kinds() {
        let name = format!(".{}", kind.kind);
        assert!(response.body().windows(name.len()).any(|w| w == name.as_bytes()), "{kind:?}");
    }
}
