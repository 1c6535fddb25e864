//! Lists: selectors, parts, revisions.

use crate::session::{MAPS, SERVERS, Session, version};
use lab_object::Json;
use lab_store::Store;
use serde_json::json;

fn names(list: &Json) -> Vec<&str> {
    list["items"].as_array().unwrap().iter().map(|item| item["metadata"]["name"].as_str().unwrap()).collect()
}

async fn six(lab: &Session) {
    for (at, name) in ["a", "b", "c", "d", "e", "f"].into_iter().enumerate() {
        lab.config_map(name, json!({"parity": if at % 2 == 0 { "even" } else { "odd" }})).await;
    }
}

#[tokio::test]
async fn all_and_by_selectors() {
    let lab = Session::new().await;
    six(&lab).await;
    lab.check("POST /api/v1/namespaces", json!({"metadata": {"name": "other"}}), 201, json!({})).await;
    let other = json!({"metadata": {"name": "a", "labels": {"parity": "even"}}});
    lab.check("POST /api/v1/namespaces/other/configmaps", other, 201, json!({})).await;
    for (path, expected) in [
        (MAPS.to_owned(), vec!["a", "b", "c", "d", "e", "f"]),
        (format!("{MAPS}?labelSelector=parity%3Deven"), vec!["a", "c", "e"]),
        (format!("{MAPS}?labelSelector=parity+in+(odd)%2Cparity"), vec!["b", "d", "f"]),
        (format!("{MAPS}?labelSelector=!parity"), vec![]),
        (format!("{MAPS}?fieldSelector=metadata.name%3Dc"), vec!["c"]),
        (format!("{MAPS}?fieldSelector=metadata.name!%3Dc"), vec!["a", "b", "d", "e", "f"]),
        (format!("{MAPS}?fieldSelector=metadata.name%3Dc&labelSelector=parity%3Dodd"), vec![]),
        ("/api/v1/configmaps?labelSelector=parity%3Deven".into(), vec!["a", "c", "e", "a"]),
        ("/api/v1/configmaps?fieldSelector=metadata.name%3Da".into(), vec!["a", "a"]),
        ("/api/v1/configmaps?fieldSelector=metadata.namespace%3Dother".into(), vec!["a"]),
    ] {
        let list = lab
            .check(
                &format!("GET {path}"),
                json!(null),
                200,
                json!({"kind": "ConfigMapList", "apiVersion": "v1"}),
            )
            .await;
        assert_eq!(names(&list), expected, "{path}");
        assert_eq!(version(&list), lab.server.store().revision());
    }
}

#[tokio::test]
async fn a_field_of_the_object_selects() {
    let lab = Session::new().await;
    for name in ["one", "two"] {
        let server = json!({"metadata": {"name": name}, "spec": {"hostname": name}});
        lab.check(&format!("POST {SERVERS}"), server, 201, json!({})).await;
    }
    let list = lab
        .check(&format!("GET {SERVERS}?fieldSelector=spec.hostname%3Dtwo"), json!(null), 200, json!({}))
        .await;
    assert_eq!(names(&list), ["two"]);
}

#[tokio::test]
async fn in_parts_at_one_revision() {
    let lab = Session::new().await;
    six(&lab).await;
    for (selector, limit, parts) in [
        ("", 4, vec![(vec!["a", "b", "c", "d"], json!(2)), (vec!["e", "f"], json!(null))]),
        ("", 3, vec![(vec!["a", "b", "c"], json!(3)), (vec!["d", "e", "f"], json!(null))]),
        ("&labelSelector=parity%3Dodd", 2, vec![(vec!["b", "d"], json!(null)), (vec!["f"], json!(null))]),
    ] {
        let mut token = String::new();
        let mut revision = None;
        for (expected, remaining) in parts {
            let path = format!("GET {MAPS}?limit={limit}{selector}&continue={token}");
            let list = lab.check(&path, json!(null), 200, json!({})).await;
            assert_eq!(names(&list), expected, "{path}");
            assert_eq!(list["metadata"]["remainingItemCount"], remaining, "{path}");
            assert_eq!(version(&list), *revision.get_or_insert(version(&list)));
            token = list["metadata"]["continue"].as_str().unwrap_or_default().to_owned();
            // What comes between the parts is not seen by them.
            lab.check(
                &format!("POST {MAPS}"),
                json!({"metadata": {"generateName": "z-", "labels": {"parity": "odd"}}}),
                201,
                json!({}),
            )
            .await;
        }
        assert_eq!(token, "", "the last part has no continuation");
        lab.check(&format!("DELETE {MAPS}?fieldSelector=metadata.name!%3Da,metadata.name!%3Db,metadata.name!%3Dc,metadata.name!%3Dd,metadata.name!%3De,metadata.name!%3Df"), json!(null), 200, json!({})).await;
    }
}

#[tokio::test]
async fn at_revisions() {
    let lab = Session::new().await;
    let first = version(&lab.config_map("a", json!({})).await);
    lab.config_map("b", json!({})).await;
    let newest = lab.server.store().revision();
    for (query, expected, at) in [
        ("resourceVersion=0".to_owned(), vec!["a", "b"], newest),
        (format!("resourceVersion={first}"), vec!["a", "b"], newest),
        (format!("resourceVersion={first}&resourceVersionMatch=NotOlderThan"), vec!["a", "b"], newest),
        (format!("resourceVersion={first}&resourceVersionMatch=Exact"), vec!["a"], first),
        (format!("resourceVersion={first}&limit=9"), vec!["a"], first),
        ("resourceVersion=0&limit=9".into(), vec!["a", "b"], newest),
    ] {
        let list = lab.check(&format!("GET {MAPS}?{query}"), json!(null), 200, json!({})).await;
        assert_eq!((names(&list), version(&list)), (expected, at), "{query}");
    }
    let late = json!({"reason": "Timeout", "details": {"causes": [{"reason": "ResourceVersionTooLarge"}]}});
    for request in
        [format!("GET {MAPS}?resourceVersion=99999"), format!("GET {MAPS}/a?resourceVersion=99999")]
    {
        lab.check(&request, json!(null), 504, late.clone()).await;
    }
}

#[tokio::test]
async fn what_was_compacted_has_expired() {
    let lab = Session::new().await;
    six(&lab).await;
    let part = lab.check(&format!("GET {MAPS}?limit=4"), json!(null), 200, json!({})).await;
    let (token, at) = (part["metadata"]["continue"].as_str().unwrap().to_owned(), version(&part));
    lab.config_map("g", json!({})).await;
    lab.config_map("h", json!({})).await;
    lab.store.compact(lab.server.store().revision()).await.unwrap();
    let gone = json!({"reason": "Expired", "code": 410});
    lab.check(
        &format!("GET {MAPS}?resourceVersion={at}&resourceVersionMatch=Exact"),
        json!(null),
        410,
        gone.clone(),
    )
    .await;
    let expired = lab.check(&format!("GET {MAPS}?limit=4&continue={token}"), json!(null), 410, gone).await;
    let token = expired["metadata"]["continue"].as_str().unwrap();
    let rest = lab.check(&format!("GET {MAPS}?limit=4&continue={token}"), json!(null), 200, json!({})).await;
    assert_eq!(names(&rest), ["e", "f", "g", "h"]);
}
