//! Protobuf bodies as kubectl 1.33 sends them, and what they say.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use lab_api_server::protobuf;
use lab_object::{GroupVersionKind, Json};
use serde_json::json;
use std::path::Path;

/// A body in `tests/protobuf`, recorded from the command that stands beside it.
#[track_caller]
fn check(file: &str, expected: Json) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/protobuf").join(file).with_extension("pb");
    let body = std::fs::read(path).unwrap();
    let unknown = GroupVersionKind { group: String::new(), version: String::new(), kind: String::new() };
    assert_eq!(protobuf::decode(&body, &unknown).unwrap(), expected, "{file}");
    // Nothing that is cut off passes for a whole, and nothing makes it panic.
    for end in 0..body.len() {
        if let Ok(shorter) = protobuf::decode(&body[..end], &unknown) {
            assert_ne!(shorter, Json::Null, "{file} up to {end}");
        }
    }
    for at in 0..body.len() {
        for bit in 0..8 {
            let mut flipped = body.clone();
            flipped[at] ^= 1 << bit;
            let _ = protobuf::decode(&flipped, &unknown);
        }
    }
}

#[test]
fn bodies_of_kubectl() {
    // create configmap c3 --from-literal=a=b --from-literal=multi=$'x\ny: z\n' --from-file=bin=<61 ff fe>
    check(
        "config_map",
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c3"},
            "data": {"a": "b", "multi": "x\ny: z\n"}, "binaryData": {"bin": "Yf/+"}}),
    );
    // create namespace n2
    check("namespace", json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n2"}}));
    // create secret generic s1 --from-literal=password=geheim -n team
    check(
        "secret",
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s1", "namespace": "team"},
            "data": {"password": "Z2VoZWlt"}}),
    );
    // create secret docker-registry reg --docker-server=r.example --docker-username=u --docker-password=p
    check(
        "registry_secret",
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "reg"},
            "type": "kubernetes.io/dockerconfigjson",
            "data": {".dockerconfigjson": "eyJhdXRocyI6eyJyLmV4YW1wbGUiOnsidXNlcm5hbWUiOiJ1IiwicGFzc3dvcmQiOiJwIiwiYXV0aCI6ImRUcHcifX19"}}),
    );
    // create serviceaccount bot
    check(
        "service_account",
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "bot"}}),
    );
    // create token default --duration=10m --audience=lab
    check(
        "token_request",
        json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
            "spec": {"audiences": ["lab"], "expirationSeconds": 600}, "status": {"token": ""}}),
    );
    // create deployment d2 --image=nginx --replicas=0: a zero behind a pointer is not left out
    check(
        "deployment",
        json!({"apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "d2", "labels": {"app": "d2"}},
            "spec": {"replicas": 0, "selector": {"matchLabels": {"app": "d2"}},
                "template": {"metadata": {"labels": {"app": "d2"}},
                    "spec": {"containers": [{"name": "nginx", "image": "nginx"}]}}}}),
    );
}

#[test]
fn envelopes_that_are_none() {
    let lease =
        GroupVersionKind { group: "coordination.k8s.io".into(), version: "v1".into(), kind: "Lease".into() };
    let cases: [(&[u8], &str); 6] = [
        (b"", "at byte 0: the body does not begin with"),
        (b"{\"kind\": \"Lease\"}", "at byte 0: the body does not begin with"),
        (b"k8s\0\x12\x09\x0a", "a length goes beyond the end"),
        (b"k8s\0\x0b", "3 is no wire type in use"),
        (b"k8s\0\x0a\x06\x12\x04Nope", "no protobuf form of coordination.k8s.io/v1.Nope is known"),
        (b"k8s\0\x1a\x04gzip", "the object in the envelope is encoded"),
    ];
    for (body, expected) in cases {
        let error = protobuf::decode(body, &lease).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    let empty = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease"});
    assert_eq!(protobuf::decode(b"k8s\0", &lease).unwrap(), empty);
}
