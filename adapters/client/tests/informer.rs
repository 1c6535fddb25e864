//! The informer against a server that plays a script.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use bytes::Bytes;
use http_body_util::{BodyExt, StreamBody, combinators::UnsyncBoxBody};
use lab_client::{Api, BoxError, Change, Client, InProcess, Informer, InformerOptions, Key};
use lab_object::{GroupVersionResource, Json};
use std::{
    collections::VecDeque,
    convert::Infallible,
    sync::{Arc, Mutex},
    time::Duration,
};

/// One request, as the script expects it (parts of its path and query), and its answer: a code, lines, and whether the
/// body then stays open.
struct Exchange(&'static [&'static str], u16, Vec<String>, bool);

fn object(name: &str, revision: u32) -> String {
    format!(r#"{{"metadata":{{"name":"{name}","resourceVersion":"{revision}"}}}}"#)
}

fn event(kind: &str, name: &str, revision: u32) -> String {
    format!(r#"{{"type":"{kind}","object":{}}}"#, object(name, revision))
}

fn end_of_list(revision: u32) -> String {
    format!(
        r#"{{"type":"BOOKMARK","object":{{"metadata":{{"resourceVersion":"{revision}","annotations":{{"k8s.io/initial-events-end":"true"}}}}}}}}"#
    )
}

const STREAM: &[&str] = &["watch=true", "sendInitialEvents=true"];
const GONE: &str = r#"{"type":"ERROR","object":{"kind":"Status","status":"Failure","code":410,"reason":"Expired","message":"too old"}}"#;

fn body(lines: Vec<String>, open: bool) -> UnsyncBoxBody<Bytes, BoxError> {
    use futures_util::stream::{self, StreamExt};
    let frames = lines.into_iter().map(|line| {
        let line = Bytes::from(format!("{line}\n"));
        Ok::<_, Infallible>(hyper::body::Frame::data(line))
    });
    let frames =
        stream::iter(frames).chain(if open { stream::pending().boxed() } else { stream::empty().boxed() });
    StreamBody::new(frames).map_err(|never| match never {}).boxed_unsync()
}

/// Runs an informer through the script until every exchange was made and nothing more happens, and returns what it told.
async fn play(script: Vec<Exchange>) -> Vec<String> {
    let script = Arc::new(Mutex::new(VecDeque::from(script)));
    let left = script.clone();
    let server = InProcess::new("script", move |request: lab_client::Request| {
        let next = script.lock().unwrap().pop_front();
        async move {
            let Some(Exchange(expected, code, lines, open)) = next else {
                return http::Response::new(body(Vec::new(), true));
            };
            let uri = request.uri().to_string();
            assert!(expected.iter().all(|part| uri.contains(part)), "{uri} lacks one of {expected:?}");
            http::Response::builder().status(code).body(body(lines, open)).unwrap()
        }
    });
    let things =
        GroupVersionResource { group: "a.lab".into(), version: "v1".into(), resource: "things".into() };
    let api: Api<Json> = Client::new("test", server).dynamic(&things, None);
    let informer = Informer::start(api, InformerOptions::everything(7));
    let told = Arc::new(Mutex::new(Vec::new()));
    let record = told.clone();
    informer.on_change(move |change: &Change<Json>| {
        let sign = match (&change.old, &change.new) {
            (None, _) => '+',
            (Some(_), Some(_)) => '~',
            (Some(_), None) => '-',
        };
        record.lock().unwrap().push(format!("{sign}{}", change.key));
    });
    informer.synced().await;
    // Time is paused: this returns when nothing is left to do but wait.
    tokio::time::sleep(Duration::from_secs(100)).await;
    assert!(left.lock().unwrap().is_empty(), "the script was not played to its end");
    let kept: Vec<_> =
        informer.list().iter().map(|o| o["metadata"]["name"].as_str().unwrap().to_owned()).collect();
    for name in &kept {
        assert!(informer.get(&Key::cluster(name)).is_some());
    }
    let mut told = told.lock().unwrap().clone();
    told.push(kept.join(","));
    told
}

async fn check(script: Vec<Exchange>, told: &[&str]) {
    assert_eq!(play(script).await, told);
}

#[tokio::test(start_paused = true)]
async fn a_streamed_list_then_changes_in_order() {
    let lines = vec![
        event("ADDED", "a", 1),
        event("ADDED", "b", 2),
        end_of_list(5),
        event("MODIFIED", "a", 6),
        event("DELETED", "b", 7),
        event("ADDED", "c", 8),
    ];
    check(vec![Exchange(STREAM, 200, lines, true)], &["+a", "+b", "~a", "-b", "+c", "a,c"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_ends_is_resumed_where_it_was() {
    let bookmark = r#"{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"30"}}}"#.to_owned();
    let script = vec![
        Exchange(STREAM, 200, vec![event("ADDED", "a", 1), end_of_list(5)], false),
        Exchange(&["resourceVersion=5"], 200, vec![event("ADDED", "b", 6), bookmark], false),
        Exchange(&["resourceVersion=30"], 200, vec![event("DELETED", "a", 31)], true),
    ];
    check(script, &["+a", "+b", "-a", "b"]).await;
}

#[tokio::test(start_paused = true)]
async fn an_expired_revision_lists_again_and_tells_only_what_differs() {
    let again = vec![event("ADDED", "a", 1), event("ADDED", "b", 9), event("ADDED", "d", 8), end_of_list(10)];
    let script = vec![
        Exchange(
            STREAM,
            200,
            vec![
                event("ADDED", "a", 1),
                event("ADDED", "b", 2),
                event("ADDED", "c", 3),
                end_of_list(5),
                GONE.into(),
            ],
            false,
        ),
        Exchange(STREAM, 200, again, true),
    ];
    check(script, &["+a", "+b", "+c", "~b", "+d", "-c", "a,b,d"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_server_without_streaming_lists_is_listed_in_parts() {
    let part = |name: &str, revision, rest: &str| {
        format!(r#"{{"metadata":{{"resourceVersion":"9"{rest}}},"items":[{}]}}"#, object(name, revision))
    };
    let script = vec![
        Exchange(
            STREAM,
            422,
            vec![r#"{"kind":"Status","code":422,"reason":"Invalid","message":"no"}"#.into()],
            false,
        ),
        Exchange(&["things?limit=500"], 200, vec![part("a", 1, r#","continue":"t=1""#)], false),
        Exchange(&["limit=500", "continue=t%3D1"], 200, vec![part("b", 2, "")], false),
        Exchange(&["watch=true", "resourceVersion=9"], 200, vec![event("MODIFIED", "b", 10)], true),
    ];
    check(script, &["+a", "+b", "~b", "a,b"]).await;
}

#[tokio::test(start_paused = true)]
async fn faults_are_outlived() {
    let cut_off = r#"{"type":"ADDED","object":{"meta"#.to_owned();
    let script = vec![
        Exchange(STREAM, 503, vec!["starting".into()], false),
        Exchange(STREAM, 200, vec![event("ADDED", "x", 1)], false),
        Exchange(STREAM, 200, vec![event("ADDED", "a", 1), end_of_list(5), "not json".into()], false),
        Exchange(&["resourceVersion=5"], 200, vec![event("ADDED", "b", 6), cut_off], false),
        Exchange(&["resourceVersion=6"], 200, vec![event("ADDED", "c", 7)], true),
    ];
    check(script, &["+a", "+b", "+c", "a,b,c"]).await;
}
