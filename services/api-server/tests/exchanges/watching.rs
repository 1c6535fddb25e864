//! Watches.

use crate::session::{MAPS, Session, version};
use lab_api_server::Options;
use lab_store::Store;
use serde_json::json;
use std::time::Duration;

fn named(name: &str) -> lab_object::Json {
    json!({"metadata": {"name": name}})
}

#[tokio::test]
async fn changes_arrive_in_order() {
    let lab = Session::new().await;
    let from = version(&lab.config_map("a", json!({})).await);
    let mut watch = lab.watch(&format!("{MAPS}?watch=true&resourceVersion={from}"), &[]).await;
    lab.config_map("b", json!({})).await;
    let changed = json!({"metadata": {"name": "b"}, "data": {"k": "w"}});
    let changed = lab.check(&format!("PUT {MAPS}/b"), changed, 200, json!({})).await;
    lab.check(&format!("DELETE {MAPS}/b"), json!(null), 200, json!({})).await;
    watch.expect(&[("ADDED", named("b")), ("MODIFIED", changed.clone())]).await;
    let deleted = watch.next().await.unwrap();
    assert_eq!((&deleted["type"], version(&deleted["object"])), (&json!("DELETED"), version(&changed) + 1));
}

#[tokio::test]
async fn without_a_version_what_is_there_comes_first() {
    let lab = Session::new().await;
    lab.config_map("a", json!({})).await;
    for query in ["watch=1", "watch=true&resourceVersion=0"] {
        let mut watch = lab.watch(&format!("{MAPS}?{query}"), &[]).await;
        watch.expect(&[("ADDED", named("a"))]).await;
    }
    let only_new = format!("{MAPS}?watch=1&sendInitialEvents=false&resourceVersionMatch=NotOlderThan");
    let mut watch = lab.watch(&only_new, &[]).await;
    lab.config_map("b", json!({})).await;
    watch.expect(&[("ADDED", named("b"))]).await;
}

#[tokio::test]
async fn the_paths_of_old_watches_still_lead_there() {
    let lab = Session::new().await;
    for name in ["a", "b"] {
        lab.config_map(name, json!({})).await;
    }
    for (path, names) in [
        ("/api/v1/watch/configmaps", &["a", "b"][..]),
        ("/api/v1/watch/namespaces/default/configmaps", &["a", "b"]),
        ("/api/v1/watch/namespaces/default/configmaps/b", &["b"]),
    ] {
        let mut watch = lab.watch(path, &[]).await;
        for name in names {
            watch.expect(&[("ADDED", named(name))]).await;
        }
    }
}

#[tokio::test]
async fn a_streamed_list_ends_with_a_bookmark() {
    let lab = Session::new().await;
    lab.config_map("a", json!({})).await;
    let newest = version(&lab.config_map("b", json!({})).await);
    let path = format!(
        "{MAPS}?watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"
    );
    let mut watch = lab.watch(&path, &[]).await;
    let end = json!({"kind": "ConfigMap", "apiVersion": "v1", "metadata": {
        "resourceVersion": newest.to_string(), "annotations": {"k8s.io/initial-events-end": "true"}}});
    watch.expect(&[("ADDED", named("a")), ("ADDED", named("b")), ("BOOKMARK", end)]).await;
    lab.config_map("c", json!({})).await;
    watch.expect(&[("ADDED", named("c"))]).await;
}

#[tokio::test]
async fn what_begins_or_stops_to_match_comes_or_goes() {
    let lab = Session::new().await;
    let from = version(&lab.config_map("a", json!({"on": "no"})).await);
    let mut watch =
        lab.watch(&format!("{MAPS}?watch=1&resourceVersion={from}&labelSelector=on%3Dyes"), &[]).await;
    let mut last = 0;
    for on in ["yes", "yes2", "yes", "no", "yes"] {
        let patch = json!({"metadata": {"labels": {"on": on.trim_end_matches('2')}}, "data": {"k": on}});
        let patched = lab
            .check_as(&format!("PATCH {MAPS}/a"), "application/merge-patch+json", patch, 200, json!({}))
            .await;
        last = version(&patched);
    }
    lab.check(&format!("DELETE {MAPS}/a"), json!(null), 200, json!({})).await;
    watch
        .expect(&[
            ("ADDED", json!({"data": {"k": "yes"}})),
            ("MODIFIED", json!({"data": {"k": "yes2"}})),
            ("MODIFIED", json!({"data": {"k": "yes"}})),
            // As the watcher last saw it, at the revision of the change.
            ("DELETED", json!({"data": {"k": "yes"}, "metadata": {"labels": {"on": "yes"}, "resourceVersion": (last - 1).to_string()}})),
            ("ADDED", json!({"data": {"k": "yes"}})),
            ("DELETED", named("a")),
        ])
        .await;
}

#[tokio::test]
async fn one_name_is_watched() {
    let lab = Session::new().await;
    let path = format!("{MAPS}?watch=1&resourceVersion=1&fieldSelector=metadata.name%3Da");
    let mut watch = lab.watch(&path, &[]).await;
    lab.config_map("ab", json!({})).await;
    lab.config_map("b", json!({})).await;
    lab.config_map("a", json!({})).await;
    watch.expect(&[("ADDED", named("a"))]).await;
}

#[tokio::test]
async fn tables_are_streamed() {
    let lab = Session::new().await;
    lab.config_map("a", json!({})).await;
    let accept = [("accept", "application/json;as=Table;v=v1;g=meta.k8s.io")];
    let mut watch = lab.watch(&format!("{MAPS}?watch=1"), &accept).await;
    lab.config_map("b", json!({})).await;
    watch
        .expect(&[
            ("ADDED", json!({"kind": "Table", "rows": [{"object": {"metadata": {"name": "a"}}}]})),
            ("ADDED", json!({"kind": "Table", "rows": [{"object": {"metadata": {"name": "b"}}}]})),
        ])
        .await;
}

#[tokio::test]
async fn bookmarks_move_on_with_everyones_writes() {
    let lab =
        Session::with(Options { bookmark_interval: Duration::from_millis(50), ..Options::default() }).await;
    let from = lab.server.store().revision();
    let mut watch =
        lab.watch(&format!("{MAPS}?watch=1&resourceVersion={from}&allowWatchBookmarks=1"), &[]).await;
    lab.check("POST /api/v1/namespaces", named("elsewhere"), 201, json!({})).await;
    let newest = lab.server.store().revision();
    let mark = loop {
        let event = watch.next().await.unwrap();
        assert_eq!(event["type"], "BOOKMARK");
        if version(&event["object"]) > from {
            break event;
        }
    };
    assert_eq!(version(&mark["object"]), newest);
    assert_eq!((&mark["object"]["kind"], &mark["object"]["apiVersion"]), (&json!("ConfigMap"), &json!("v1")));
}

#[tokio::test]
async fn a_watch_ends_in_time_and_with_the_server() {
    let lab = Session::new().await;
    let mut short = lab.watch(&format!("{MAPS}?watch=1&timeoutSeconds=1"), &[]).await;
    let mut long = lab.watch(&format!("{MAPS}?watch=1"), &[]).await;
    assert_eq!(short.next().await, None);
    lab.server.close();
    assert_eq!(long.next().await, None);
    let mut late = lab.watch(&format!("{MAPS}?watch=1"), &[]).await;
    assert_eq!(late.next().await, None);
}

#[tokio::test]
async fn history_that_is_gone_is_an_error_event() {
    let lab = Session::new().await;
    let from = version(&lab.config_map("a", json!({})).await);
    lab.config_map("b", json!({})).await;
    lab.config_map("c", json!({})).await;
    lab.store.compact(lab.server.store().revision()).await.unwrap();
    let mut watch = lab.watch(&format!("{MAPS}?watch=1&resourceVersion={from}"), &[]).await;
    watch.expect(&[("ERROR", json!({"kind": "Status", "code": 410, "reason": "Expired"}))]).await;
    assert_eq!(watch.next().await, None);
}

#[tokio::test]
async fn a_slow_watcher_is_cut_off_and_holds_nobody_back() {
    let lab = Session::new().await;
    let from = lab.server.store().revision();
    let mut slow = lab.watch(&format!("{MAPS}?watch=1&resourceVersion={from}"), &[]).await;
    for name in ["a", "b", "c"] {
        lab.config_map(name, json!({})).await;
    }
    lab.store.compact(lab.server.store().revision()).await.unwrap();
    let mut quick = lab.watch(&format!("{MAPS}?watch=1"), &[]).await;
    quick.expect(&[("ADDED", named("a"))]).await;
    slow.expect(&[("ERROR", json!({"code": 410, "reason": "Expired"}))]).await;
    assert_eq!(slow.next().await, None);
    let metrics = lab.send("GET /metrics", &[], "").await;
    let text = std::str::from_utf8(&metrics.body).unwrap();
    assert!(text.contains("apiserver_watchers_cut_off_total 1"), "{text}");
}

#[tokio::test]
async fn too_many_watches_are_refused() {
    let lab = Session::with(Options { max_watches: 1, ..Options::default() }).await;
    let first = lab.watch(&format!("{MAPS}?watch=1"), &[]).await;
    let answer = lab.send(&format!("GET {MAPS}?watch=1"), &[], "").await;
    assert_eq!((answer.status.as_u16(), &answer.headers["retry-after"]), (429, &"1".parse().unwrap()));
    drop(first);
    lab.watch(&format!("{MAPS}?watch=1"), &[]).await;
}
